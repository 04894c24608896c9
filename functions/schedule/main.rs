//! Schedules that are due.

use functions::cloud::Tokens;
use functions::start;
use functions::tick::Schedules;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("schedule", Tokens::Unused, |cloud| Ok(Box::new(Schedules(cloud))))
}
