//! Runs to be planned.

use functions::batch::Batch;
use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use shared::ports::Topic;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("plan", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Unused).await?;
        Ok((cloud.clone(), Batch::new(cloud, Topic::Plan)))
    })
    .await
}
