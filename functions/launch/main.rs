//! Shards to be launched.

use functions::batch::Batch;
use functions::cloud::Tokens;
use functions::start;
use shared::ports::Topic;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("launch", Tokens::Used, |cloud| Ok(Box::new(Batch::new(cloud, Topic::Launch))))
}
