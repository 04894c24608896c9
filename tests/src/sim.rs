//! One seed, one history: the real services on the simulated world, with faults for a while and then without.
//!
//! After every step the invariants are checked. When the faults stop, every run must end within its deadline
//! and a few sweeps, nothing may be left running, and old wakes must change nothing.

mod chaos;
pub mod config;
mod scenario;
mod stage;

use crate::fault::{Call, Fault};
use crate::invariants::{Checker, JobEnd};
use crate::memory::{MemoryBlobs, MemoryStore};
use crate::world::fleet::LaunchRates;
use crate::world::link::{LinkPlan, Mishap};
use crate::world::quota::Usage;
use crate::world::scheduler::Scheduler;
use crate::world::{Hub, Owner};
pub use scenario::Scenario;
use shared::domain::id::RunId;
use shared::domain::run::RunStatus;
use shared::domain::time::Timestamp;
use shared::domain::verdict::Verdict;
use shared::ports::{Topic, Wake};
use stage::{SWEEP_MS, World, build};
use std::sync::{Arc, PoisonError};

const START: Timestamp = Timestamp(1_767_225_600_000);
/// After its deadline, or after the faults, a run may take one loss and so many sweeps to end.
const PATIENCE_SWEEPS: u64 = 6;
/// What is left running after the last run must be gone by then.
const REST_MS: u64 = 12 * SWEEP_MS;
const STEP_LIMIT: u64 = 4_000_000;

/// What happened.
#[derive(Debug)]
pub struct History {
    /// Invariants that did not hold.
    pub violations: Vec<String>,
    /// One line per event, if asked for.
    pub trace: Vec<String>,
    /// Steps of tasks.
    pub steps: u64,
    /// Port calls, if asked for.
    pub calls: Vec<(Call, Fault)>,
    /// Requests of runners.
    pub requests: u64,
    /// What each job of each run came to.
    pub ends: Vec<JobEnd>,
    /// What was used of a cloud, where that is limited.
    pub usage: Option<Usage>,
    /// From when the first run was queued until it was over, in milliseconds of virtual time.
    pub took_ms: Option<u64>,
}

/// What goes wrong in a history.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Whatever the seed says.
    Seeded,
    /// Nothing.
    Nothing,
    /// One port call.
    Port(u64, Fault),
    /// One request of a runner.
    Request(u64, Mishap),
}

/// The history of a seed.
#[must_use]
pub fn sim(seed: u64, tracing: bool) -> History {
    history(&Scenario::drawn(seed), Trouble::Seeded, tracing)
}

/// The history of a scenario with its trouble.
#[must_use]
pub fn history(scenario: &Scenario, trouble: Trouble, tracing: bool) -> History {
    let hub = Hub::new(scenario.seed, START, tracing);
    let store = Arc::new(MemoryStore::new(Arc::clone(&hub.clock) as _));
    let blobs = Arc::new(MemoryBlobs::default());
    let world = build(scenario, trouble, &hub, (&store, &blobs));
    let limit = world.services.settings.clocks.launch_limit;
    let limits = (limit, scenario.limit);
    let checker = Checker::new(&hub, (&store, &blobs), &world.fleet, &world.floor, limits);
    let mut play = Play {
        scheduler: Scheduler::new(Arc::clone(&hub), Arc::clone(&world.fleet)),
        calm_at: hub.now().plus_ms(scenario.trouble_ms),
        calm: false,
        world,
        checker,
    };
    play.run(scenario);
    let runs = play.runs();
    let first = runs.first().and_then(|run| play.checker.run(*run));
    let took_ms = first.and_then(|run| Some(run.finished_at?.since_ms(run.queued_at)));
    History {
        violations: hub.violations(),
        trace: hub.trace(),
        steps: play.scheduler.steps(),
        calls: play.world.faults.recorded(),
        requests: play.world.floor.link.requests(),
        usage: play.world.meter.as_ref().map(|meter| meter.usage()),
        took_ms,
        ends: runs.into_iter().flat_map(|run| play.checker.ends(run)).collect(),
    }
}

