//! What becomes of jobs and runs, decision by decision.

use super::*;
use crate::domain::queue::Policy;
use crate::domain::shard::{Clocks, ShardStatus};
use crate::domain::spec::{Framework, SuiteSpec};
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1_000);

fn run() -> Run {
    Run {
        id: RunId(1),
        origin: Origin::default(),
        status: RunStatus::Running,
        queued_at: NOW,
        deadline: NOW.plus_ms(1_000),
        finished_at: None,
        jobs: 1,
        cancel: None,
        partial: false,
        judgement: None,
        begun_at: None,
        figures: None,
    }
}

fn job(name: &str, needs: &[&str], judgement: Option<Judgement>) -> Job {
    let needs = needs.iter().map(|&name| name.to_owned()).collect();
    let suite = SuiteSpec { needs, ..SuiteSpec::new(name, Framework::Pytest) };
    Job {
        run: RunId(1),
        no: JobNo(1),
        spec: JobSpec { name: name.to_owned(), suite, cell: BTreeMap::new() },
        status: JobStatus::Running,
        shards: 1,
        started_at: None,
        deadline: None,
        finished_at: None,
        manifest: None,
        broken: None,
        judgement,
    }
}

fn because(code: CauseCode) -> Option<Judgement> {
    Some(Judgement::because(Cause::new(code, "why")))
}

fn queue() -> Queue {
    Queue::new(1, 1, Policy { retries: 0, fail_fast: None })
}

fn shard(status: ShardStatus) -> Shard {
    let mut shard = Shard::wanted(RunId(1), JobNo(1), 1, NOW);
    shard.status = status;
    shard
}

#[test]
fn a_gate_opens_when_all_needed_jobs_passed_and_is_barred_by_the_first_that_did_not() {
    let waiting = job("e2e", &["unit"], None);
    let passed = || job("unit", &[], Some(Judgement::passed()));
    let pending = job("unit", &[], None);
    let failed = job("unit", &[], because(CauseCode::TestsFailed));
    assert_eq!(gate(&waiting, &[passed(), pending.clone()], false), Gate::Closed);
    assert_eq!(gate(&waiting, &[passed(), passed()], false), Gate::Open);
    assert_eq!(gate(&waiting, &[pending, failed], false), Gate::Barred("unit".to_owned()));
    assert_eq!(gate(&job("free", &[], None), std::slice::from_ref(&waiting), false), Gate::Open);
}

#[test]
fn a_job_without_a_manifest_waits_for_its_runners_and_is_closed_when_there_are_none() {
    let (run, job) = (run(), job("unit", &[], None));
    let step = |shards: &[Shard], now| decide(&run, &job, None, shards, now);
    assert_eq!(step(&[shard(ShardStatus::Running)], NOW), JobStep::Wait);
    assert_eq!(step(&[shard(ShardStatus::Failed), shard(ShardStatus::Wanted)], NOW), JobStep::Wait);
    let closed = |step| matches!(step, JobStep::Close(cause) if cause.code == CauseCode::RunnerLost);
    assert!(closed(step(&[shard(ShardStatus::Failed), shard(ShardStatus::Finished)], NOW)));
    let late = step(&[shard(ShardStatus::Running)], run.deadline.plus_ms(1));
    assert!(matches!(late, JobStep::Close(cause) if cause.code == CauseCode::DeadlinePassed));
}

#[test]
fn a_queue_is_stopped_once_and_proved_when_nothing_is_held() {
    let (mut run, mut job, running) = (run(), job("unit", &[], None), [shard(ShardStatus::Running)]);
    let step = |run: &Run, job: &Job, queue: &Queue| decide(run, job, Some(queue), &running, NOW);
    assert_eq!(step(&run, &job, &queue()), JobStep::Wait);
    job.broken = Some(Cause::new(CauseCode::SetupFailed, "why"));
    assert_eq!(step(&run, &job, &queue()), JobStep::Stop(Stopped::Broken));
    run.cancel = Some(Cause::new(CauseCode::CancelledByUser, "why"));
    assert_eq!(step(&run, &job, &queue()), JobStep::Stop(Stopped::Cancelled));
    let mut held = queue().stop(Stopped::Cancelled);
    held.open_leases = 1;
    assert_eq!(step(&run, &job, &held), JobStep::Wait);
    assert_eq!(step(&run, &job, &queue().stop(Stopped::Cancelled)), JobStep::Prove);
    let empty = Queue::new(0, 0, queue().policy);
    assert_eq!(step(&run, &job, &empty), JobStep::Prove, "what is complete is judged by what it came to");
}

