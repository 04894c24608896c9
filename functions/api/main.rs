//! The public API behind the HTTP API.

use functions::cloud::{Cloud, OpenError, Tokens};
use functions::door::Door;
use functions::start;
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("api", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Used).await?;
        Ok((cloud.clone(), Door::api(cloud)))
    })
    .await
}
