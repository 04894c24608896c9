//! What people are told.

use functions::cloud::Tokens;
use functions::start;
use functions::tell;
use functions::tick::Tell;
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("notify", Tokens::Unused, |cloud| Ok(Box::new(Tell(Arc::new(tell::notices(&cloud)?)))))
}
