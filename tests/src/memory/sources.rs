//! Time and ids under the test's control.
//!
//! `SplitMix` is the one random generator of this crate: small, seeded, the same on every platform.

use super::lock;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, IdSource};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves forward by `ms` milliseconds.
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves forward to `time`; a time in the past leaves the clock alone.
    pub fn advance_to(&self, time: Timestamp) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A seeded generator of 64-bit numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// True in `per_mille` of 1,000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

/// Ids from a seed: the n-th call gives the same id in every history of that seed.
#[derive(Debug)]
pub struct SeededIds(Mutex<(u64, SplitMix)>);

impl SeededIds {
    /// The ids of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new((0, SplitMix::new(seed))))
    }
}

impl IdSource for SeededIds {
    fn uuid(&self) -> u128 {
        let mut state = lock(&self.0);
        state.0 += 1;
        // The call count stands where version 7 keeps its milliseconds, so that ids sort by their making.
        let made = u128::from(state.0) << 80;
        let random_a = u128::from(state.1.draw() & 0xfff) << 64;
        let random_b = u128::from(state.1.draw() & 0x3fff_ffff_ffff_ffff);
        made | (0x7 << 76) | random_a | (0b10 << 62) | random_b
    }

    fn secret(&self) -> String {
        let mut state = lock(&self.0);
        (0..4).map(|_| format!("{:016x}", state.1.draw())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let take = |seed| {
            let ids = SeededIds::new(seed);
            (0..50).map(|_| (ids.uuid(), ids.secret())).collect::<Vec<_>>()
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix::new(1_234_567);
        assert_eq!(random.draw(), 6_457_827_717_110_365_317);
        assert_eq!(random.draw(), 3_203_168_211_198_807_973);
    }
}
