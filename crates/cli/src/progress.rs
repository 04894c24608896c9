//! What is known of a run while it runs, folded from notices.
//!
//! Pure: time is an argument, nothing is printed here (`view` renders, `terminal` prints). Notices are best
//! effort, so the state stays sensible when some are missing: more cases may be done than were announced, and
//! a finished run says nothing here about its verdict.

pub mod estimate;
pub mod terminal;
pub mod view;

use estimate::Estimate;
use shared::domain::case::CaseResult;
use shared::domain::id::JobNo;
use shared::domain::outcome::{Counts, Outcome};
use shared::domain::time::Timestamp;
use shared::ports::Notice;
use std::collections::BTreeMap;

/// Something to be said at once, above the bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A case failed for good.
    Failure {
        /// Name of the job, if there are several.
        job: Option<String>,
        /// What it came to.
        outcome: Outcome,
        /// The case's id.
        case: String,
        /// Its message, possibly empty.
        message: String,
    },
    /// A case passed after it had failed.
    Flaky {
        /// Name of the job, if there are several.
        job: Option<String>,
        /// The case's id.
        case: String,
        /// The attempt that passed.
        attempt: u32,
        /// Whether it passed only with nothing beside it.
        alone: bool,
    },
    /// A runner was lost.
    RunnerLost {
        /// Shard, counted from 1.
        shard: u32,
        /// Human reason.
        reason: String,
    },
}

/// One job, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
struct JobProgress {
    units: u32,
    announcements: u32,
    announced: u64,
    predicted_ms: u64,
    planned: bool,
}

impl JobProgress {
    /// Cases it will have: what is announced, extrapolated to the units that are not collected yet.
    fn expected_cases(&self) -> u64 {
        let (units, seen) = (u64::from(self.units), u64::from(self.announcements));
        self.announced.saturating_mul(units.max(seen)).checked_div(seen).unwrap_or(units)
    }
}

/// The state of the display.
#[derive(Debug, Clone)]
pub struct Progress {
    started_at: Timestamp,
    heard_at: Timestamp,
    names: BTreeMap<JobNo, String>,
    jobs: BTreeMap<JobNo, JobProgress>,
    counts: Counts,
    fraction: f64,
    estimate: Estimate,
    over: bool,
}

impl Progress {
    /// A run that started at `started_at`; `names` are those of its jobs as far as they are known.
    #[must_use]
    pub fn new(started_at: Timestamp, names: BTreeMap<JobNo, String>) -> Self {
        Self {
            started_at,
            heard_at: started_at,
            names,
            jobs: BTreeMap::new(),
            counts: Counts::default(),
            fraction: 0.0,
            estimate: Estimate::default(),
            over: false,
        }
    }

    /// Takes one notice; what it answers deserves a line of its own.
    pub fn fold(&mut self, notice: Notice, now: Timestamp) -> Option<Happening> {
        self.heard_at = now;
        let happening = match notice {
            Notice::Planned { job, units, predicted_ms } => {
                let planned = self.jobs.entry(job).or_default();
                (planned.units, planned.predicted_ms, planned.planned) = (units, predicted_ms, true);
                None
            }
            Notice::Announced { job, cases } => {
                let announced = self.jobs.entry(job).or_default();
                announced.announcements = announced.announcements.saturating_add(1);
                announced.announced = announced.announced.saturating_add(cases);
                self.counts.announce(cases);
                None
            }
            Notice::Case { job, result, retrying, .. } => self.fold_case(job, &result, retrying, now),
            Notice::RunnerLost { shard, reason } => {
                Some(Happening::RunnerLost { shard: shard.shard, reason })
            }
            Notice::Finished => {
                self.over = true;
                None
            }
        };
        self.fraction = self.fraction.max(self.measured_fraction());
        happening
    }

