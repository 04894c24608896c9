//! One host with many runs of many projects: who is started, superseded, resumed and forgotten.

use crate::desk::{Desk, cases, now, spec, suite, unit};
use shared::domain::audit::Actor;
use shared::domain::id::{ProjectId, RunId, ShardAttempt};
use shared::domain::origin::{Origin, Trigger};
use shared::domain::outcome::Outcome::Passed;
use shared::domain::project::{Project, ProjectSettings};
use shared::domain::run::{Run, RunStatus};
use shared::domain::spec::{RunSpec, Shards, SuiteSpec};
use shared::domain::verdict::{Cause, CauseCode, Verdict};
use shared::ports::{LaunchOrder, RunnerState};
use shared::service::project::NewProject;
use shared::service::runs::RunFilter;
use shared::wire::link::RunnerEnd;
use std::sync::atomic::{AtomicUsize, Ordering};

fn project(desk: &Desk, id: &str, settings: ProjectSettings) {
    let new = NewProject {
        id: ProjectId(id.to_owned()),
        title: String::new(),
        repository: None,
        default_branch: "main".to_owned(),
        config: None,
        settings,
    };
    now(desk.services.create_project(&Actor::system(), new)).unwrap();
}

/// A run of a project with one suite of `slots` slots, not looked at yet.
fn submit(desk: &Desk, project: &str, slots: u32, change: impl Fn(&mut Origin)) -> RunId {
    desk.clock.advance_ms(1);
    let suite = SuiteSpec { slots: Some(slots), ..suite("unit") };
    let spec = RunSpec { project: ProjectId(project.to_owned()), ..spec(vec![suite]) };
    let mut origin = Origin::of(&spec);
    change(&mut origin);
    now(desk.services.submit_from(RunId(desk.services.ids.uuid()), &spec, origin)).unwrap()
}

fn started(desk: &Desk) -> Vec<RunId> {
    desk.sweep();
    desk.launcher.take_started().iter().map(|order| order.shard.run).collect()
}

fn order_of(desk: &Desk, run: RunId) -> LaunchOrder {
    let orders = desk.launcher.orders();
    let own = orders.values().filter(|order| order.shard.run == run);
    own.max_by_key(|order| order.shard.attempt).expect("it was never launched").clone()
}

/// Plays the run's only runner to its end.
fn play(desk: &Desk, run: RunId) {
    let order = order_of(desk, run);
    let mut runner = desk.play(&order, 1);
    runner.manifest(&[unit("a")]);
    runner.work(&|leased| cases(&leased.entry.unit, 2).into_iter().map(|case| (case, Passed)).collect());
    runner.finish(RunnerEnd::Done);
    stop(desk, order.shard);
}

fn stop(desk: &Desk, shard: ShardAttempt) {
    let state = RunnerState::Stopped { exit_code: Some(0), reason: "over".to_owned() };
    desk.launcher.set_state(&shard, state.clone());
    now(desk.services.runner_stopped(shard, &state)).unwrap();
}

fn run(desk: &Desk, id: RunId) -> Run {
    now(desk.services.run(id)).unwrap().value
}

#[test]
fn slots_go_round_the_projects_and_no_further_than_there_are() {
    let desk = Desk::with_slots(3);
    let a: Vec<RunId> = (0..3).map(|_| submit(&desk, "a", 1, |_| {})).collect();
    let b = submit(&desk, "b", 1, |_| {});
    let urgent = submit(&desk, "a", 1, |origin| origin.priority = 1);
    assert_eq!(started(&desk), [urgent, b, a[0]]);
    assert_eq!(started(&desk), [], "there is no slot left");
    play(&desk, b);
    assert_eq!(started(&desk), [a[1]]);
}

