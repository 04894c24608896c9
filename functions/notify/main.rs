//! What people are told.

use functions::cloud::{Cloud, OpenError, Tokens};

use functions::start;
use functions::tell;
use functions::tick::Tell;
use std::error::Error;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("notify", async || -> Result<_, OpenError> {
        let cloud = Cloud::from_environment(Tokens::Unused).await?;
        let notices = Arc::new(tell::notices(&cloud)?);
        Ok((cloud, Tell(notices)))
    })
    .await
}
