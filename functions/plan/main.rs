//! Runs to be planned.

use functions::batch::Batch;
use functions::cloud::Tokens;
use functions::repositories::with_repositories;
use functions::start;
use shared::ports::Topic;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("plan", Tokens::Unused, |cloud| {
        Ok(Box::new(Batch::new(with_repositories(cloud), Topic::Plan)))
    })
}