#[test]
fn a_runner_that_names_no_slots_takes_all_and_is_waited_for() {
    let desk = Desk::with_slots(4);
    let narrow = submit(&desk, "a", 1, |_| {});
    let wide = desk.submit(&spec(vec![suite("unit")]));
    desk.clock.advance_ms(1);
    let late = submit(&desk, "b", 1, |_| {});
    assert_eq!(started(&desk), [narrow], "late has room but it is not its turn");
    play(&desk, narrow);
    assert_eq!(started(&desk), [wide]);
    play(&desk, wide);
    assert_eq!(started(&desk), [late]);
}

#[test]
fn a_project_has_no_more_runs_at_work_than_it_may() {
    let desk = Desk::with_slots(9);
    project(&desk, "a", ProjectSettings { concurrency: Some(1), ..ProjectSettings::default() });
    let first = submit(&desk, "a", 1, |_| {});
    let second = submit(&desk, "a", 1, |_| {});
    let other = submit(&desk, "b", 1, |_| {});
    assert_eq!(started(&desk), [first, other]);
    play(&desk, first);
    assert_eq!(started(&desk), [second]);
}

/// Projects of which one run may be at work; what their runs know of that.
fn limited(desk: &Desk) -> impl Fn(&mut Origin) + use<> + Copy {
    for id in ["a", "c"] {
        project(desk, id, ProjectSettings { concurrency: Some(1), ..ProjectSettings::default() });
    }
    |origin| origin.limited = true
}

/// Sets another limit.
fn limit(desk: &Desk, id: &str, concurrency: Option<u32>) {
    let before = now(desk.services.project(&ProjectId(id.to_owned()))).unwrap();
    let settings = ProjectSettings { concurrency, ..before.value.settings.clone() };
    let next = Project { settings, ..before.value.clone() };
    now(desk.services.change_project(&Actor::system(), &before, next)).unwrap();
}

#[test]
fn without_slots_to_give_out_a_project_has_no_more_runs_at_work_than_it_may() {
    let desk = Desk::with_room(9);
    let one = limited(&desk);
    let first = submit(&desk, "a", 1, one);
    let second = submit(&desk, "a", 1, one);
    let cancelled = submit(&desk, "a", 1, one);
    let urgent = submit(&desk, "a", 1, |origin| {
        one(origin);
        origin.priority = 1;
    });
    let free = [submit(&desk, "b", 1, |_| {}), submit(&desk, "c", 1, one)];
    // Whoever is looked at first: all are planned before any is launched.
    for id in [urgent, cancelled, second, first] {
        now(desk.services.plan(id)).unwrap();
    }
    for id in [second, cancelled, first] {
        now(desk.services.launch(id)).unwrap();
    }
    assert!(desk.launcher.take_started().is_empty(), "it is not their turn");
    assert_eq!(started(&desk), [urgent, free[0], free[1]]);
    assert_eq!(started(&desk), []);
    let why = Cause::new(CauseCode::CancelledByUser, "not needed");
    now(desk.services.cancel(cancelled, why)).unwrap();
    // The end of a run tells the next one at once.
    play(&desk, urgent);
    while let Some(wake) = desk.queue.pop() {
        now(desk.services.handle(wake)).unwrap();
    }
    let next: Vec<RunId> = desk.launcher.take_started().iter().map(|order| order.shard.run).collect();
    assert_eq!(next, [first]);
    play(&desk, first);
    assert_eq!(started(&desk), [second]);
    assert_eq!(desk.end(cancelled).verdict, Verdict::Cancelled);
}

#[test]
fn waiting_for_its_turn_is_not_the_runs_own_time() {
    let desk = Desk::new();
    let one = limited(&desk);
    let first = submit(&desk, "a", 1, one);
    let second = submit(&desk, "a", 1, one);
    assert_eq!(started(&desk), [first]);
    desk.clock.advance_ms(30 * 60_000);
    play(&desk, first);
    desk.clock.advance_ms(3 * 3_600_000);
    assert_eq!(started(&desk), [second], "its hour has not begun");
    let runner = desk.play(&order_of(&desk, second), 1);
    runner.manifest(&[unit("a")]);
    desk.pass(3_600_001);
    assert_eq!(desk.end(second).verdict, Verdict::TimedOut, "from its turn on it counts");
}