struct Play {
    world: World,
    scheduler: Scheduler,
    checker: Checker,
    calm_at: Timestamp,
    calm: bool,
}

impl Play {
    fn runs(&self) -> Vec<RunId> {
        self.world.accepted.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn run(&mut self, scenario: &Scenario) {
        if !self.until(|play| play.all_over()) {
            return;
        }
        self.be_calm();
        let rest = self.world.hub.now().plus_ms(REST_MS);
        if !self.until(|play| play.world.hub.now() > rest) {
            return;
        }
        for run in self.runs() {
            self.checker.ended(run);
            let timed_out = |end: &JobEnd| end.verdict == Some(Verdict::TimedOut);
            if scenario.patient && self.checker.ends(run).iter().any(timed_out) {
                self.world.hub.violation("it timed out with all the time there is");
            }
            let told = self.world.onlooker.finished(run);
            if told > 1 || (scenario.service_deaths == 0 && self.world.faults.injected() == 0 && told != 1) {
                self.world.hub.violation(format!("the end was told {told} times"));
            }
        }
        self.checker.at_rest();
        if self.checker.open_runs() > 0 {
            self.world.hub.violation("the index still holds a run that is over");
        }
        self.replay();
    }

    /// Steps until something holds; false if an invariant does not.
    fn until(&mut self, mut enough: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if !self.world.hub.sound() {
                return false;
            }
            if enough(self) {
                return true;
            }
            if !self.calm && self.world.hub.now() >= self.calm_at {
                self.be_calm();
            }
            if !self.scheduler.step() || self.scheduler.steps() > STEP_LIMIT {
                self.world.hub.violation("it does not come to an end");
                return false;
            }
            self.world.pump();
            self.checker.after_step();
            self.late();
        }
    }

    fn be_calm(&mut self) {
        if self.calm {
            return;
        }
        self.calm = true;
        self.calm_at = self.calm_at.min(self.world.hub.now());
        self.world.hub.note(|| "from now on nothing goes wrong".to_owned());
        self.world.faults.stop();
        self.world.hub.set_service_deaths(0);
        self.world.hub.set_slow_calls(0);
        self.world.floor.link.replace(LinkPlan::Calm);
        self.world.fleet.set_rates(LaunchRates::default());
    }

    /// A run that is not over long after its deadline and the faults is a fault of ours.
    fn late(&self) {
        let now = self.world.hub.now();
        for id in self.runs() {
            let Some(run) = self.checker.run(id).filter(|run| run.status != RunStatus::Finished) else {
                continue;
            };
            let clocks = &self.world.services.settings.clocks;
            let due = run.deadline.max(self.calm_at);
            if now > due.plus_ms(clocks.lost_after_ms + PATIENCE_SWEEPS * SWEEP_MS) {
                self.world.hub.violation(format!("{id} is not over long after its deadline"));
            }
        }
    }

    fn all_over(&self) -> bool {
        let (runs, complete) = self.world.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let finished =
            |id: &RunId| self.checker.run(*id).is_some_and(|run| run.status == RunStatus::Finished);
        complete && runs.iter().all(finished)
    }

    /// Every wake there can be, again: nothing may change.
    fn replay(&mut self) {
        let before = self.checker.everything();
        for run in self.runs() {
            for topic in [Topic::Aggregate, Topic::Launch, Topic::Plan, Topic::Aggregate] {
                let services = Arc::clone(&self.world.services);
                self.world.hub.spawn("replay", Owner::Service, async move {
                    drop(services.handle(Wake { topic, run }).await);
                });
            }
        }
        let until = self.world.hub.now().plus_ms(2 * SWEEP_MS);
        if self.until(|play| play.world.hub.now() > until) && self.checker.everything() != before {
            self.world.hub.violation("old wakes changed what is stored");
        }
    }
}
