//! Killing without warning, at moments drawn from a number: every run still ends in a correct report.
//!
//! `FLEETEST_CHAOS_ROUNDS` raises the number of rounds, `FLEETEST_CHAOS_FIRST` is the number of the first one; a
//! failure names its round, and the same round draws the same moments.

use crate::account::Account;
use crate::processes::{self, Process};
use crate::stage::{Ended, Stage, Underway, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::thread;
use std::time::Duration;

const FILES: u64 = 8;
const TESTS: u64 = 6;

/// Healthy tests that take a while.
fn healthy() -> Stage {
    let stage = Stage::new();
    for file in 0..FILES {
        let tests: String =
            (0..TESTS).map(|test| format!("def test_{test}():\n    time.sleep(0.02)\n\n")).collect();
        stage.write(&format!("test_{file}.py"), &format!("import time\n\n{tests}"));
    }
    stage
}

/// Numbers that depend on nothing but the first one.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The rounds of a test: few, unless the environment asks for more.
fn rounds(few: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        let (_, value) = std::env::vars().find(|(key, _)| key == name)?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("`{name}` is `{value}`, which is no number")))
    };
    let first = number("FLEETEST_CHAOS_FIRST").unwrap_or(0);
    first..first + number("FLEETEST_CHAOS_ROUNDS").unwrap_or(few)
}

/// All cases, each passed; nobody is blamed for a death that was ours.
fn assert_healthy(ended: &Ended, round: u64) {
    assert_eq!(ended.code, 0, "round {round}\n{}", ended.stderr);
    let account: &Account = ended.judged(0);
    assert_eq!(account.run.counts.passed, FILES * TESTS, "round {round}");
    assert_eq!(account.run.counts.flaky, 0, "round {round}: a loss is not a flaky test\n{}", ended.stderr);
}

/// The pythons of a stage by their place below the runner: 1 is the warm process, 2 a slot of it.
fn pythons(all: &[Process], depth: usize) -> Vec<Process> {
    let above = |process: &Process| all.iter().find(|other| other.pid == process.parent).cloned();
    let distance = |process: &Process| {
        let mut at = process.clone();
        for steps in 0.. {
            if at.is_runner() {
                return Some(steps);
            }
            at = above(&at)?;
        }
        None
    };
    all.iter().filter(|process| distance(process) == Some(depth)).cloned().collect()
}

/// Kills one of those found, as soon as there are any and a drawn while has passed.
fn strike(
    run: &mut Underway,
    stage: &Stage,
    draw: &mut Draw,
    find: impl Fn(&[Process]) -> Vec<Process>,
) -> bool {
    let mut over = || run.child.try_wait().unwrap().is_some();
    let seen =
        eventually(Duration::from_secs(30), || over() || !find(&processes::of(&stage.state)).is_empty());
    assert!(seen, "there is nothing to kill");
    // The moment is what is drawn; nothing waits for it.
    thread::sleep(Duration::from_millis(draw.below(400)));
    let found = find(&processes::of(&stage.state));
    let Some(victim) = found.get(usize::try_from(draw.below(found.len().max(1) as u64)).unwrap()) else {
        return false;
    };
    victim.kill();
    true
}

fn strike_often(rounds: std::ops::Range<u64>, salt: u64, find: impl Fn(&[Process]) -> Vec<Process> + Copy) {
    let mut struck = 0;
    let all = rounds.end - rounds.start;
    for round in rounds {
        let mut draw = Draw(round * 4 + salt);
        let stage = healthy();
        let mut run = stage.start(&["--slots=2"]);
        struck += u64::from(strike(&mut run, &stage, &mut draw, find));
        assert_healthy(&run.end(), round);
        stage.assert_deserted();
    }
    assert!(struck * 2 >= all, "only {struck} of {all} runs were struck");
}

#[test]
fn killing_a_runner_costs_time_only() {
    strike_often(rounds(3), 0, |all| all.iter().filter(|process| process.is_runner()).cloned().collect());
}

#[test]
fn killing_the_warm_process_costs_time_only() {
    strike_often(rounds(3), 1, |all| pythons(all, 1));
}

#[test]
fn killing_a_slot_costs_time_only() {
    strike_often(rounds(3), 2, |all| pythons(all, 2));
}

#[test]
fn after_fleetest_itself_was_killed_the_next_run_starts_clean() {
    for round in rounds(2) {
        let mut draw = Draw(round * 4 + 3);
        let stage = healthy();
        let run = stage.start(&["--slots=2"]);
        let lock = stage.project.join(".fleetest/lock");
        let locked = || std::fs::read_to_string(&lock).is_ok_and(|text| text.contains("pid"));
        assert!(eventually(Duration::from_secs(30), locked));
        thread::sleep(Duration::from_millis(draw.below(900)));
        let was_over = !locked();
        run.kill();
        stage.assert_deserted();
        let next = stage.run(&["--slots=2"]);
        assert_healthy(&next, round);
        if !was_over {
            next.says(&["was killed before it could finish; this one starts clean"]);
        }
        let third = stage.run(&["--slots=2"]);
        assert_healthy(&third, round);
        assert!(!third.stderr.contains("killed"), "it is said once\n{}", third.stderr);
    }
}

#[test]
fn an_interrupt_cancels_and_still_reports() {
    let stage = healthy();
    stage.write("test_z.py", "import os, pathlib, time\n\ndef test_slow():\n    pathlib.Path(os.environ['FLEETEST_TEST_STATE'], 'slow').touch()\n    time.sleep(600)\n");
    let run = stage.start(&["--slots=2"]);
    assert!(eventually(Duration::from_secs(30), || stage.state.join("slow").exists()));
    kill(Pid::from_raw(run.child.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = run.end();
    let account = ended.judged(5);
    assert_eq!((account.run.verdict.as_str(), account.code()), ("cancelled", "cancelled_by_user"));
    assert_eq!(account.run.counts.failed + account.run.counts.crashed + account.run.counts.timed_out, 0);
    assert!(account.case("test_z.py::test_slow").is_open(), "what was interrupted has no result");
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
    stage.assert_deserted();
    let whole = stage.run(&["--filter", "not test_slow"]);
    assert_eq!(whole.judged(0).run.counts.passed, FILES * TESTS);
    assert!(!whole.stderr.contains("was killed"), "{}", whole.stderr);
}