#[test]
fn a_limit_that_was_changed_counts_for_those_who_wait() {
    let desk = Desk::with_room(9);
    let one = limited(&desk);
    let runs: Vec<RunId> = (0..4).map(|_| submit(&desk, "a", 1, one)).collect();
    assert_eq!(started(&desk), runs[..1]);
    limit(&desk, "a", Some(2));
    assert_eq!(started(&desk), runs[1..2], "no younger one comes first");
    limit(&desk, "a", None);
    assert_eq!(started(&desk), runs[2..]);
}

#[test]
fn waiting_for_slots_is_not_the_runs_own_time() {
    let desk = Desk::with_slots(1);
    let first = submit(&desk, "a", 1, |_| {});
    let second = submit(&desk, "a", 1, |_| {});
    assert_eq!(started(&desk), [first]);
    play(&desk, first);
    desk.clock.advance_ms(3 * 3_600_000);
    assert_eq!(started(&desk), [second], "its hour has not begun");
    play(&desk, second);
    assert_eq!(desk.end(second).verdict, Verdict::Passed);
    let third = submit(&desk, "a", 1, |_| {});
    assert_eq!(started(&desk), [third]);
    let runner = desk.play(&order_of(&desk, third), 1);
    runner.manifest(&[unit("a")]);
    desk.pass(3_600_001);
    assert_eq!(desk.end(third).verdict, Verdict::TimedOut, "from its start on it counts");
}

#[test]
fn more_slots_than_there_are_is_all_of_them() {
    let desk = Desk::with_slots(2);
    let greedy = submit(&desk, "a", 64, |_| {});
    assert_eq!(started(&desk), [greedy]);
    let order = order_of(&desk, greedy);
    let request = shared::wire::link::SessionRequest {
        link_version: shared::wire::link::LINK_VERSION,
        bootstrap_token: order.bootstrap_token,
        boot_nonce: "nonce00001".to_owned(),
        slots: 2,
    };
    let reply = now(desk.services.open_session(&request)).unwrap();
    assert_eq!(reply.job.suite.slots, Some(2));
}

#[test]
fn a_newer_run_of_a_branch_takes_the_place_of_older_ones() {
    let desk = Desk::new();
    project(&desk, "a", ProjectSettings { supersede: true, ..ProjectSettings::default() });
    let on = |branch: &str| {
        let branch = Some(branch.to_owned());
        move |origin: &mut Origin| origin.branch.clone_from(&branch)
    };
    let old = submit(&desk, "a", 1, on("main"));
    let other_branch = submit(&desk, "a", 1, on("next"));
    let other_project = submit(&desk, "b", 1, on("main"));
    let fork = submit(&desk, "a", 1, |origin| {
        on("main")(origin);
        origin.pull_request = Some(7);
    });
    desk.sweep();
    let rerun = submit(&desk, "a", 1, |origin| {
        on("main")(origin);
        origin.trigger = Trigger::Rerun { of: old };
    });
    desk.sweep();
    assert_eq!(run(&desk, old).cancel, None, "a rerun takes nobody's place");
    let new = submit(&desk, "a", 1, on("main"));
    desk.sweep();
    for superseded in [old, rerun] {
        let cause = run(&desk, superseded).cancel.unwrap();
        assert_eq!(cause.code, CauseCode::Superseded);
        assert!(cause.message.contains(&new.to_string()), "{}", cause.message);
        assert_eq!(desk.end(superseded).verdict, Verdict::Cancelled);
    }
    for kept in [other_branch, other_project, fork, new] {
        assert_eq!(run(&desk, kept).cancel, None);
    }
}

