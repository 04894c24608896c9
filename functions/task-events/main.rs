//! What ECS says about tasks.

use functions::cloud::Tokens;
use functions::start;
use functions::task::TaskEvents;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("task-events", Tokens::Unused, |cloud| Ok(Box::new(TaskEvents::new(cloud))))
}
