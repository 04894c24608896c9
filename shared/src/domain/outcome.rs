//! What one execution of one case came to, and how many came to what.
//!
//! [`Counts`] keeps conservation: the sum of its final counts and `outstanding` is `planned`, always.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Result of one case attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The test ran and held.
    Passed,
    /// The test ran and an assertion did not hold.
    Failed,
    /// The test could not be judged: set-up, tear-down, import or collection broke.
    Errored,
    /// The framework decided not to run it, or expected it to fail and it did.
    Skipped,
    /// It ran past its time limit and was killed.
    TimedOut,
    /// Its process died under it.
    Crashed,
}

impl Outcome {
    /// Every outcome, in display order.
    pub const ALL: [Self; 6] =
        [Self::Passed, Self::Failed, Self::Errored, Self::TimedOut, Self::Crashed, Self::Skipped];

    /// Whether this outcome makes a run red.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Failed | Self::Errored | Self::TimedOut | Self::Crashed => true,
            Self::Passed | Self::Skipped => false,
        }
    }

    /// The word used in JSON and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Cases of a job by final outcome. `passed + failed + errored + skipped + timed_out + crashed +
/// outstanding = planned` at every moment; `flaky` is the part of `passed` that failed before it passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Cases announced by runners, each counted once.
    pub planned: u64,
    /// Final outcome passed, flaky ones included.
    pub passed: u64,
    /// Final outcome failed.
    pub failed: u64,
    /// Final outcome errored.
    pub errored: u64,
    /// Final outcome skipped.
    pub skipped: u64,
    /// Final outcome timed out.
    pub timed_out: u64,
    /// Final outcome crashed.
    pub crashed: u64,
    /// Passed, but only after a failed attempt at the same commit.
    pub flaky: u64,
    /// Announced and without a final outcome yet.
    pub outstanding: u64,
}

impl Counts {
    /// Adds newly announced cases.
    pub fn announce(&mut self, cases: u64) {
        self.planned += cases;
        self.outstanding += cases;
    }

    /// Moves one outstanding case to its final outcome.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outstanding = self.outstanding.saturating_sub(1);
        *self.slot(outcome) += 1;
    }

    /// Moves one case from one final outcome to another: it was tried again.
    pub fn resettle(&mut self, before: Outcome, after: Outcome) {
        let slot = self.slot(before);
        *slot = slot.saturating_sub(1);
        *self.slot(after) += 1;
    }

    /// How many cases ended with `outcome`.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        let mut copy = *self;
        *copy.slot(outcome)
    }

    /// Cases whose final outcome makes the run red.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed + self.errored + self.timed_out + self.crashed
    }

    /// Cases with a final outcome.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.passed + self.skipped + self.failures()
    }

    /// Whether no case was lost or invented.
    #[must_use]
    pub fn conserved(&self) -> bool {
        self.settled() + self.outstanding == self.planned && self.flaky <= self.passed
    }

    /// Adds the counts of another job.
    pub fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.passed += other.passed;
        self.failed += other.failed;
        self.errored += other.errored;
        self.skipped += other.skipped;
        self.timed_out += other.timed_out;
        self.crashed += other.crashed;
        self.flaky += other.flaky;
        self.outstanding += other.outstanding;
    }

    fn slot(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Errored => &mut self.errored,
            Outcome::Skipped => &mut self.skipped,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Crashed => &mut self.crashed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_conserves() {
        let mut counts = Counts::default();
        counts.announce(3);
        for outcome in [Outcome::Passed, Outcome::Crashed] {
            counts.settle(outcome);
            assert!(counts.conserved(), "{counts:?}");
        }
        assert_eq!((counts.outstanding, counts.failures(), counts.of(Outcome::Passed)), (1, 1, 1));
    }
}