#[test]
fn a_verdict_waits_for_runners_that_end_in_order_but_not_for_ever() {
    let (mut run, mut job) = (run(), job("unit", &[], None));
    run.deadline = NOW.plus_ms(10 * LINGER_MS);
    let done = Queue::new(0, 0, queue().policy).timed(NOW);
    let step = |job: &Job, status, now| decide(&run, job, Some(&done), &[shard(status)], now);
    assert_eq!(step(&job, ShardStatus::Running, NOW), JobStep::Wait);
    assert_eq!(step(&job, ShardStatus::Finished, NOW), JobStep::Prove);
    assert_eq!(step(&job, ShardStatus::Running, NOW.plus_ms(LINGER_MS)), JobStep::Prove);
    job.broken = Some(Cause::new(CauseCode::TeardownFailed, "why"));
    assert_eq!(step(&job, ShardStatus::Running, NOW), JobStep::Prove, "it has been said already");
}

#[test]
fn work_that_no_runner_is_left_to_do_breaks_the_job() {
    let over = [shard(ShardStatus::Failed), shard(ShardStatus::Finished)];
    let step = decide(&run(), &job("unit", &[], None), Some(&queue()), &over, NOW);
    assert_eq!(step, JobStep::Stop(Stopped::Broken));
    let mut lost = shard(ShardStatus::Running);
    let clocks = Clocks { launch_limit: 1, ..Clocks::default() };
    lost = lost.lost(&clocks, NOW, "out of memory");
    let cause = stop_cause(Stopped::Broken, &run(), &job("unit", &[], None), &[lost]);
    assert!(cause.message.contains("out of memory"), "{cause:?}");
}

#[test]
fn a_run_is_judged_by_what_happened_and_not_by_what_therefore_did_not() {
    use CauseCode::{CancelledByUser, NeedNotMet, NoTests, SetupFailed, TestsFailed};
    let judged = |codes: &[Option<CauseCode>], selective| {
        let judgement = |code: &Option<CauseCode>| match code {
            Some(code) => because(*code),
            None => Some(Judgement::passed()),
        };
        let jobs: Vec<Job> = codes.iter().map(|code| job("unit", &[], judgement(code))).collect();
        judge(&jobs, selective).cause.map(|cause| cause.code)
    };
    for (codes, selective, expected) in [
        (vec![None, None], false, None),
        (vec![Some(TestsFailed), Some(NeedNotMet), None], false, Some(TestsFailed)),
        (vec![Some(NoTests), Some(TestsFailed)], false, Some(TestsFailed)),
        (vec![Some(TestsFailed), Some(SetupFailed), Some(TestsFailed)], false, Some(SetupFailed)),
        (vec![Some(SetupFailed), Some(CancelledByUser)], false, Some(CancelledByUser)),
        (vec![Some(NoTests), None], false, Some(NoTests)),
        (vec![Some(NoTests), None], true, None),
        (vec![Some(NoTests), Some(NoTests)], true, Some(NoTests)),
        (vec![Some(NoTests), Some(NeedNotMet), None], true, Some(NoTests)),
        (vec![], true, Some(CauseCode::Internal)),
    ] {
        assert_eq!(judged(&codes, selective), expected, "{codes:?} {selective}");
    }
    let open = [job("unit", &[], Some(Judgement::passed())), job("lint", &[], None)];
    assert_ne!(judge(&open, false).verdict, Verdict::Passed, "a job without a verdict is never green");
}