    fn fold_case(
        &mut self,
        job: JobNo,
        result: &CaseResult,
        retrying: bool,
        now: Timestamp,
    ) -> Option<Happening> {
        if result.attempt == 1 {
            // Predictions are made for first attempts only.
            self.estimate.work_done(result.duration_us, now);
            self.estimate.predict(self.predicted_work_us(), now);
        }
        if retrying {
            return None;
        }
        self.counts.settle(result.outcome);
        let job = self.shown_name(job);
        let case = result.case.to_string();
        if result.outcome.is_failure() {
            let message = result.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            return Some(Happening::Failure { job, outcome: result.outcome, case, message });
        }
        if result.outcome == Outcome::Passed && result.attempt > 1 {
            self.counts.flaky += 1;
            return Some(Happening::Flaky { job, case, attempt: result.attempt, alone: result.alone });
        }
        None
    }

    /// The run is over: nothing more will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Cases by outcome so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Cases known so far; never less than are done.
    #[must_use]
    pub fn known_cases(&self) -> u64 {
        self.counts.planned.max(self.counts.settled())
    }

    /// Cases the run will have, as far as can be foreseen; never less than are known.
    #[must_use]
    pub fn expected_cases(&self) -> u64 {
        let expected = self.jobs.values().map(JobProgress::expected_cases).fold(0, u64::saturating_add);
        expected.max(self.known_cases())
    }

