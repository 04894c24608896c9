//! Jobs and runs to be proved and closed.

use functions::batch::Batch;
use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use shared::ports::Topic;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("aggregate", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Unused).await?;
        Ok((cloud.clone(), Batch::new(cloud, Topic::Aggregate)))
    })
    .await
}
