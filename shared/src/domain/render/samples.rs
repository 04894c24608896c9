//! Runs for the tests of every renderer.

use super::Renderer;
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::id::{JobNo, ProjectId, RunId};
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::report::{CaseRecord, JobSummary, RunSummary, Span};
use crate::domain::spec::Framework;
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Cause, CauseCode, Judgement};

pub(super) const START: Timestamp = Timestamp(1_795_251_600_000);

pub(super) fn attempt(unit: &str, name: &str, outcome: Outcome) -> CaseResult {
    CaseResult {
        case: CaseId(format!("{unit}::{name}")),
        class: unit.trim_end_matches(".py").replace('/', "."),
        name: name.to_owned(),
        file: Some(unit.to_owned()),
        line: Some(12),
        attempt: 1,
        outcome,
        started_at: START.plus_ms(100),
        duration_us: 12_345,
        slot: 2,
        alone: false,
        failure: outcome.is_failure().then(|| Failure {
            kind: "AssertionError".into(),
            message: "assert 1 == 2".into(),
            detail: "def test():\n>   assert 1 == 2\nE   assert 1 == 2".into(),
        }),
        reason: (outcome == Outcome::Skipped).then(|| "needs a network".to_owned()),
        output: String::new(),
    }
}

pub(super) fn record(attempts: Vec<CaseResult>) -> CaseRecord {
    let unit = attempts[0].file.clone().unwrap();
    let attempts: Vec<CaseResult> =
        attempts.into_iter().zip(1..).map(|(a, n)| CaseResult { attempt: n, ..a }).collect();
    CaseRecord { job: JobNo(1), unit, shards: vec![1; attempts.len()], attempts }
}

pub(super) fn job(name: &str, judgement: Judgement) -> JobSummary {
    let span = |slot, from, to, unit: &str| Span {
        shard: 1,
        slot,
        unit: unit.to_owned(),
        started_at: START.plus_ms(from),
        ended_at: START.plus_ms(to),
    };
    JobSummary {
        job: JobNo(1),
        name: name.to_owned(),
        framework: Framework::Pytest,
        judgement,
        counts: Counts::default(),
        not_run_units: 0,
        deselected: 0,
        notes: vec!["`--cov-fail-under` is ignored <here>".to_owned()],
        started_at: Some(START),
        finished_at: Some(START.plus_ms(7_000)),
        launches: 1,
        spans: vec![span(1, 100, 7_000, "tests/test_a.py"), span(2, 100, 6_000, "tests/test_b.py")],
    }
}

/// A run of one job with these records; counts and judgement follow from them.
pub(super) fn run(records: &[CaseRecord]) -> RunSummary {
    let mut counts = Counts::default();
    counts.announce(u64::try_from(records.len()).unwrap());
    for record in records {
        counts.settle(record.outcome());
        counts.flaky += u64::from(record.flaky().is_some());
    }
    let judgement = if counts.failures() > 0 {
        Judgement::because(Cause::new(CauseCode::TestsFailed, format!("{} failed", counts.failures())))
    } else {
        Judgement::passed()
    };
    RunSummary {
        run: RunId(7),
        project: ProjectId("attrs".into()),
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        branch: Some("main".into()),
        judgement: judgement.clone(),
        counts,
        queued_at: START,
        finished_at: START.plus_ms(7_200),
        version: "0.1.0".into(),
        jobs: vec![JobSummary { counts, ..job("unit", judgement) }],
    }
}

/// One of everything.
pub(super) fn records() -> Vec<CaseRecord> {
    let (a, b) = ("tests/test_a.py", "tests/test_b.py");
    let printed = CaseResult {
        output: "hello\n\u{1b}[31mred\u{1b}[0m\u{0}\n".into(),
        ..attempt(a, "test_out", Outcome::Passed)
    };
    let alone = CaseResult { alone: true, ..attempt(b, "test_port", Outcome::Passed) };
    let timed_out = CaseResult {
        failure: Some(Failure {
            kind: "timeout".into(),
            message: "ran past 5m".into(),
            detail: String::new(),
        }),
        ..attempt(b, "test_slow", Outcome::TimedOut)
    };
    vec![
        record(vec![attempt(a, "test_ok", Outcome::Passed)]),
        record(vec![printed]),
        record(vec![
            attempt(a, "test_no[1-2]", Outcome::Failed),
            attempt(a, "test_no[1-2]", Outcome::Failed),
        ]),
        record(vec![attempt(a, "test_net", Outcome::Skipped)]),
        record(vec![attempt(b, "test_flaky", Outcome::Failed), attempt(b, "test_flaky", Outcome::Passed)]),
        record(vec![attempt(b, "test_port", Outcome::Errored), alone]),
        record(vec![timed_out]),
    ]
}

/// A run that could not even begin.
pub(super) fn broken() -> RunSummary {
    let cause = Cause {
        code: CauseCode::SetupFailed,
        message: "`pip install -e .` failed with exit status 1".into(),
        detail: "ERROR: no matching distribution <found>".into(),
    };
    let judgement = Judgement::because(cause);
    let mut run = run(&[]);
    run.judgement = judgement.clone();
    run.jobs = vec![JobSummary { spans: Vec::new(), ..job("unit", judgement) }];
    run
}

/// Feeds a whole run through a renderer.
pub(super) fn render(mut renderer: impl Renderer, run: &RunSummary, records: &[CaseRecord]) {
    renderer.begin(run).unwrap();
    for record in records {
        renderer.case(&run.jobs[0], record).unwrap();
    }
    renderer.finish().unwrap();
}

pub(super) fn text_of(render: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    render(&mut out);
    String::from_utf8(out).unwrap()
}
