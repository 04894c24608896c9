//! The contracts of the ports on every AWS adapter, and what only AWS can get wrong.
//!
//! DynamoDB, S3 and SQS are those of an emulator; each test has a table, bucket or queues of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

mod adapters;
mod blobs;
mod hosted;
mod hosting;
mod launcher;
mod notifier;
mod queue;
mod stage;
mod store;
mod tls;
