//! Faults of the fleet and of functions: machines taken back, too small, refused or never started; functions that are ended.

use crate::project::{Project, SUITE};
use crate::stack::{eventually, stack};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// A case that has begun, and goes on when the test lets it.
const GATED: &str = "\
import os, time

def test_first():
    pass

def test_gated():
    open('BEGUN', 'a').write('x')
    while not os.path.exists('GATE'):
        time.sleep(0.01)
";

/// A project whose second case waits until it is let go on.
struct Gated {
    project: Project,
}

impl Gated {
    fn new() -> Self {
        let project = Project::with(&[("fleetest.toml", SUITE)]);
        let place = |name: &str| project.path(name).to_str().unwrap().to_owned();
        let tests = GATED.replace("BEGUN", &place("begun")).replace("GATE", &place("gate"));
        fs::write(project.path("test_it.py"), tests).unwrap();
        Self { project }
    }

    /// How often the gated case has begun.
    fn begun(&self) -> u64 {
        fs::metadata(self.project.path("begun")).map_or(0, |file| file.len())
    }

    /// Says what is to happen while the gated case runs; the run.
    fn begins(&self, faults: &str) -> String {
        let run = self.project.starts();
        eventually("the case begins", || (self.begun() > 0).then_some(()));
        fs::write(stack().faults.join(&run), faults).unwrap();
        run
    }

    /// Lets the gated case go on.
    fn goes_on(&self) {
        fs::write(self.project.path("gate"), "").unwrap();
    }

    /// Lets the faults happen while the gated case runs; the run, once that began again.
    fn suffers(&self, faults: &str) -> String {
        let run = self.begins(faults);
        eventually("the case begins again", || (self.begun() > 1).then_some(()));
        assert!(!stack().faults.join(&run).exists(), "not all of it happened: {faults}");
        self.goes_on();
        run
    }
}

fn shards(run: &str) -> Value {
    stack().get(&format!("/v1/runs/{run}/jobs/1/shards"))
}

/// Nothing of a run went wrong for good.
fn passes(run: &str) {
    let shown = stack().finished(run);
    assert_eq!(shown["verdict"], "passed", "{shown}\n{}", shards(run));
    assert_eq!(Project::cases(run, "passed").len(), 2);
}

/// Faults in the middle of a case cost time, and nothing else.
fn is_survived(faults: &str) {
    passes(&Gated::new().suffers(faults));
}

/// A fault that no case feels costs time, and nothing else; the file that named it.
fn is_made_up_for(fault: &str) -> PathBuf {
    let gated = Gated::new();
    let run = gated.begins(fault);
    gated.goes_on();
    passes(&run);
    stack().faults.join(run)
}

#[test]
fn a_machine_that_is_taken_back_costs_time_only() {
    is_survived("spot");
}

#[test]
fn a_runner_without_memory_is_replaced() {
    is_survived("oom");
}

#[test]
fn a_task_that_never_starts_is_started_again() {
    let project = Project::with(&[("test_it.py", "def test_it():\n    pass\n"), ("fleetest.toml", SUITE)]);
    let run = project.starts();
    let fault = stack().faults.join(&run);
    fs::write(&fault, "never").unwrap();
    let shown = stack().finished(&run);
    assert_eq!(shown["verdict"], "passed", "{shown}\n{}", shards(&run));
    assert!(!fault.exists(), "the fault came too late");
}

#[test]
fn a_launch_that_is_refused_is_tried_again() {
    // More refusals than one call of a function waits out.
    is_survived(&format!("oom\n{}", "throttled\n".repeat(6)));
}

#[test]
fn a_launch_without_room_is_tried_again() {
    // Two zones, and in each spare machines and others.
    is_survived(&format!("oom\n{}", "full\n".repeat(5)));
}

#[test]
fn a_function_that_is_ended_in_the_middle_of_a_batch_is_made_up_for() {
    assert!(!is_made_up_for("killed").exists(), "no function was ended");
}

#[test]
fn a_run_whose_messages_are_lost_ends_by_the_sweep() {
    let fault = is_made_up_for("lost");
    let lost = fs::read_to_string(fault.with_added_extension("lost")).unwrap();
    assert!(!lost.is_empty(), "no message was lost");
    fs::remove_file(fault).unwrap();
}
