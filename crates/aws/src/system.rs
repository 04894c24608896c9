//! The clock and the randomness of a function.
//!
//! A function's clock is set by the platform; it is believed, but it never goes back within one process.

use shared::domain::time::Timestamp;
use shared::ports::{Clock, IdSource};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The platform's clock.
#[derive(Debug, Default)]
pub struct FunctionClock {
    latest_ms: AtomicU64,
}

impl Clock for FunctionClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.latest_ms.fetch_max(shown_ms, Ordering::SeqCst).max(shown_ms))
    }
}

/// Ids and secrets from the platform's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct FunctionIds;

impl IdSource for FunctionIds {
    fn uuid(&self) -> u128 {
        Uuid::now_v7().as_u128()
    }

    #[expect(clippy::expect_used, reason = "without a random source every secret could be guessed")]
    fn secret(&self) -> String {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).expect("the platform gives random bytes");
        hex::encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    testkit::clock_contract!(function_clock, (FunctionClock::default(), ()));
    testkit::ids_contract!(function_ids, (FunctionIds, ()));
}
