//! The machine's clock and randomness.

use shared::domain::time::Timestamp;
use shared::ports::{Clock, IdSource};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// A step back of the system's clock up to this long is bridged by standing still.
const BRIDGED_MS: u64 = 60_000;

/// The system's clock.
///
/// Small corrections backwards, as time synchronisation makes them, are hidden; a large one is believed.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_ms: AtomicU64,
}

impl SystemClock {
    fn settle(&self, shown_ms: u64) -> Timestamp {
        let latest_ms = self.latest_ms.fetch_max(shown_ms, Ordering::SeqCst).max(shown_ms);
        if latest_ms - shown_ms <= BRIDGED_MS {
            return Timestamp(latest_ms);
        }
        self.latest_ms.store(shown_ms, Ordering::SeqCst);
        Timestamp(shown_ms)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.settle(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Ids and secrets from the operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsIds;

impl IdSource for OsIds {
    fn uuid(&self) -> u128 {
        Uuid::now_v7().as_u128()
    }

    #[expect(clippy::expect_used, reason = "without a random source every secret would be guessable")]
    fn secret(&self) -> String {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
            .chunks(16)
            .map(|half| format!("{:032x}", half.iter().fold(0_u128, |n, b| n << 8 | u128::from(*b))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    testkit::clock_contract!(system_clock, (SystemClock::default(), ()));
    testkit::ids_contract!(os_ids, (OsIds, ()));

    #[test]
    fn small_steps_back_are_bridged_and_large_ones_believed() {
        let clock = SystemClock::default();
        assert_eq!(clock.settle(1_000_000), Timestamp(1_000_000));
        assert_eq!(clock.settle(999_000), Timestamp(1_000_000));
        assert_eq!(clock.settle(1_000_001), Timestamp(1_000_001));
        assert_eq!(clock.settle(500_000), Timestamp(500_000));
        assert_eq!(clock.settle(500_001), Timestamp(500_001));
    }
}
