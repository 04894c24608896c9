//! Statistics of a project on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::id::CaseKey;
use shared::domain::statistics::NotableCase;
use shared::domain::trend::{Day, Percentiles};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A case of note.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NotableShown {
    /// Key.
    pub key: String,
    /// Name of the job.
    pub job_name: String,
    /// Unit.
    pub unit: String,
    /// Id inside the suite.
    pub id: String,
    /// How flaky it is, from 0 to 1.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub flaky_score: f64,
    /// Moving average of its time, in microseconds.
    pub duration_us: u64,
    /// Spread of that.
    pub spread_us: u64,
    /// Outcomes remembered, at most 64.
    pub outcomes: u32,
    /// Failures among them.
    pub failures: u32,
    /// Whether the newest is one.
    pub failing: bool,
    /// The run since which it fails, if it does and that is known.
    pub failing_since: Option<String>,
}

impl From<(String, NotableCase)> for NotableShown {
    fn from((job_name, case): (String, NotableCase)) -> Self {
        Self {
            key: CaseKey::of(&job_name, &case.case).to_string(),
            job_name,
            unit: case.unit,
            id: case.case.0,
            flaky_score: case.flaky_score,
            duration_us: case.ewma_us,
            spread_us: case.spread_us,
            outcomes: case.window,
            failures: case.failures,
            failing: case.last_failed,
            failing_since: case.since.map(|run| run.to_string()),
        }
    }
}

/// Half and nearly all of the times of a day.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PercentilesShown {
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: u64,
    /// 95 of 100 took no longer, in milliseconds.
    pub p95_ms: u64,
}

impl From<Percentiles> for PercentilesShown {
    fn from(of: Percentiles) -> Self {
        Self { p50_ms: of.p50_ms, p95_ms: of.p95_ms }
    }
}

/// What happened on a day, of UTC.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DayShown {
    /// The day.
    #[schema(example = "2026-11-21", format = Date)]
    pub date: String,
    /// Finished runs that were asked for on it.
    pub runs: u32,
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Could not be judged.
    pub errored: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Took too long.
    pub timed_out: u32,
    /// Runs with a flaky case.
    pub flaky: u32,
    /// Passed among passed and failed, from 0 to 1.
    pub pass_rate: Option<f64>,
    /// Runs that the infrastructure spoilt among all, from 0 to 1.
    pub infrastructure_failure_rate: Option<f64>,
    /// From being asked for to the verdict, without cancelled runs.
    pub wall: Option<PercentilesShown>,
    /// From being asked for to the first runner.
    pub queue_wait: Option<PercentilesShown>,
    /// Seconds that slots worked, by framework.
    pub busy_s: BTreeMap<String, f64>,
    /// Seconds that slots were there for: an estimate of what the runs cost.
    pub cost_slot_s: f64,
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

impl From<Day> for DayShown {
    fn from(day: Day) -> Self {
        Self {
            date: day.begins_at.rfc3339().chars().take(10).collect(),
            runs: day.runs(),
            passed: day.passed,
            failed: day.failed,
            errored: day.errored,
            cancelled: day.cancelled,
            timed_out: day.timed_out,
            flaky: day.flaky,
            pass_rate: day.pass_rate(),
            infrastructure_failure_rate: day.infrastructure_failure_rate(),
            wall: day.wall.map(Into::into),
            queue_wait: day.queue_wait.map(Into::into),
            busy_s: day.busy_ms.into_iter().map(|(framework, ms)| (framework, seconds(ms))).collect(),
            cost_slot_s: seconds(day.slot_ms),
        }
    }
}

/// The last days of a project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TrendsShown {
    /// Oldest first; days without runs included.
    pub days: Vec<DayShown>,
    /// Whether every run of these days was looked at.
    pub complete: bool,
}
