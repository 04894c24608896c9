//! The environment of a simulation test, read here and nowhere else.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]

use std::fmt::Display;
use std::str::FromStr;

/// What a test run was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// How many seeds to play (`FLEETEST_SIM_SEEDS`).
    pub seeds: u64,
    /// The first of them (`FLEETEST_SIM_FIRST`), 0 if nothing is said.
    pub first: u64,
    /// The only seed to play, with its trace (`FLEETEST_SIM_SEED`).
    pub replay: Option<u64>,
    /// Shards of the large run, with a thousand cases each (`FLEETEST_SIM_SHARDS`).
    pub shards: u32,
}

/// Seeds played if nothing else is said.
pub const DEFAULT_SEEDS: u64 = 300;
/// Shards of the large run if nothing else is said.
pub const DEFAULT_SHARDS: u32 = 100;

impl SimConfig {
    /// From the environment.
    ///
    /// # Errors
    /// If a variable is set and is no number.
    pub fn from_env() -> Result<Self, String> {
        Ok(Self {
            seeds: number("FLEETEST_SIM_SEEDS")?.unwrap_or(DEFAULT_SEEDS),
            first: number("FLEETEST_SIM_FIRST")?.unwrap_or(0),
            replay: number("FLEETEST_SIM_SEED")?,
            shards: number("FLEETEST_SIM_SHARDS")?.unwrap_or(DEFAULT_SHARDS),
        })
    }
}

fn number<T>(name: &str) -> Result<Option<T>, String>
where
    T: FromStr<Err: Display>,
{
    match std::env::var(name) {
        Ok(text) => {
            text.parse().map(Some).map_err(|error| format!("`{name}` is `{text}`, no number: {error}"))
        }
        Err(_) => Ok(None),
    }
}
