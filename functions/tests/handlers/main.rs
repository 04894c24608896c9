//! The functions, each given what its platform would give it. DynamoDB, S3, SQS, EventBridge and Secrets Manager are
//! those of an emulator; each test has a table, bucket, bus and queues of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

mod batch;
mod cloud;
mod cost;
mod door;
#[path = "../../../crates/aws/tests/cloud/hosting.rs"]
mod hosting;
mod repositories;
mod rights;
mod samples;
#[path = "../../../crates/aws/tests/cloud/stage.rs"]
mod stage;
mod template;
