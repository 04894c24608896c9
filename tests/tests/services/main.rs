//! The use-cases call by call, on adapters in memory: what a runner may do to them, and what becomes of the run.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api;
mod desk;
mod hosting;
mod link;
mod wakes;

use async_trait::async_trait;
use desk::{Desk, aborted, announced, case, cases, now, spec, started, suite, unit, whole};
use shared::domain::case::CaseId;
use shared::domain::id::ShardAttempt;
use shared::domain::outcome::Outcome::{self, Crashed, Failed, Passed, Skipped};
use shared::domain::spec::{ChosenUnit, RunSpec, Shards, SuiteSpec};
use shared::domain::unit::{DiscoveredUnit, LeasedEntry, Selection, manifest_digest};
use shared::domain::verdict::{Cause, CauseCode, Verdict};
use shared::ports::{
    Change, Condition, Key, LaunchOrder, Launcher, PortError, PortResult, RunnerState, Write,
};
use shared::service::ServiceError;
use shared::wire::link::{LeaseReply, ReleaseRequest, RunnerEnd};
use std::collections::BTreeSet;
use std::sync::Arc;
use testkit::memory::MemoryBlobs;

fn all(unit: &str, count: usize, outcome: Outcome) -> Vec<(CaseId, Outcome)> {
    cases(unit, count).into_iter().map(|id| (id, outcome)).collect()
}

fn code(judgement: &shared::domain::verdict::Judgement) -> Option<CauseCode> {
    judgement.cause.as_ref().map(|cause| cause.code)
}

#[test]
fn the_sweep_alone_brings_a_run_to_green() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let mut runner = desk.runner(1, 1, 2);
    runner.manifest(&[unit("a"), unit("b")]);
    runner.work(&|leased| all(&leased.entry.unit, 3, Passed));
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
    assert_eq!(desk.records(run).len(), 6);
}

#[test]
fn a_runner_that_names_its_manifest_need_not_put_it_if_another_one_has() {
    let desk = Desk::new();
    let two = SuiteSpec { shards: Shards::Fixed(2), ..suite("unit") };
    desk.submit(&spec(vec![two]));
    let (mut one, other) = (desk.runner(1, 1, 1), desk.runner(1, 2, 1));
    let units = [unit("a"), unit("b")];
    let ours = manifest_digest(&units).unwrap();
    assert_eq!(one.ask_naming(&ours), LeaseReply::Unplanned, "nobody has put one");
    other.manifest(&units);
    assert_eq!(one.ask_naming(&manifest_digest(&units[1..]).unwrap()), LeaseReply::Unplanned, "another one");
    let batch = one.ask_naming(&ours);
    assert!(matches!(batch, LeaseReply::Batch { .. }), "{batch:?}");
}

#[test]
fn shards_for_which_there_is_no_room_wait_however_long_it_takes() {
    let desk = Desk::with_room(2);
    let suite = SuiteSpec { shards: Shards::Fixed(5), timeout_ms: 4 * 3_600_000, ..suite("unit") };
    desk.submit(&RunSpec { timeout_ms: 4 * 3_600_000, ..spec(vec![suite]) });
    let runners = [desk.runner(1, 1, 1), desk.runner(1, 2, 1)];
    let started = |desk: &Desk| -> Vec<(u32, u32)> {
        desk.launcher.take_started().iter().map(|order| (order.shard.shard, order.shard.attempt)).collect()
    };
    assert_eq!(started(&desk), [(1, 1), (2, 1)]);
    // Longer than any runner may take to come forward.
    for _ in 0..20 {
        desk.pass(60_000);
        for runner in &runners {
            now(desk.services.heartbeat(&runner.caller)).unwrap();
        }
        desk.sweep();
    }
    assert_eq!(started(&desk), []);
    let run = runners[0].caller.id.run;
    let page = now(desk.services.shards((run, shared::domain::id::JobNo(1)), None, 10)).unwrap();
    let attempts: Vec<u32> = page.items.iter().map(|shard| shard.id.attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 1, 1], "nothing is lost by waiting: {:#?}", page.items);
    let [one, other] = runners;
    one.manifest(&[unit("a"), unit("b"), unit("c"), unit("d"), unit("e")]);
    for runner in [&one, &other] {
        runner.finish(RunnerEnd::Done);
        let state = RunnerState::Stopped { exit_code: Some(0), reason: String::new() };
        desk.launcher.set_state(&runner.caller.id, state);
    }
    desk.pass(60_000);
    desk.sweep();
    let last: Vec<u32> = started(&desk).iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(last, [1, 1], "there is room for two");
}

