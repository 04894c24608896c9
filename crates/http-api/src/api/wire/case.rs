//! Cases of runs on the wire.

use super::CauseWord;
use serde::{Deserialize, Serialize};
use shared::domain::case::{CaseResult, Failure};
use shared::domain::case_page::OutcomeWanted;
use shared::domain::case_row::CaseRow;
use shared::domain::outcome::Outcome;
use shared::domain::report::{CaseRecord, FlakyKind};
use shared::service::cases::CaseInRun;
use utoipa::ToSchema;

/// Which outcome is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWord {
    /// Passed.
    Passed,
    /// Failed.
    Failed,
    /// Could not be judged.
    Errored,
    /// Skipped.
    Skipped,
    /// Took too long.
    TimedOut,
    /// Killed its process.
    Crashed,
    /// Any that makes a run red.
    Failures,
}

impl From<OutcomeWord> for OutcomeWanted {
    fn from(word: OutcomeWord) -> Self {
        match word {
            OutcomeWord::Passed => Self::One(Outcome::Passed),
            OutcomeWord::Failed => Self::One(Outcome::Failed),
            OutcomeWord::Errored => Self::One(Outcome::Errored),
            OutcomeWord::Skipped => Self::One(Outcome::Skipped),
            OutcomeWord::TimedOut => Self::One(Outcome::TimedOut),
            OutcomeWord::Crashed => Self::One(Outcome::Crashed),
            OutcomeWord::Failures => Self::Failures,
        }
    }
}

fn flaky_word(kind: FlakyKind) -> String {
    match kind {
        FlakyKind::Retry => "retry",
        FlakyKind::Isolation => "isolation",
    }
    .to_owned()
}

/// A case in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseShown {
    /// Key: the same in every run.
    #[schema(example = "case_0190b0f0c0de7000800000000000abcd")]
    pub key: String,
    /// Number of the job.
    pub job: u32,
    /// Name of the job.
    pub job_name: String,
    /// Unit.
    pub unit: String,
    /// Id inside the suite, in the framework's own notation.
    pub id: String,
    /// Name for people, with the variant.
    pub name: String,
    /// Source file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// `passed`, `failed`, `errored`, `timed_out`, `crashed` or `skipped`.
    pub outcome: String,
    /// `retry` or `isolation`, if it failed before it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaky: Option<String>,
    /// Whether it may still come to something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// Attempts made.
    pub attempts: u32,
    /// When the last attempt began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub duration_us: u64,
    /// Shard of the last attempt.
    pub shard: u32,
    /// Slot of the last attempt.
    pub slot: u32,
    /// Why the last attempt did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<CauseWord>,
    /// Why it was skipped, or why a failure was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<CaseRow> for CaseShown {
    fn from(row: CaseRow) -> Self {
        Self {
            key: row.key.to_string(),
            job: row.job.0,
            job_name: row.job_name,
            unit: row.unit,
            id: row.id.0,
            name: row.name,
            file: row.file,
            line: row.line,
            outcome: row.outcome.as_str().to_owned(),
            flaky: row.flaky.map(flaky_word),
            provisional: row.provisional,
            attempts: row.attempts,
            started_at: row.started_at,
            duration_us: row.duration_us,
            shard: row.shard,
            slot: row.slot,
            failure: row.failure.map(|failure| CauseWord { kind: failure.kind, message: failure.message }),
            reason: row.reason,
        }
    }
}

/// Why an attempt did not pass.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FailureShown {
    /// Machine code or exception type.
    pub kind: String,
    /// A sentence.
    pub message: String,
    /// Everything that the framework printed about it.
    pub detail: String,
}

impl From<Failure> for FailureShown {
    fn from(failure: Failure) -> Self {
        let Failure { kind, message, detail } = failure;
        Self { kind, message, detail }
    }
}

/// An attempt at a case.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttemptShown {
    /// Number, from 1.
    pub attempt: u32,
    /// What it came to.
    pub outcome: String,
    /// When it began (RFC 3339).
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Shard.
    pub shard: u32,
    /// Slot.
    pub slot: u32,
    /// Whether nothing else ran in this runner at the time.
    pub alone: bool,
    /// Why it did not pass.
    pub failure: Option<FailureShown>,
    /// Why it was skipped, or why a failure was expected.
    pub reason: Option<String>,
    /// What it printed; of very much the beginning and the end.
    pub output: String,
}

