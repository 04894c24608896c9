//! The periodic pass over everything that is open.

use functions::cloud::Tokens;
use functions::repositories::with_repositories;
use functions::start;
use functions::tick::Sweep;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    start::run("sweep", Tokens::Used, |cloud| Ok(Box::new(Sweep(with_repositories(cloud)))))
}