/// A launcher that never has room for the first shard.
#[derive(Debug)]
struct NotTheFirst(Arc<dyn Launcher>);

#[async_trait]
impl Launcher for NotTheFirst {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        if order.shard.shard > 1 {
            return self.0.launch(order).await;
        }
        let (subject, reason) = (order.shard.to_string(), "its zones are full".to_owned());
        Err(PortError::Unavailable { port: "launcher", subject, reason })
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        self.0.describe(shard).await
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        self.0.stop(shard).await
    }
}

#[test]
fn a_shard_for_which_there_is_never_room_keeps_no_other_one_waiting() {
    let desk = Desk::new();
    let launcher = Arc::new(NotTheFirst(Arc::clone(&desk.launcher) as _));
    let desk = desk.launching_by(launcher);
    desk.submit(&spec(vec![SuiteSpec { shards: Shards::Fixed(4), ..suite("unit") }]));
    assert_eq!(desk.launcher.live(), 0);
    desk.pass(60_000);
    desk.sweep();
    let started: Vec<u32> = desk.launcher.take_started().iter().map(|order| order.shard.shard).collect();
    assert_eq!(started, [2, 3, 4]);
}

#[test]
fn a_request_that_is_repeated_is_answered_and_counted_once() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    runner.manifest(&[unit("a")]);
    let mut batch = runner.lease(None).unwrap();
    let same = now(desk.services.lease(
        &runner.caller,
        &shared::wire::link::LeaseRequest {
            request_id: "request-1".into(),
            slot: 1,
            finished: None,
            manifest: None,
        },
    ));
    let LeaseReply::Batch { lease, entries, .. } = same.unwrap() else { panic!("no batch") };
    assert_eq!((lease, &entries), (batch.last.lease, &batch.entries));
    let events = whole(&batch.entries[0], &all("a", 2, Passed));
    runner.send(&mut batch, events.clone()).unwrap();
    batch.last.part = 0;
    runner.send(&mut batch, events).unwrap();
    assert_eq!(runner.ask(Some(batch.last.clone())).unwrap(), LeaseReply::Done);
    assert_eq!(runner.ask(Some(batch.last)).unwrap(), LeaseReply::Done);
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
    assert_eq!(desk.records(run).len(), 2);
}

#[test]
fn nobody_gives_back_the_lease_of_another() {
    let desk = Desk::new();
    let two = SuiteSpec { shards: Shards::Fixed(2), ..suite("unit") };
    let run = desk.submit(&spec(vec![two]));
    let (mut one, other) = (desk.runner(1, 1, 1), desk.runner(1, 2, 1));
    one.manifest(&[unit("a")]);
    let mut batch = one.lease(None).unwrap();
    for epoch in [batch.last.epoch, batch.last.epoch + 1] {
        let request = ReleaseRequest {
            leases: vec![shared::wire::link::ResultsRequest { epoch, ..batch.last.clone() }],
            reason: "mine".into(),
        };
        now(desk.services.release(&other.caller, &request)).unwrap();
    }
    let events = whole(&batch.entries[0], &all("a", 1, Passed));
    one.send(&mut batch, events).unwrap();
    assert_eq!(one.ask(Some(batch.last)).unwrap(), LeaseReply::Done);
    one.finish(RunnerEnd::Done);
    other.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
}

#[test]
fn a_plan_that_lost_does_not_overwrite_the_one_that_won() {
    let blobs = Arc::new(MemoryBlobs::default());
    let listed = DiscoveredUnit { cases: Some(cases("a", 400)), ..unit("a") };
    // The same run in two stores over the same blobs: two runners that put the manifest at the same moment.
    let desks: Vec<Desk> = (0..2).map(|_| Desk::beside(Arc::clone(&blobs) as _)).collect();
    let submitted: Vec<_> = desks.iter().map(|desk| desk.submit(&spec(vec![suite("unit")]))).collect();
    assert_eq!(submitted[0], submitted[1]);
    let mut runners: Vec<_> =
        desks.iter().zip([64, 1]).map(|(desk, slots)| desk.runner(1, 1, slots)).collect();
    for runner in &runners {
        runner.manifest(std::slice::from_ref(&listed));
    }
    for (desk, runner) in desks.iter().zip(&mut runners) {
        runner.work(&|_| all("a", 400, Passed));
        runner.finish(RunnerEnd::Done);
        assert_eq!(desk.records(submitted[0]).len(), 400);
        assert_eq!(desk.end(submitted[0]).verdict, Verdict::Passed);
    }
}