impl AttemptShown {
    fn new(shard: u32, result: CaseResult) -> Self {
        Self {
            attempt: result.attempt,
            outcome: result.outcome.as_str().to_owned(),
            started_at: result.started_at.rfc3339(),
            duration_us: result.duration_us,
            shard,
            slot: result.slot,
            alone: result.alone,
            failure: result.failure.map(FailureShown::from),
            reason: result.reason,
            output: result.output,
        }
    }
}

/// A case with every attempt at it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CaseDetail {
    /// The case.
    pub case: CaseShown,
    /// Class path for reports.
    pub class: String,
    /// The attempts, in order.
    pub attempts: Vec<AttemptShown>,
}

impl CaseDetail {
    /// What is shown of a case.
    #[must_use]
    pub fn new(row: CaseRow, record: CaseRecord) -> Self {
        let class = record.last().map(|last| last.class.clone()).unwrap_or_default();
        let shards = record.shards.into_iter().chain(std::iter::repeat(0));
        let attempts =
            record.attempts.into_iter().zip(shards).map(|(result, shard)| AttemptShown::new(shard, result));
        Self { case: row.into(), class, attempts: attempts.collect() }
    }
}

/// A case in one run of its history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CaseRunShown {
    /// The run.
    pub run: String,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// When the run was asked for (RFC 3339).
    #[schema(format = DateTime)]
    pub queued_at: String,
    /// What the case came to.
    pub outcome: String,
    /// `retry` or `isolation`, if it failed before it passed.
    pub flaky: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// How long the last one took, in microseconds.
    pub duration_us: u64,
}

/// A case over the newest runs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CaseHistory {
    /// Key.
    pub key: String,
    /// Name of the job.
    pub job_name: String,
    /// Unit.
    pub unit: String,
    /// Id inside the suite.
    pub id: String,
    /// The newest runs that had it, at most 50, newest first.
    pub items: Vec<CaseRunShown>,
}

impl CaseHistory {
    /// What is shown of a history; `None` of an empty one.
    #[must_use]
    pub fn new(runs: Vec<CaseInRun>) -> Option<Self> {
        let newest = &runs.first()?.row;
        let (key, job_name) = (newest.key.to_string(), newest.job_name.clone());
        let (unit, id) = (newest.unit.clone(), newest.id.0.clone());
        let item = |CaseInRun { run, row }: CaseInRun| CaseRunShown {
            run: run.id.to_string(),
            commit: run.origin.commit,
            branch: run.origin.branch,
            queued_at: run.queued_at.rfc3339(),
            outcome: row.outcome.as_str().to_owned(),
            flaky: row.flaky.map(flaky_word),
            attempts: row.attempts,
            duration_us: row.duration_us,
        };
        Some(Self { key, job_name, unit, id, items: runs.into_iter().map(item).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::case::CaseId;
    use shared::domain::case_row::ShortFailure;
    use shared::domain::id::{CaseKey, JobNo};

    #[test]
    fn a_stored_row_is_what_is_shown() {
        let full = CaseRow {
            key: CaseKey(7),
            job: JobNo(2),
            job_name: "unit".to_owned(),
            unit: "a.py".to_owned(),
            id: CaseId::from("a.py::t"),
            name: "t".to_owned(),
            file: Some("a.py".to_owned()),
            line: Some(3),
            outcome: Outcome::TimedOut,
            flaky: Some(FlakyKind::Isolation),
            provisional: true,
            attempts: 2,
            started_at: Some("1970-01-01T00:00:00.001Z".to_owned()),
            duration_us: 9,
            shard: 1,
            slot: 4,
            failure: Some(ShortFailure { kind: "k".to_owned(), message: "m".to_owned() }),
            reason: Some("r".to_owned()),
        };
        let bare = CaseRow {
            file: None,
            line: None,
            flaky: None,
            provisional: false,
            started_at: None,
            failure: None,
            reason: None,
            ..full.clone()
        };
        for row in [full, bare] {
            let stored = serde_json::to_value(&row).unwrap();
            assert_eq!(serde_json::to_value(CaseShown::from(row)).unwrap(), stored);
        }
    }
}
