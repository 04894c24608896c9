//! Statistics of one case: moving averages, the last 64 outcomes, and the flaky score made from them.

use super::blend;
use crate::domain::outcome::Outcome;
use crate::domain::report::{CaseRecord, FlakyKind};
use serde::{Deserialize, Serialize};

/// Outcomes remembered.
const WINDOW: u32 = 64;
/// So many final failures in a row, and nothing else lately, are a broken test, not a flaky one.
const BROKEN_STREAK: u32 = 5;
/// Transitions say nothing before this many outcomes.
const MIN_TRANSITIONS_WINDOW: u32 = 4;

/// History of one case; small, because there may be a million.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaseStats {
    /// Moving average of the time it takes when it passes, in microseconds.
    #[serde(rename = "t")]
    pub ewma_us: u64,
    /// Moving average of the distance from that, in microseconds.
    #[serde(rename = "d")]
    pub spread_us: u64,
    /// Observations in `ewma_us`; 0 = `ewma_us` is a guess from a failure.
    #[serde(rename = "n", default)]
    pub samples: u32,
    /// Outcomes remembered in the two rings, at most 64; skips are not outcomes.
    #[serde(rename = "w", default)]
    pub window: u32,
    /// Final failures, newest in bit 0.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub failed_bits: u64,
    /// Passes after a failure at the same commit, newest in bit 0.
    #[serde(rename = "k", default, skip_serializing_if = "is_zero")]
    pub flaky_bits: u64,
    /// It fails beside other tests and passes alone: run it alone.
    #[serde(rename = "i", default, skip_serializing_if = "is_false")]
    pub isolation: bool,
    /// Number of the suite's run in which it was last seen.
    #[serde(rename = "r", default)]
    pub last_seen: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(bits: &u64) -> bool {
    *bits == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl CaseStats {
    /// Takes one run's record of the case; `run_no` is the number of the suite's run.
    pub fn observe(&mut self, record: &CaseRecord, run_no: u32) {
        let Some(last) = record.last() else { return };
        self.last_seen = run_no;
        match last.outcome {
            Outcome::Passed => {
                self.time(last.duration_us);
                self.push(false, record.flaky().is_some());
            }
            Outcome::Skipped => self.time(last.duration_us),
            Outcome::Failed | Outcome::Errored | Outcome::TimedOut => {
                self.guess(last.duration_us);
                self.push(true, false);
            }
            // The time until a crash says nothing about the test.
            Outcome::Crashed => self.push(true, false),
        }
        if record.flaky() == Some(FlakyKind::Isolation) {
            self.isolation = true;
        }
        // Being alone did not help, so it is not the neighbours.
        if record.attempts.iter().any(|a| a.alone && a.outcome.is_failure()) {
            self.isolation = false;
        }
    }

    fn time(&mut self, duration_us: u64) {
        if self.samples == 0 {
            self.ewma_us = duration_us;
            self.spread_us = duration_us / 2;
        } else {
            self.spread_us = blend(self.spread_us, self.ewma_us.abs_diff(duration_us));
            self.ewma_us = blend(self.ewma_us, duration_us);
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// A test that never passed costs what its failure costs; the first pass replaces the guess.
    fn guess(&mut self, duration_us: u64) {
        if self.samples == 0 {
            self.ewma_us = duration_us;
            self.spread_us = duration_us / 2;
        }
    }

    fn push(&mut self, failed: bool, flaky: bool) {
        self.failed_bits = (self.failed_bits << 1) | u64::from(failed);
        self.flaky_bits = (self.flaky_bits << 1) | u64::from(flaky);
        self.window = (self.window + 1).min(WINDOW);
    }

    /// Whether the newest outcome was a failure.
    #[must_use]
    pub fn last_failed(&self) -> bool {
        self.window > 0 && self.failed_bits & 1 == 1
    }

    /// Final failures in the window.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failed_bits.count_ones()
    }

    /// Changes between passed and failed from one outcome to the next, in the window.
    #[must_use]
    pub fn flips(&self) -> u32 {
        let pairs = self.window.saturating_sub(1);
        let mask = u64::MAX.checked_shr(WINDOW - pairs).unwrap_or(0);
        ((self.failed_bits ^ (self.failed_bits >> 1)) & mask).count_ones()
    }

    /// Whether it fails every time: all of the last 5 outcomes (or all there are, if at least 2) are failures.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let streak = self.failed_bits.trailing_ones();
        streak >= BROKEN_STREAK || (streak >= 2 && streak >= self.window)
    }

    /// How flaky the case is, from 0 (steady or simply broken) to 1.
    ///
    /// `score = 1 − (1 − strong) · (1 − weak)`. `strong = 1 − 0.5^k`, where each pass after a failure at the same
    /// commit adds `1 − age/64` to `k` (age = outcomes since): one fresh event gives 0.5. `weak = 0.5 · (flips − 2) /
    /// (window − 3)` from 4 outcomes on, never negative: breaking a test and mending it is two transitions and no
    /// flakiness. A broken case scores 0.
    #[must_use]
    pub fn flaky_score(&self) -> f64 {
        if self.is_broken() {
            return 0.0;
        }
        let fresh: u32 =
            (0..self.window).filter(|age| (self.flaky_bits >> age) & 1 == 1).map(|a| WINDOW - a).sum();
        let strong = 1.0 - 0.5_f64.powf(f64::from(fresh) / f64::from(WINDOW));
        let weak = if self.window < MIN_TRANSITIONS_WINDOW {
            0.0
        } else {
            0.5 * f64::from(self.flips().saturating_sub(2)) / f64::from(self.window - 3)
        };
        (1.0 - (1.0 - strong) * (1.0 - weak)).clamp(0.0, 1.0)
    }
}
