//! Jobs and runs to be proved and closed.

use functions::batch::Batch;
use functions::cloud::Tokens;
use functions::start;
use shared::ports::Topic;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("aggregate", Tokens::Unused, |cloud| Ok(Box::new(Batch::new(cloud, Topic::Aggregate))))
}