#[test]
fn a_unit_with_thousands_of_failures_fits_into_small_documents() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![SuiteSpec { retries: 3, ..suite("unit") }]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    runner.work(&|_| all("a", 20_000, Failed));
    runner.finish(RunnerEnd::Done);
    let judgement = desk.end(run);
    assert_eq!((judgement.verdict, code(&judgement)), (Verdict::Failed, Some(CauseCode::TestsFailed)));
    let records = desk.records(run);
    assert_eq!(records.len(), 20_000);
    let (mut pieces, mut report) = (0, Vec::new());
    let mut take = |piece: &[u8]| {
        pieces += 1;
        report.extend_from_slice(piece);
        Ok(())
    };
    now(desk.services.read_report(run, "report.json", &mut take)).unwrap();
    assert!(pieces > 1 && serde_json::from_slice::<serde_json::Value>(&report).is_ok(), "{pieces} pieces");
    let retried = records.iter().filter(|record| record.attempts.len() > 1).count();
    assert!((25..2_000).contains(&retried), "{retried}");
}

#[test]
fn thousands_of_cases_that_cannot_even_be_collected_again_are_judged() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    let mut batch = runner.lease(None).unwrap();
    let leased = batch.entries[0].clone();
    batch.last.events = vec![started(&leased), announced(&leased, cases("a", 3_000)), aborted(&leased)];
    let mut batch = runner.lease(Some(batch.last)).unwrap();
    let leased = batch.entries[0].clone();
    assert!(leased.entry.careful && leased.entry.alone && leased.entry.promised);
    batch.last.events = vec![started(&leased), aborted(&leased)];
    assert_eq!(runner.ask(Some(batch.last)).unwrap(), LeaseReply::Done);
    runner.finish(RunnerEnd::Done);
    let judgement = desk.end(run);
    assert_eq!((judgement.verdict, code(&judgement)), (Verdict::Failed, Some(CauseCode::TestsFailed)));
    let records = desk.records(run);
    assert_eq!(records.iter().filter(|record| record.outcome() == Crashed).count(), 3_000);
}

#[test]
fn a_case_that_kills_its_process_twice_is_crashed_and_the_rest_runs() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    let ids = cases("a", 3);
    let mut finished = None;
    for careful in [false, true] {
        let mut batch = runner.lease(finished.take()).unwrap();
        let leased = batch.entries[0].clone();
        assert_eq!(leased.entry.careful, careful);
        let found = if careful { ids[1..].to_vec() } else { ids.clone() };
        let mut events = vec![started(&leased), announced(&leased, found)];
        if careful {
            let next =
                shared::domain::unit::UnitEvent::CaseStarted { entry: leased.index, case: ids[1].clone() };
            events.push(next);
        } else {
            events.push(case(&leased, &ids[0], Passed));
        }
        // The suspect that the driver names has its result already: it must not protect the guilty one.
        events.push(shared::domain::unit::UnitEvent::Aborted {
            entry: leased.index,
            suspect: (!careful).then(|| ids[0].clone()),
            reason: "signal 11".into(),
        });
        batch.last.events = events;
        finished = Some(batch.last);
    }
    let mut batch = runner.lease(finished).unwrap();
    assert_eq!(batch.entries[0].entry.selection, Selection::Only(vec![ids[2].clone()]));
    batch.last.events = whole(&batch.entries[0], &all("a", 3, Passed));
    assert_eq!(runner.ask(Some(batch.last)).unwrap(), LeaseReply::Done);
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Failed);
    let outcomes: BTreeSet<(CaseId, Outcome)> =
        desk.records(run).iter().map(|record| (record.attempts[0].case.clone(), record.outcome())).collect();
    let expected = [(ids[0].clone(), Passed), (ids[1].clone(), Crashed), (ids[2].clone(), Passed)];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn dying_without_a_word_again_and_again_comes_to_an_end() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    let ids = cases("a", 4);
    let (mut finished, mut deaths) = (None, 0);
    while let Some(mut batch) = runner.lease(finished.take()) {
        let leased = batch.entries[0].clone();
        let chosen = leased.entry.selection.compile();
        let found: Vec<CaseId> = ids.iter().filter(|id| chosen.keeps(id)).cloned().collect();
        batch.last.events = vec![
            started(&leased),
            announced(&leased, found),
            shared::domain::unit::UnitEvent::Aborted {
                entry: leased.index,
                // Nobody's case: a driver that is wrong about it must not keep the run open.
                suspect: Some(CaseId::from("somebody else")),
                reason: "gone".into(),
            },
        ];
        finished = Some(batch.last);
        deaths += 1;
        assert!(deaths < 40, "no end in sight");
    }
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Failed);
    assert!(desk.records(run).iter().all(|record| record.outcome() == Crashed));
}

