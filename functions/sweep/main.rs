//! The periodic pass over everything that is open.

use functions::cloud::{Cloud, OpenError, Tokens};
use functions::start;
use functions::tick::Sweep;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("sweep", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Used).await?;
        Ok((cloud.clone(), Sweep(cloud)))
    })
    .await
}
