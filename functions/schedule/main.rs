//! Schedules that are due.

use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use functions::tick::Schedules;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("schedule", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Unused).await?;
        Ok((cloud.clone(), Schedules(cloud)))
    })
    .await
}