#[test]
fn a_failure_that_passes_alone_is_flaky_even_if_the_rest_of_its_unit_was_lost() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let ids = cases("a", 3);
    {
        let mut runner = desk.runner(1, 1, 1);
        runner.manifest(&[unit("a")]);
        let mut batch = runner.lease(None).unwrap();
        let leased = batch.entries[0].clone();
        let events = vec![started(&leased), announced(&leased, ids.clone()), case(&leased, &ids[0], Failed)];
        runner.send(&mut batch, events).unwrap();
        let gone = RunnerState::Stopped { exit_code: None, reason: "killed".into() };
        now(desk.services.runner_stopped(runner.caller.id, &gone)).unwrap();
        let late = runner.send(&mut batch, vec![case(&leased, &ids[1], Passed)]);
        assert!(matches!(late, Err(ServiceError::Shard(_))), "{late:?}");
    }
    desk.sweep();
    let mut next = desk.runner(1, 1, 1);
    assert_eq!(next.caller.id.attempt, 2);
    next.work(&|_| all("a", 3, Passed));
    next.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
    let records = desk.records(run);
    let flaky: Vec<&CaseId> =
        records.iter().filter(|r| r.flaky().is_some()).map(|r| &r.attempts[0].case).collect();
    assert_eq!((records.len(), flaky), (3, vec![&ids[0]]));
}

#[test]
fn a_cause_as_large_as_a_request_still_ends_the_job() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let runner = desk.runner(1, 1, 1);
    let huge = "\u{1b}".repeat(1_500_000);
    let cause = Cause { detail: huge.clone(), ..Cause::new(CauseCode::SetupFailed, format!("no: {huge}")) };
    runner.finish(RunnerEnd::Broken { cause });
    let judgement = desk.end(run);
    assert_eq!((judgement.verdict, code(&judgement)), (Verdict::Errored, Some(CauseCode::SetupFailed)));
}

#[test]
fn nothing_that_ran_nothing_is_green() {
    type Found = fn(&LeasedEntry) -> Vec<(CaseId, Outcome)>;
    let found: [(&str, Found); 2] =
        [("nothing collected", |_| Vec::new()), ("all skipped", |_| all("a", 2, Skipped))];
    for (what, found) in found {
        let desk = Desk::new();
        let run = desk.submit(&spec(vec![suite("unit")]));
        let mut runner = desk.runner(1, 1, 1);
        runner.manifest(&[unit("a")]);
        runner.work(&found);
        runner.finish(RunnerEnd::Done);
        assert_eq!(code(&desk.end(run)), Some(CauseCode::NoTests), "{what}");
    }
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    desk.runner(1, 1, 1).manifest(&[]);
    assert_eq!(code(&desk.end(run)), Some(CauseCode::NoTests), "an empty manifest");
}

#[test]
fn runners_that_never_come_forward_end_the_run_and_not_in_green() {
    let desk = Desk::new();
    let run = desk.submit(&spec(vec![suite("unit")]));
    let clocks = desk.services.settings.clocks;
    for _ in 0..clocks.launch_limit {
        desk.pass(clocks.start_deadline_ms + 1);
        desk.sweep();
    }
    let judgement = desk.end(run);
    assert_eq!((judgement.verdict, code(&judgement)), (Verdict::Errored, Some(CauseCode::RunnerLost)));
    assert_eq!(desk.launcher.orders().len(), clocks.launch_limit as usize);
}

