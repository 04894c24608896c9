//! Shards to be launched.

use functions::batch::Batch;
use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use shared::ports::Topic;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("launch", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Used).await?;
        Ok((cloud.clone(), Batch::new(cloud, Topic::Launch)))
    })
    .await
}
