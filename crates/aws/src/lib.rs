//! Adapters for AWS: DynamoDB, S3, SQS, ECS.
//!
//! The only crate that knows the AWS SDK. Each adapter keeps the semantics of its port and nothing more; rules live
//! in `shared`. The environment is read in `config`, clients are made in `connection`, what AWS answers is judged in
//! `failure`, and every request is counted.

pub mod config;
pub mod connection;
pub mod count;
pub mod dynamo;
pub mod failure;
pub mod limits;
