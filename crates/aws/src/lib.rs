//! Adapters for AWS: DynamoDB, S3, SQS, ECS, EventBridge, Secrets Manager, SES.
//!
//! The only crate that knows the AWS SDK. Each adapter keeps the semantics of its port and nothing more; rules live
//! in `shared`. The environment is read in `config`, clients are made in `connection`, what AWS answers is judged in
//! `failure`, and every request is counted.

mod attempts;

pub mod config;
pub mod connection;
pub mod count;
pub mod dynamo;
pub mod ecs;
pub mod events;
pub mod failure;
pub mod limits;
pub mod s3;
pub mod secrets;
pub mod ses;
pub mod sqs;
pub mod system;
