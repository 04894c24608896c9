//! How long to wait before a failed call is repeated: full jitter, exponential, capped.
//!
//! Pure: the random number is an argument. A server's `Retry-After` is a lower bound, itself capped, so that
//! no answer can put a runner to sleep for longer than a lease lives.

use std::time::Duration;

/// Upper bound of the first wait.
const BASE_MS: u64 = 20;
/// Upper bound of every later wait.
const CAP_MS: u64 = 5_000;
/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(30);

/// The waits of one logical call.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait: anything from nothing to the bound, which doubles with each failure. `random` is uniform.
    pub fn next_wait(&mut self, random: u64, retry_after: Option<Duration>) -> Duration {
        let bound = BASE_MS.saturating_mul(1 << self.failures.min(16)).min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        let jittered = Duration::from_millis(random % (bound + 1));
        retry_after.map_or(jittered, |wanted| wanted.min(RETRY_AFTER_CAP).max(jittered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_stay_under_a_doubling_bound(random in proptest::collection::vec(any::<u64>(), 1..40)) {
            let mut backoff = Backoff::default();
            for (failures, random) in random.into_iter().enumerate() {
                let bound = (20u64 << failures.min(16)).min(5_000);
                prop_assert!(backoff.next_wait(random, None) <= Duration::from_millis(bound));
            }
        }
    }

    #[test]
    fn the_whole_range_is_used() {
        let waits: Vec<u128> = [0, 20, 21]
            .into_iter()
            .map(|random| Backoff::default().next_wait(random, None).as_millis())
            .collect();
        assert_eq!(waits, [0, 20, 0]);
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let wait = |seconds| Backoff::default().next_wait(0, Some(Duration::from_secs(seconds)));
        assert_eq!(wait(2), Duration::from_secs(2));
        assert_eq!(wait(86_400), Duration::from_secs(30));
    }
}
