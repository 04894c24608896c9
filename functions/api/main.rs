//! The public API behind the HTTP API.

use functions::cloud::Tokens;
use functions::door::Door;
use functions::start;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("api", Tokens::Used, |cloud| Ok(Box::new(Door::api(cloud))))
}
