//! Faults of the fleet: machines taken back, too small, or never started.

use crate::project::{Project, SUITE};
use crate::stack::{eventually, stack};
use serde_json::Value;
use std::fs;

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

    /// Lets the fault happen while the gated case runs; the run, once that began again.
    fn suffers(&self, fault: &str) -> String {
        let run = self.project.starts();
        eventually("the case begins", || (self.begun() > 0).then_some(()));
        fs::write(stack().faults.join(&run), fault).unwrap();
        eventually("the case begins again", || (self.begun() > 1).then_some(()));
        fs::write(self.project.path("gate"), "").unwrap();
        run
    }
}

fn shards(run: &str) -> Value {
    stack().get(&format!("/v1/runs/{run}/jobs/1/shards"))
}

/// A fault in the middle of a case costs time, and nothing else.
fn is_survived(fault: &str) {
    let gated = Gated::new();
    let run = gated.suffers(fault);
    let shown = stack().finished(&run);
    assert_eq!(shown["verdict"], "passed", "{shown}\n{}", shards(&run));
    assert_eq!(Project::cases(&run, "passed").len(), 2);
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
