//! What ECS says about tasks.

use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use functions::task::TaskEvents;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("task-events", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Unused).await?;
        Ok((cloud.clone(), TaskEvents::new(cloud)))
    })
    .await
}