#[test]
fn without_the_setting_and_for_parked_runs_nothing_is_superseded() {
    let desk = Desk::new();
    project(&desk, "a", ProjectSettings { supersede: true, ..ProjectSettings::default() });
    project(&desk, "b", ProjectSettings::default());
    let main = |origin: &mut Origin| origin.branch = Some("main".to_owned());
    let kept = [submit(&desk, "a", 1, main), submit(&desk, "b", 1, main)];
    submit(&desk, "b", 1, main);
    submit(&desk, "a", 1, |origin| {
        main(origin);
        origin.parked = true;
    });
    desk.sweep();
    for id in kept {
        assert_eq!(run(&desk, id).cancel, None);
    }
}

#[test]
fn after_a_restart_lost_runners_are_replaced_at_once_and_nothing_counts_twice() {
    let desk = Desk::with_slots(1);
    let working = submit(&desk, "a", 1, |_| {});
    let queued = submit(&desk, "a", 1, |_| {});
    assert_eq!(started(&desk), [working]);
    let mut runner = desk.play(&order_of(&desk, working), 1);
    runner.manifest(&[unit("a"), unit("b")]);
    let mut batch = runner.lease(None).unwrap();
    let leased = batch.entries[0].clone();
    let half = cases(&leased.entry.unit, 2);
    let events = vec![
        crate::desk::started(&leased),
        crate::desk::announced(&leased, half.clone()),
        crate::desk::case(&leased, &half[0], Passed),
    ];
    runner.send(&mut batch, events).unwrap();

    let after = desk.restarted();
    assert_eq!(now(after.services.resume()).unwrap(), 1);
    assert_eq!(now(after.services.resume()).unwrap(), 0);
    assert_eq!(started(&after), [working], "at once, and the queued one still waits");
    assert_eq!(order_of(&after, working).shard.attempt, 2);
    play(&after, working);
    assert_eq!(started(&after), [queued]);
    play(&after, queued);
    for id in [working, queued] {
        assert_eq!(after.end(id).verdict, Verdict::Passed);
    }
    assert_eq!(after.records(working).len(), 4);
    assert!(after.records(working).iter().all(|record| record.attempts.len() == 1));
    assert_eq!(run(&after, working).figures.unwrap().counts.flaky, 0);
}

#[test]
fn many_restarts_are_no_fault_of_the_run() {
    let mut desk = Desk::with_slots(1);
    let id = submit(&desk, "a", 1, |_| {});
    for _ in 0..10 {
        assert_eq!(started(&desk), [id]);
        desk = desk.restarted();
        now(desk.services.resume()).unwrap();
    }
    assert_eq!(started(&desk), [id]);
    play(&desk, id);
    assert_eq!(desk.end(id).verdict, Verdict::Passed);
}

#[test]
fn retention_forgets_the_oldest_finished_runs_whole_and_step_by_step() {
    let desk = Desk::with_slots(9);
    project(&desk, "a", ProjectSettings { keep_runs: 2, ..ProjectSettings::default() });
    let over: Vec<RunId> = (0..5).map(|_| submit(&desk, "a", 1, |_| {})).collect();
    desk.sweep();
    for &id in &over {
        play(&desk, id);
        desk.end(id);
    }
    let open = submit(&desk, "a", 1, |_| {});
    desk.sweep();
    assert_eq!(now(desk.services.retain(2)).unwrap(), [over[2], over[1]]);
    assert_eq!(now(desk.services.retain(2)).unwrap(), [over[0]]);
    assert_eq!(now(desk.services.retain(2)).unwrap(), []);
    let listed = now(desk.services.runs(&ProjectId("a".into()), &RunFilter::default(), None, 9)).unwrap();
    assert_eq!(listed.items.iter().map(|run| run.id).collect::<Vec<_>>(), [open, over[4], over[3]]);
    for id in &over[..3] {
        assert_eq!(now(desk.services.blobs.list(&format!("runs/{id}/"))).unwrap(), Vec::<String>::new());
        let left =
            now(desk.services.store.query(&format!("run#{id}"), "", None, 9, desk.services.clock.now()));
        assert_eq!(left.unwrap().documents, []);
    }
    assert!(!now(desk.services.blobs.list(&format!("runs/{}/", over[3]))).unwrap().is_empty());
}

