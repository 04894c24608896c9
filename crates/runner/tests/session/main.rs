//! Whole sessions of the runner against a scripted coordinator.

#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod framework;
#[cfg(test)]
mod program;

use coordinator::{Coordinator, Fault, State, batches};
use framework::Framework;
use runner::driver::DriverError;
use runner::{RunnerConfig, RunnerExit};
use shared::domain::case::CaseId;
use shared::domain::unit::UnitEvent;
use shared::domain::verdict::CauseCode;
use shared::wire::link::{Command, RunnerEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};

fn config(coordinator: &Coordinator, slots: u32) -> RunnerConfig {
    let mut config = RunnerConfig::new(&coordinator.url, "bootstrap", slots);
    config.cleaner = Arc::new(|secrets: &BTreeMap<String, String>| {
        let secrets: Vec<String> = secrets.values().cloned().collect();
        Arc::new(move |text| secrets.iter().fold(text, |text, secret| text.replace(secret, "***")))
    });
    config
}

fn all(count: u32) -> Vec<u32> {
    (0..count).collect()
}

#[test]
fn a_session_goes_through_its_calls_in_order() {
    let queue = batches(&[2, 1]);
    let coordinator = Coordinator::start(State { queue, heartbeat_ms: 60_000, ..State::default() });
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(3, |running, _| {
            assert!(running.alone, "the only slot is always alone");
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    let state = coordinator.state();
    assert_eq!(state.calls, ["session", "manifest", "lease", "lease", "lease", "finish"]);
    assert_eq!(state.manifest.as_ref().map(|manifest| manifest.units.len()), Some(3));
    assert_eq!((state.finished(), state.cases(), state.end.clone()), (all(3), 3, Some(RunnerEnd::Done)));
}

#[test]
fn a_later_shard_names_its_manifest_and_puts_it_only_if_it_must() {
    let play = |put_by_another: Option<String>| {
        let queue = batches(&[2, 1]);
        let state = State { queue, shard: Some(2), put_by_another, heartbeat_ms: 60_000, ..State::default() };
        let coordinator = Coordinator::start(state);
        let exit = runner::run(&config(&coordinator, 1), &Framework::factory(3, |_, _| Ok(())));
        assert_eq!(exit, RunnerExit::Done);
        let state = coordinator.state();
        assert_eq!((state.finished(), state.cases()), (all(3), 3));
        (state.calls.clone(), state.named.clone())
    };
    let (calls, named) = play(None);
    assert_eq!(calls, ["session", "lease", "manifest", "lease", "lease", "lease", "finish"]);
    assert!(named[0].is_some());
    assert_eq!(named[1..], [None, None, None]);
    let (calls, _) = play(Some("of other units".to_owned()));
    assert_eq!(calls, ["session", "lease", "manifest", "lease", "lease", "lease", "finish"]);
    let (calls, _) = play(named[0].clone());
    assert_eq!(calls, ["session", "lease", "lease", "lease", "finish"]);
}

#[test]
fn an_empty_manifest_is_put_all_the_same() {
    let coordinator = Coordinator::start(State::default());
    let exit = runner::run(&config(&coordinator, 2), &Framework::factory(0, |_, _| Ok(())));
    assert_eq!(exit, RunnerExit::Done);
    assert_eq!(coordinator.state().manifest.as_ref().map(|manifest| manifest.units.len()), Some(0));
}

#[test]
fn two_slots_work_at_the_same_time() {
    let queue = batches(&[1, 1, 1, 1]);
    let coordinator = Coordinator::start(State { queue, ..State::default() });
    let (meeting, slots) = (Barrier::new(2), Arc::new(Mutex::new(BTreeSet::new())));
    let seen = Arc::clone(&slots);
    let exit = runner::run(
        &config(&coordinator, 2),
        &Framework::factory(4, move |running, _| {
            assert!(!running.alone);
            if running.entry.index < 2 {
                meeting.wait();
            }
            seen.lock().unwrap().insert(running.slot);
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    assert_eq!(*slots.lock().unwrap(), BTreeSet::from([1, 2]));
    let mut finished = coordinator.state().finished();
    finished.sort_unstable();
    assert_eq!(finished, all(4));
}

#[test]
fn an_entry_that_runs_alone_has_the_runner_to_itself() {
    let mut queue = batches(&[1; 24]);
    for batch in queue.iter_mut().step_by(5) {
        batch[0].entry.alone = true;
    }
    let coordinator = Coordinator::start(State { queue, ..State::default() });
    let inside = AtomicU32::new(0);
    let exit = runner::run(
        &config(&coordinator, 4),
        &Framework::factory(24, move |running, _| {
            let others = inside.fetch_add(1, Ordering::SeqCst);
            assert!(!running.alone || others == 0, "an entry that runs alone began beside {others}");
            std::thread::yield_now();
            let left = inside.fetch_sub(1, Ordering::SeqCst);
            assert!(!running.alone || left == 1, "another entry began beside one that runs alone");
            assert_eq!(running.alone, running.entry.entry.alone);
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    assert_eq!(coordinator.state().finished().len(), 24);
}

#[test]
fn a_stale_lease_is_dropped_and_the_work_goes_on() {
    let queue = batches(&[3]);
    let coordinator = Coordinator::start(State { queue, ..State::default() });
    let (zombie, taken) = (Arc::clone(&coordinator), AtomicU32::new(0));
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(3, move |running, sink| {
            if running.entry.index == 1 && taken.fetch_add(1, Ordering::SeqCst) == 0 {
                zombie.state().expire_leases();
                sink.flush();
            }
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    let state = coordinator.state();
    assert_eq!(state.finished(), all(3), "nothing of the lost lease was accepted after it was lost");
    assert_eq!(state.open_leases(), 0);
}

#[test]
fn a_lease_lost_at_its_very_end_is_asked_for_again() {
    let queue = batches(&[1, 1]);
    let coordinator = Coordinator::start(State { queue, ..State::default() });
    let (zombie, taken) = (Arc::clone(&coordinator), AtomicU32::new(0));
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(2, move |_, _| {
            if taken.fetch_add(1, Ordering::SeqCst) == 0 {
                zombie.state().expire_leases();
            }
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    assert_eq!(coordinator.state().finished(), [1, 0]);
}

#[test]
fn every_call_may_fail_twice_before_and_after_its_effect() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let faults = move |name: &str| {
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        match *count % 4 {
            1 => Fault::CutBefore,
            2 => Fault::CutAfter,
            3 => Fault::Status(503, "unavailable"),
            _ => Fault::None,
        }
    };
    let secrets = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
    let queue = batches(&[2, 3, 1]);
    let coordinator = Coordinator::start_with(State { queue, secrets, ..State::default() }, Box::new(faults));
    let exit = runner::run(
        &config(&coordinator, 2),
        &Framework::factory(6, |_, sink| {
            sink.flush();
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    let state = coordinator.state();
    let mut finished = state.finished();
    finished.sort_unstable();
    assert_eq!((finished, state.cases()), (all(6), 6), "each result was taken exactly once");
    assert!(state.duplicates > 0, "the faults must have made duplicates");
    let outputs = state.events.iter().filter_map(|event| {
        let UnitEvent::Case { result, .. } = event else { return None };
        Some(result.output.as_str())
    });
    assert!({ outputs }.all(|output| output == "printed ***"));
}

#[test]
fn results_made_while_the_coordinator_is_away_arrive_when_it_is_back() {
    let away_for = Arc::new(AtomicU32::new(0));
    let away = Arc::clone(&away_for);
    let faults = move |_: &str| {
        let left = away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |calls| calls.checked_sub(1));
        if left.is_ok() { Fault::CutBefore } else { Fault::None }
    };
    let state = State { queue: batches(&[8]), ..State::default() };
    let coordinator = Coordinator::start_with(state, Box::new(faults));
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(8, move |running, sink| {
            if running.entry.index == 2 {
                away_for.store(8, Ordering::SeqCst);
            }
            let case = |n: u32| CaseId(format!("{n}{}", "x".repeat(100_000)));
            for n in 0..10 {
                sink.event(UnitEvent::CaseStarted { entry: running.entry.index, case: case(n) });
            }
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    let state = coordinator.state();
    assert_eq!((state.finished(), state.events.len()), (all(8), 8 * 14), "in order, and each once");
}

#[test]
fn a_coordinator_that_always_answers_stale_is_given_up() {
    let faults = |name: &str| if name == "lease" { Fault::Status(409, "stale_lease") } else { Fault::None };
    let coordinator = Coordinator::start_with(State::default(), Box::new(faults));
    let exit = runner::run(&config(&coordinator, 1), &Framework::factory(1, |_, _| Ok(())));
    assert!(matches!(exit, RunnerExit::Broken(cause) if cause.code == CauseCode::Internal));
}

#[test]
fn flush_returns_only_when_the_coordinator_has_everything() {
    let coordinator = Coordinator::start(State { queue: batches(&[1]), ..State::default() });
    let witness = Arc::clone(&coordinator);
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(1, move |_, sink| {
            sink.flush();
            assert!(matches!(witness.state().events.last(), Some(UnitEvent::Announced { .. })));
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
    assert_eq!(coordinator.state().finished(), [0]);
}

#[test]
fn results_arrive_while_a_unit_still_runs() {
    let coordinator = Coordinator::start(State { queue: batches(&[1]), ..State::default() });
    let witness = Arc::clone(&coordinator);
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(1, move |_, _| {
            drop(witness.await_state(|state| state.events.len() == 2));
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Done);
}

#[test]
fn a_cancelled_run_stops_reports_and_gives_back() {
    let coordinator = Coordinator::start(State { queue: batches(&[3]), ..State::default() });
    let canceller = Arc::clone(&coordinator);
    let exit = runner::run(
        &config(&coordinator, 2),
        &Framework::factory(3, move |running, _| {
            if running.entry.index == 1 {
                canceller.state().command = Some(Command::Cancel);
                running.stop.wait();
                return Err(DriverError::Stopped);
            }
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Released);
    let state = coordinator.state();
    assert_eq!((state.finished(), state.open_leases(), state.released.len()), (vec![0], 0, 1));
    assert_eq!(state.end, Some(RunnerEnd::Released));
    let calls = &state.calls[state.calls.len() - 3..];
    assert!(calls.contains(&"finish".to_owned()) && calls.contains(&"release".to_owned()), "{calls:?}");
}

#[test]
fn the_last_parts_of_many_lanes_are_given_back_in_calls_of_their_own() {
    const LANES: u32 = 4;
    let coordinator = Coordinator::start(State { queue: batches(&[1; 4]), ..State::default() });
    let canceller = Arc::clone(&coordinator);
    let all_inside = Barrier::new(LANES as usize);
    let exit = runner::run(
        &config(&coordinator, LANES),
        &Framework::factory(LANES, move |running, _| {
            if all_inside.wait().is_leader() {
                canceller.state().command = Some(Command::Cancel);
            }
            running.stop.wait();
            Err(DriverError::Stopped)
        }),
    );
    assert_eq!(exit, RunnerExit::Released);
    let state = coordinator.state();
    let sizes: Vec<usize> = state.released.iter().map(|release| release.leases.len()).collect();
    assert_eq!((sizes, state.open_leases()), (vec![1; LANES as usize], 0));
    assert_eq!(state.end, Some(RunnerEnd::Released));
}

#[test]
fn draining_finishes_the_lease_and_takes_no_other() {
    let coordinator = Coordinator::start(State { queue: batches(&[2, 1]), ..State::default() });
    let drainer = Arc::clone(&coordinator);
    let exit = runner::run(
        &config(&coordinator, 1),
        &Framework::factory(3, move |running, _| {
            if running.entry.index == 0 {
                let mut state = drainer.state();
                state.command = Some(Command::Drain);
                state.phases.clear();
                drop(state);
                // The second beat is sent after the first was answered.
                drop(drainer.await_state(|state| state.phases.len() >= 2));
            }
            Ok(())
        }),
    );
    assert_eq!(exit, RunnerExit::Released);
    let state = coordinator.state();
    assert_eq!((state.finished(), state.open_leases(), state.queue.len()), (vec![0, 1], 0, 1));
    assert_eq!(state.end, Some(RunnerEnd::Released));
}

#[test]
fn a_broken_slot_ends_the_runner_with_its_cause() {
    let coordinator = Coordinator::start(State { queue: batches(&[2, 1, 1]), ..State::default() });
    let exit = runner::run(
        &config(&coordinator, 2),
        &Framework::factory(4, |running, _| {
            if running.entry.index == 1 {
                return Err(DriverError::broken(CauseCode::Internal, "no more processes", "fork: EAGAIN"));
            }
            if running.entry.index > 1 {
                running.stop.wait();
                return Err(DriverError::Stopped);
            }
            Ok(())
        }),
    );
    let state = coordinator.state();
    let Some(RunnerEnd::Broken { cause }) = state.end.clone() else { panic!("{:?}", state.end) };
    assert_eq!((cause.message.as_str(), cause.detail.as_str()), ("no more processes", "fork: EAGAIN"));
    assert_eq!((exit, state.open_leases()), (RunnerExit::Broken(cause), 0));
    assert!(state.finished().contains(&0), "what was done before is reported");
}

#[test]
fn a_panic_in_a_driver_is_reported_and_never_hangs() {
    let coordinator = Coordinator::start(State { queue: batches(&[1]), ..State::default() });
    let exit =
        runner::run(&config(&coordinator, 2), &Framework::factory(1, |_, _| panic!("as the test wants")));
    assert!(matches!(exit, RunnerExit::Broken(cause) if cause.code == CauseCode::Internal));
}

#[test]
fn a_fenced_runner_stops_work_and_leaves_quietly() {
    for (status, code) in [(401, "unauthorised"), (410, "gone")] {
        let faults =
            move |name: &str| if name == "heartbeat" { Fault::Status(status, code) } else { Fault::None };
        let state = State { queue: batches(&[1]), ..State::default() };
        let coordinator = Coordinator::start_with(state, Box::new(faults));
        let exit = runner::run(
            &config(&coordinator, 1),
            &Framework::factory(1, |running, _| {
                running.stop.wait();
                Err(DriverError::Stopped)
            }),
        );
        assert!(matches!(exit, RunnerExit::Fenced(_)), "{exit:?}");
        let calls = &coordinator.state().calls;
        assert!(!calls.iter().any(|call| call == "finish" || call == "release"), "{calls:?}");
    }
}

#[test]
fn a_spent_bootstrap_token_opens_nothing() {
    let coordinator = Coordinator::start(State::default());
    let mut config = config(&coordinator, 1);
    config.bootstrap_token = "stolen".into();
    let exit = runner::run(&config, &Framework::factory(0, |_, _| Ok(())));
    assert!(matches!(exit, RunnerExit::Fenced(_)), "{exit:?}");
}

#[test]
fn a_refused_call_is_a_fault_that_the_coordinator_hears_of() {
    let faults = |name: &str| if name == "manifest" { Fault::Status(422, "invalid") } else { Fault::None };
    let coordinator = Coordinator::start_with(State::default(), Box::new(faults));
    let exit = runner::run(&config(&coordinator, 1), &Framework::factory(1, |_, _| Ok(())));
    assert!(matches!(&exit, RunnerExit::Broken(cause) if cause.message.contains("`manifest`")), "{exit:?}");
    assert!(matches!(coordinator.state().end, Some(RunnerEnd::Broken { .. })));
}
