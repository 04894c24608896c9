//! What history says about cases and units: time, steadiness, flakiness, and who must run alone.
//!
//! Only tests move these numbers. A lost runner or an aborted unit leaves no attempt in a `CaseRecord`, so it can
//! never make a test slower, flaky or broken. Durations are those of the attempt that counts, and only if it passed or
//! was skipped: a failure often ends early and a time-out measures the limit, not the test.
//!
//! Stored in three kinds of documents, each below [`PAGE_LIMIT_BYTES`]: the [`SuiteHead`], pages of [`UnitStats`] (all
//! that planning needs) and, per unit, pages of [`CaseStats`] (read only for units that are split, and by people).

mod case;
mod notable;
mod paging;
mod suite;

pub use case::CaseStats;
pub use notable::{NOTABLE_LIMIT, Notable, NotableCase, NotableKind};
pub use paging::{PAGE_LIMIT_BYTES, page_of, pages_for, paginate};
pub use suite::{KEEP_RUNS, SuiteHead, SuiteStats, UnitDetail, UnitPage, UnitStats};

/// Weight of the newest observation in every moving average: 3 of 10.
const NEW_WEIGHT: u64 = 3;
/// Weight of what was known: 7 of 10.
const OLD_WEIGHT: u64 = 7;

/// The moving average after one more observation.
fn blend(old: u64, new: u64) -> u64 {
    old.saturating_mul(OLD_WEIGHT).saturating_add(new.saturating_mul(NEW_WEIGHT)) / (OLD_WEIGHT + NEW_WEIGHT)
}

#[cfg(test)]
mod tests;