    /// How full the bar is, from 0 to 1; it never goes back.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Whether a job's list of units has come in.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.jobs.values().any(|job| job.planned)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn elapsed_ms(&self, now: Timestamp) -> u64 {
        now.since_ms(self.started_at)
    }

    /// Milliseconds since the last notice.
    #[must_use]
    pub fn silent_ms(&self, now: Timestamp) -> u64 {
        now.since_ms(self.heard_at)
    }

    /// Milliseconds left, as far as anybody can tell.
    #[must_use]
    pub fn left_ms(&self, now: Timestamp) -> Option<u64> {
        self.estimate.left_ms(now)
    }

    fn shown_name(&self, job: JobNo) -> Option<String> {
        let several = self.names.len().max(self.jobs.len()) > 1;
        several.then(|| self.names.get(&job).cloned().unwrap_or_else(|| format!("job {job}")))
    }

    /// Predicted work of the whole run; `None` until every job has its plan.
    fn predicted_work_us(&self) -> Option<u64> {
        let all_planned = self.jobs.len() >= self.names.len()
            && self.jobs.values().all(|job| job.planned && job.predicted_ms > 0);
        all_planned.then(|| self.jobs.values().map(|job| job.predicted_ms.saturating_mul(1000)).sum())
    }

    #[expect(clippy::cast_precision_loss, reason = "a bar has a hundred steps, not 2^53")]
    fn measured_fraction(&self) -> f64 {
        match self.expected_cases() {
            0 => 0.0,
            expected => self.counts.settled() as f64 / expected as f64,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::domain::case::{CaseId, Failure};
    use shared::domain::id::{RunId, ShardAttempt};

    pub(crate) fn result(case: &str, attempt: u32, outcome: Outcome, duration_us: u64) -> CaseResult {
        let failure = outcome.is_failure().then(|| Failure {
            kind: "AssertionError".to_owned(),
            message: "assert 1 == 2".to_owned(),
            detail: String::new(),
        });
        CaseResult {
            case: CaseId::from(case),
            class: "tests".to_owned(),
            name: case.to_owned(),
            file: None,
            line: None,
            attempt,
            outcome,
            started_at: Timestamp(0),
            duration_us,
            slot: 1,
            alone: false,
            failure,
            reason: None,
            output: String::new(),
        }
    }

    pub(crate) fn case(case: &str, attempt: u32, outcome: Outcome, retrying: bool) -> Notice {
        let result = Box::new(result(case, attempt, outcome, 1000));
        Notice::Case { job: JobNo(1), unit: "u".to_owned(), result, retrying }
    }

    fn fresh() -> Progress {
        Progress::new(Timestamp(0), BTreeMap::new())
    }

    #[test]
    fn a_retry_counts_once_and_is_called_flaky_when_it_passes() {
        let mut progress = fresh();
        progress.fold(Notice::Announced { job: JobNo(1), cases: 1 }, Timestamp(0));
        assert_eq!(progress.fold(case("a", 1, Outcome::Failed, true), Timestamp(1)), None);
        assert_eq!(progress.counts().settled(), 0);
        let happening = progress.fold(case("a", 2, Outcome::Passed, false), Timestamp(2));
        assert_eq!(
            happening,
            Some(Happening::Flaky { job: None, case: "a".to_owned(), attempt: 2, alone: false })
        );
        assert_eq!((progress.counts().passed, progress.counts().flaky), (1, 1));
        assert!(progress.counts().conserved());
    }

    #[test]
    fn only_a_final_failure_is_announced() {
        let mut progress = fresh();
        assert_eq!(progress.fold(case("a", 1, Outcome::Crashed, true), Timestamp(1)), None);
        let happening = progress.fold(case("a", 2, Outcome::Crashed, false), Timestamp(1));
        assert!(matches!(happening, Some(Happening::Failure { outcome: Outcome::Crashed, .. })));
    }

    #[test]
    fn names_are_shown_only_where_they_tell_something() {
        let names = |n: u32| (1..=n).map(|i| (JobNo(i), format!("suite-{i}"))).collect();
        let shown = |n| match Progress::new(Timestamp(0), names(n))
            .fold(case("a", 1, Outcome::Failed, false), Timestamp(0))
        {
            Some(Happening::Failure { job, .. }) => job,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(1), None);
        assert_eq!(shown(2), Some("suite-1".to_owned()));
    }

    #[test]
    fn the_bar_expects_units_that_are_not_collected_yet() {
        let mut progress = fresh();
        progress.fold(Notice::Planned { job: JobNo(1), units: 10, predicted_ms: 0 }, Timestamp(0));
        progress.fold(Notice::Announced { job: JobNo(1), cases: 5 }, Timestamp(0));
        for n in 0..5 {
            progress.fold(case(&n.to_string(), 1, Outcome::Passed, false), Timestamp(0));
        }
        assert!((progress.fraction() - 0.1).abs() < 1e-9, "5 of about 50 cases");
    }

    #[test]
    fn a_lost_runner_is_told() {
        let shard = ShardAttempt { run: RunId(1), job: JobNo(1), shard: 3, attempt: 1 };
        let notice = Notice::RunnerLost { shard, reason: "killed by signal 9".to_owned() };
        assert!(matches!(fresh().fold(notice, Timestamp(0)), Some(Happening::RunnerLost { shard: 3, .. })));
    }

    fn any_notice() -> impl Strategy<Value = Notice> {
        prop_oneof![
            (1u32..3, 0u64..50).prop_map(|(job, cases)| Notice::Announced { job: JobNo(job), cases }),
            (1u32..3, 0u32..50, 0u64..9999).prop_map(|(job, units, predicted_ms)| Notice::Planned {
                job: JobNo(job),
                units,
                predicted_ms
            }),
            (1u32..4, prop::sample::select(Outcome::ALL.to_vec()), any::<bool>())
                .prop_map(|(attempt, outcome, retrying)| case("c", attempt, outcome, retrying)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_lost_the_numbers_stay_sensible(notices in prop::collection::vec(any_notice(), 0..80)) {
            let mut progress = fresh();
            let mut before = 0.0;
            for (n, notice) in notices.into_iter().enumerate() {
                let now = Timestamp(n as u64 * 100);
                progress.fold(notice, now);
                prop_assert!((before..=1.0).contains(&progress.fraction()));
                prop_assert!(progress.counts().settled() <= progress.known_cases());
                before = progress.fraction();
                let lines = view::status(&progress, now, 80, false);
                prop_assert!(lines.iter().all(|line| line.columns() <= 80));
            }
        }
    }
}
