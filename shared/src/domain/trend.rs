//! How a project does from day to day: computed from its runs, each looked at once.
//!
//! A day is a day of UTC; a run belongs to the day on which it was asked for. Only finished runs count. Times are
//! nearest-rank percentiles: always a time that really happened.

use super::origin::Trigger;
use super::run::Run;
use super::time::Timestamp;
use super::verdict::{CauseCode, Verdict};
use std::collections::BTreeMap;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 3600 * 1000;

/// Half and nearly all of the times of a day, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// Half of them took no longer.
    pub p50_ms: u64,
    /// 95 of 100 took no longer.
    pub p95_ms: u64,
}

impl Percentiles {
    /// Of some times; `None` of none.
    #[must_use]
    pub fn of(mut times_ms: Vec<u64>) -> Option<Self> {
        times_ms.sort_unstable();
        let rank = |percent: usize| {
            let rank = (times_ms.len() * percent).div_ceil(100).max(1);
            times_ms.get(rank - 1).copied()
        };
        Some(Self { p50_ms: rank(50)?, p95_ms: rank(95)? })
    }
}

/// What happened on a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Day {
    /// Its beginning.
    pub begins_at: Timestamp,
    /// Finished runs by verdict.
    pub passed: u32,
    /// Failed ones.
    pub failed: u32,
    /// Those that could not be judged.
    pub errored: u32,
    /// Cancelled ones.
    pub cancelled: u32,
    /// Those that took too long.
    pub timed_out: u32,
    /// Of those that could not be judged, the ones for which Fleetest or its machines are to blame.
    pub infrastructure: u32,
    /// Runs in which a case was flaky.
    pub flaky: u32,
    /// From being asked for to the verdict.
    pub wall: Option<Percentiles>,
    /// From being asked for to the first runner.
    pub queue_wait: Option<Percentiles>,
    /// Time that slots worked, by framework, in milliseconds.
    pub busy_ms: BTreeMap<String, u64>,
    /// Time that slots were there for, in milliseconds: an estimate of what the runs cost.
    pub slot_ms: u64,
}

impl Day {
    /// Finished runs.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.passed + self.failed + self.errored + self.cancelled + self.timed_out
    }

    /// Share of passed runs among those that say something about the tests; `None` if there are none.
    #[must_use]
    pub fn pass_rate(&self) -> Option<f64> {
        share(self.passed, self.passed + self.failed)
    }

    /// Share of runs that the infrastructure spoilt; `None` without runs.
    #[must_use]
    pub fn infrastructure_failure_rate(&self) -> Option<f64> {
        share(self.infrastructure, self.runs())
    }
}

fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

/// Whether a cause is the fault of Fleetest or of its machines, and not of the project.
#[must_use]
pub fn is_infrastructure(code: CauseCode) -> bool {
    match code {
        CauseCode::RunnerLost
        | CauseCode::Abandoned
        | CauseCode::Incomplete
        | CauseCode::SourceFailed
        | CauseCode::Internal => true,
        CauseCode::TestsFailed
        | CauseCode::NoTests
        | CauseCode::SetupFailed
        | CauseCode::FrameworkMissing
        | CauseCode::DiscoveryFailed
        | CauseCode::TeardownFailed
        | CauseCode::ReportInvalid
        | CauseCode::NeedNotMet
        | CauseCode::DeadlinePassed
        | CauseCode::CancelledByUser
        | CauseCode::Superseded => false,
    }
}

#[derive(Debug, Default)]
struct Tally {
    day: Day,
    walls_ms: Vec<u64>,
    waits_ms: Vec<u64>,
}

/// Days under way.
#[derive(Debug)]
pub struct Trend {
    first: u64,
    days: Vec<Tally>,
}

impl Trend {
    /// The last `days` days up to and with the one of `now`.
    #[must_use]
    pub fn new(days: u32, now: Timestamp) -> Self {
        let last = now.0 / DAY_MS;
        let first = (last + 1).saturating_sub(u64::from(days));
        let days = (first..=last)
            .map(|day| Tally {
                day: Day { begins_at: Timestamp(day * DAY_MS), ..Day::default() },
                ..Tally::default()
            })
            .collect();
        Self { first, days }
    }

    /// Runs asked for before this time do not matter.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        Timestamp(self.first * DAY_MS)
    }

    /// Takes a run.
    pub fn take(&mut self, run: &Run) {
        let Some(judgement) = &run.judgement else { return };
        let at = (run.queued_at.0 / DAY_MS).checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let Some(tally) = at.and_then(|at| self.days.get_mut(at)) else { return };
        let day = &mut tally.day;
        match judgement.verdict {
            Verdict::Passed => day.passed += 1,
            Verdict::Failed => day.failed += 1,
            Verdict::TimedOut => day.timed_out += 1,
            Verdict::Errored => day.errored += 1,
            Verdict::Cancelled => day.cancelled += 1,
        }
        let cause = judgement.cause.as_ref().map(|cause| cause.code);
        let spoilt = judgement.verdict == Verdict::Errored && cause.is_some_and(is_infrastructure);
        day.infrastructure += u32::from(spoilt);
        // A cancelled run says when someone lost patience, not how long it takes.
        if let Some(finished_at) = run.finished_at.filter(|_| judgement.verdict != Verdict::Cancelled) {
            tally.walls_ms.push(finished_at.since_ms(run.queued_at));
        }
        tally.figures(run);
    }

    /// The days, oldest first; a day without runs is one of them.
    #[must_use]
    pub fn days(self) -> Vec<Day> {
        let day = |tally: Tally| Day {
            wall: Percentiles::of(tally.walls_ms),
            queue_wait: Percentiles::of(tally.waits_ms),
            ..tally.day
        };
        self.days.into_iter().map(day).collect()
    }
}

impl Tally {
    fn figures(&mut self, run: &Run) {
        let Some(figures) = &run.figures else { return };
        self.day.flaky += u32::from(figures.counts.flaky > 0);
        self.day.slot_ms += figures.slot_ms;
        // What ran elsewhere never waited here.
        if let Some(started_at) = figures.started_at.filter(|_| run.origin.trigger != Trigger::Import) {
            self.waits_ms.push(started_at.since_ms(run.queued_at));
        }
        for (framework, busy_ms) in &figures.busy_by_framework_ms {
            *self.day.busy_ms.entry(framework.clone()).or_default() += busy_ms;
        }
    }
}

#[cfg(test)]
mod tests;