#[test]
fn retention_goes_by_age_too_and_never_touches_what_is_open() {
    let desk = Desk::with_slots(9);
    project(&desk, "a", ProjectSettings { keep_days: 1, ..ProjectSettings::default() });
    let done = submit(&desk, "a", 1, |_| {});
    desk.sweep();
    play(&desk, done);
    desk.end(done);
    desk.clock.advance_ms(25 * 3_600_000);
    let parked = submit(&desk, "a", 1, |origin| origin.parked = true);
    desk.clock.advance_ms(3 * 24 * 3_600_000);
    assert_eq!(now(desk.services.retain(9)).unwrap(), [done]);
    assert_eq!(run(&desk, parked).status, RunStatus::Queued);
}

#[test]
fn shards_of_one_run_share_with_others() {
    let desk = Desk::with_slots(4);
    let wide = SuiteSpec { slots: Some(1), shards: Shards::Fixed(4), ..suite("unit") };
    let first = desk.submit(&spec(vec![wide]));
    assert_eq!(started(&desk), [first; 4]);
    let other = submit(&desk, "b", 1, |_| {});
    assert_eq!(started(&desk), []);
    stop(&desk, order_of(&desk, first).shard);
    assert_eq!(started(&desk), [other], "the project with fewer slots comes first");
}

#[test]
fn a_pass_that_runs_out_of_time_leaves_the_rest_to_the_next_one() {
    let desk = Desk::new();
    project(&desk, "web", ProjectSettings::default());
    let runs: Vec<RunId> = (0..5).map(|_| submit(&desk, "web", 1, |_| {})).collect();
    while desk.queue.pop().is_some() {}
    let begun = || -> Vec<bool> {
        let all = runs.iter().map(|run| now(desk.services.run(*run)).unwrap().value);
        all.map(|run| run.status == RunStatus::Running).collect()
    };
    let pass = |runs: usize| {
        let looked_at = AtomicUsize::new(0);
        let is_time = || looked_at.fetch_add(1, Ordering::SeqCst) < runs;
        now(desk.services.sweep_while(&is_time)).unwrap()
    };
    assert!(!pass(2));
    assert_eq!(begun(), [true, true, false, false, false]);
    // One of those that were next ends before they are looked at.
    let cause = Cause::new(CauseCode::CancelledByUser, "by a person");
    now(desk.services.cancel(runs[2], cause)).unwrap();
    now(desk.services.sweep_run(runs[2])).unwrap();
    assert!(!pass(1));
    assert_eq!(begun(), [true, true, false, true, false]);
    // The last one, and the oldest again.
    assert!(!pass(2));
    assert_eq!(begun(), [true, true, false, true, true]);
    assert!(pass(9), "and then everything");
}

#[test]
fn the_end_of_a_runner_that_came_second_is_not_that_of_the_first() {
    let desk = Desk::new();
    project(&desk, "web", ProjectSettings::default());
    let id = submit(&desk, "web", 1, |_| {});
    desk.sweep();
    let order = order_of(&desk, id);
    let mut runner = desk.play(&order, 1);
    runner.manifest(&[unit("a")]);
    desk.launcher.set_state(&order.shard, RunnerState::Running);
    let over = RunnerState::Stopped { exit_code: Some(0), reason: "its token was used already".to_owned() };
    now(desk.services.one_runner_stopped(order.shard, &over)).unwrap();
    runner.work(&|leased| cases(&leased.entry.unit, 2).into_iter().map(|case| (case, Passed)).collect());
    assert_eq!(order_of(&desk, id).shard.attempt, 1);
    runner.finish(RunnerEnd::Done);
    desk.launcher.set_state(&order.shard, over.clone());
    now(desk.services.one_runner_stopped(order.shard, &over)).unwrap();
    desk.sweep();
    assert_eq!(run(&desk, id).judgement.map(|judgement| judgement.verdict), Some(Verdict::Passed));
}