#[test]
fn a_silent_runner_past_the_deadline_is_timed_out() {
    let desk = Desk::new();
    let run = desk.submit(&RunSpec { timeout_ms: 60_000, ..spec(vec![suite("unit")]) });
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    assert!(runner.lease(None).is_some());
    desk.pass(desk.services.settings.clocks.lost_after_ms + 1);
    assert_eq!(desk.end(run).verdict, Verdict::TimedOut);
}

#[test]
fn what_could_not_run_does_not_hide_why() {
    let desk = Desk::new();
    let gated = SuiteSpec { needs: vec!["unit".into()], ..suite("e2e") };
    let run = desk.submit(&spec(vec![suite("unit"), gated]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    runner.work(&|_| all("a", 1, Failed));
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).exit_code(), 1);
    let summary = now(desk.services.visit_cases(run, |_| {})).unwrap();
    assert_eq!(code(&summary.jobs[1].judgement), Some(CauseCode::NeedNotMet));
}

#[test]
fn a_suite_that_a_filter_empties_is_no_fault_if_another_has_tests() {
    for (filter, exit) in [(Some("a".to_owned()), 0), (None, 4)] {
        let desk = Desk::new();
        let run = desk.submit(&RunSpec { filter, ..spec(vec![suite("one"), suite("two")]) });
        for (job, count) in [(1, 2), (2, 0)] {
            let mut runner = desk.runner(job, 1, 1);
            runner.manifest(&[unit("a")]);
            runner.work(&|_| all("a", count, Passed));
            runner.finish(RunnerEnd::Done);
        }
        assert_eq!(desk.end(run).exit_code(), exit);
    }
}

#[test]
fn chosen_cases_make_the_jobs_that_have_them_and_no_others() {
    let chosen = |job: &str| {
        vec![ChosenUnit { job: job.into(), unit: "a".into(), cases: vec![cases("a", 1).remove(0)] }]
    };
    let desk = Desk::new();
    let suites = vec![suite("one"), suite("two")];
    let run = desk.submit(&RunSpec { chosen: chosen("two"), ..spec(suites.clone()) });
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a"), unit("b")]);
    runner.work(&|_| all("a", 5, Passed));
    runner.finish(RunnerEnd::Done);
    assert_eq!((desk.end(run).verdict, desk.records(run).len()), (Verdict::Passed, 1));
    let run = desk.submit(&RunSpec { chosen: chosen("gone"), ..spec(suites) });
    assert_eq!(code(&desk.end(run)), Some(CauseCode::NoTests));
}

#[test]
fn a_history_that_cannot_be_read_costs_nothing_but_time() {
    let desk = Desk::new();
    let write = Write {
        key: Key::new("history#p", "suite#unit#head"),
        condition: Condition::Any,
        change: Change::Put { body: "{\"of\":\"long ago\"}".into(), expires_at: None, index: None },
    };
    now(desk.services.store.commit(vec![write])).unwrap();
    let run = desk.submit(&spec(vec![SuiteSpec { shards: Shards::Auto, ..suite("unit") }]));
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a")]);
    runner.work(&|_| all("a", 2, Passed));
    runner.finish(RunnerEnd::Done);
    assert_eq!(desk.end(run).verdict, Verdict::Passed);
}

#[test]
fn the_limit_of_failures_stops_the_rest() {
    let desk = Desk::new();
    let failing = SuiteSpec { retries: 0, ..suite("unit") };
    let run = desk.submit(&RunSpec { fail_fast: Some(1), ..spec(vec![failing]) });
    let mut runner = desk.runner(1, 1, 1);
    runner.manifest(&[unit("a"), unit("b")]);
    let mut batch = runner.lease(None).unwrap();
    let first = batch.entries[0].clone();
    let events = whole(&first, &all(&first.entry.unit, 2, Failed));
    runner.send(&mut batch, events).unwrap();
    let request = ReleaseRequest { leases: vec![batch.last], reason: "cancelled".into() };
    now(desk.services.release(&runner.caller, &request)).unwrap();
    assert_eq!(runner.ask(None).unwrap(), LeaseReply::Done);
    runner.finish(RunnerEnd::Released);
    assert_eq!(desk.end(run).exit_code(), 1);
    assert_eq!(desk.records(run).len(), 2);
}
