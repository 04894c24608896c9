//! One seed, one history: the real services on the simulated world, with faults for a while and then without.
//!
//! After every step the invariants are checked. When the faults stop, every run must end within its deadline
//! and a few sweeps, nothing may be left running, and old wakes must change nothing.

mod chaos;
pub mod config;
mod scenario;

use crate::fault::{Call, Calm, Fault, Faults, FaultyBlobs, FaultyLauncher, FaultyQueue, FaultyStore};
use crate::invariants::Checker;
use crate::invariants::JobEnd;
use crate::memory::{MemoryBlobs, MemoryStore, SeededIds};
use crate::world::fleet::{Fleet, STOP_TIMEOUT_MS};
use crate::world::link::{Link, LinkPlan, Mishap};
use crate::world::ports::{Deliveries, Onlooker, Turning, Watched};
use crate::world::runner::{self, Floor};
use crate::world::{Hub, Owner, Scheduler};
pub use scenario::Scenario;
use shared::domain::id::RunId;
use shared::domain::run::RunStatus;
use shared::domain::shard::Clocks;
use shared::domain::time::Timestamp;
use shared::domain::verdict::Verdict;
use shared::ports::{Blobs, Launcher, Observer, Queue, RunnerState, Store, Topic, Wake};
use shared::service::token::TokenKey;
use shared::service::{Services, Settings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const START: Timestamp = Timestamp(1_767_225_600_000);
const SWEEP_MS: u64 = 60_000;
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

#[derive(Debug)]
struct World {
    hub: Arc<Hub>,
    fleet: Arc<Fleet>,
    services: Arc<Services>,
    floor: Arc<Floor>,
    faults: Faults,
    onlooker: Arc<Onlooker>,
    /// Runs that were accepted, in order; the flag says that no more will come.
    accepted: Arc<Mutex<(Vec<RunId>, bool)>>,
    events_told: u64,
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
    let checker = Checker::new(&hub, (&store, &blobs), &world.fleet, &world.floor, limit);
    let mut play = Play {
        scheduler: Scheduler::new(Arc::clone(&hub), Arc::clone(&world.fleet)),
        calm_at: hub.now().plus_ms(scenario.trouble_ms),
        calm: false,
        world,
        checker,
    };
    play.run(scenario);
    let runs = play.runs();
    History {
        violations: hub.violations(),
        trace: hub.trace(),
        steps: play.scheduler.steps(),
        calls: play.world.faults.recorded(),
        requests: play.world.floor.link.requests(),
        ends: runs.into_iter().flat_map(|run| play.checker.ends(run)).collect(),
    }
}

fn build(
    scenario: &Scenario,
    trouble: Trouble,
    hub: &Arc<Hub>,
    (store, blobs): (&Arc<MemoryStore>, &Arc<MemoryBlobs>),
) -> World {
    let (faults, link_plan, seeded) = match trouble {
        Trouble::Seeded => (Faults::new(scenario.port_faults()), scenario.link_plan(), true),
        Trouble::Nothing => (Faults::recording(Calm), LinkPlan::Calm, false),
        Trouble::Port(number, fault) => {
            (Faults::new(crate::fault::Scripted::at(number, fault)), LinkPlan::Calm, false)
        }
        Trouble::Request(number, mishap) => (Faults::new(Calm), LinkPlan::At(number, mishap), false),
    };
    let rates = if seeded { scenario.launch_rates } else { Default::default() };
    let fleet = Fleet::new(Arc::clone(hub), rates);
    let deliveries = Deliveries::new(Arc::clone(hub));
    let onlooker = Arc::new(Onlooker::default());
    let services = Arc::new(Services {
        store: around_store(hub, store, &faults),
        blobs: around_blobs(hub, blobs, &faults),
        queue: {
            let inner: Arc<dyn Queue> =
                Arc::new(FaultyQueue::new(Arc::clone(&deliveries) as _, faults.clone()));
            Arc::new(Turning::new(Arc::clone(hub), inner))
        },
        launcher: {
            let inner: Arc<dyn Launcher> =
                Arc::new(FaultyLauncher::new(Arc::clone(&fleet) as _, faults.clone()));
            Arc::new(Turning::new(Arc::clone(hub), inner))
        },
        clock: Arc::clone(&hub.clock) as _,
        ids: Arc::new(SeededIds::new(scenario.seed)),
        observer: Arc::clone(&onlooker) as Arc<dyn Observer>,
        settings: Settings {
            clocks: Clocks::default(),
            token_key: TokenKey::new("0123456789abcdef".repeat(4)),
            max_shards: 4,
            batch_overhead_ms: 10,
            version: "simulated".to_owned(),
            keep_history: true,
        },
    });
    deliveries.connect(&services);
    if seeded {
        hub.set_service_deaths(scenario.service_deaths);
        hub.set_slow_calls(scenario.slow_calls);
    }
    let floor = Arc::new(Floor {
        hub: Arc::clone(hub),
        link: Link::new(Arc::clone(hub), Arc::clone(&services), link_plan),
        fleet: Arc::clone(&fleet),
        key: services.settings.token_key.clone(),
        suites: scenario.suites.clone(),
        collected: Mutex::new(BTreeSet::new()),
    });
    let world = World {
        hub: Arc::clone(hub),
        fleet,
        services,
        floor,
        faults,
        onlooker,
        accepted: Arc::default(),
        events_told: if seeded { scenario.events_told } else { 1_000 },
    };
    world.spawn_sweeps();
    world.spawn_runs(scenario);
    if seeded {
        chaos::spawn(&world, scenario);
    }
    world
}

fn around_store(hub: &Arc<Hub>, store: &Arc<MemoryStore>, faults: &Faults) -> Arc<dyn Store> {
    let memory: Arc<dyn Store> = Arc::clone(store) as _;
    let watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(hub), memory));
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(watched, faults.clone()));
    Arc::new(Turning::new(Arc::clone(hub), faulty))
}

fn around_blobs(hub: &Arc<Hub>, blobs: &Arc<MemoryBlobs>, faults: &Faults) -> Arc<dyn Blobs> {
    let faulty: Arc<dyn Blobs> = Arc::new(FaultyBlobs::new(Arc::clone(blobs) as _, faults.clone()));
    Arc::new(Turning::new(Arc::clone(hub), faulty))
}

impl World {
    fn spawn_sweeps(&self) {
        let (hub, services) = (Arc::clone(&self.hub), Arc::clone(&self.services));
        self.hub.spawn("sweeps", Owner::World, async move {
            loop {
                hub.sleep(SWEEP_MS).await;
                let services = Arc::clone(&services);
                let inner = Arc::clone(&hub);
                hub.spawn("sweep", Owner::Service, async move {
                    inner.note(|| "sweep".to_owned());
                    if let Err(error) = services.sweep().await {
                        inner.note(|| format!("sweep failed: {error}"));
                    }
                });
            }
        });
    }

    /// Submits the runs of the scenario, each when the one before is over.
    fn spawn_runs(&self, scenario: &Scenario) {
        let (hub, services) = (Arc::clone(&self.hub), Arc::clone(&self.services));
        let (accepted, specs) = (Arc::clone(&self.accepted), scenario.specs());
        self.hub.spawn("client", Owner::World, async move {
            let last = specs.len();
            for (number, spec) in (1..).zip(specs) {
                let id = RunId(services.ids.uuid());
                while let Err(error) = services.submit_as(id, &spec).await {
                    hub.note(|| format!("submit failed: {error}"));
                    hub.sleep(1_000).await;
                }
                let entry = || accepted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                {
                    let mut accepted = entry();
                    accepted.0.push(id);
                    accepted.1 = number == last;
                }
                if number < last {
                    while !over(&services, id).await {
                        hub.sleep(5_000).await;
                    }
                }
            }
        });
    }

    /// Plays the launcher: starts what was ordered, kills what does not stop, tells of what ended.
    fn pump(&self) {
        for (order, delay_ms) in self.fleet.take_started() {
            if delay_ms < u64::MAX {
                runner::start(&self.floor, order, delay_ms);
            }
        }
        for id in self.fleet.take_stops() {
            let (hub, fleet) = (Arc::clone(&self.hub), Arc::clone(&self.fleet));
            self.hub.spawn("stop", Owner::World, async move {
                hub.sleep(STOP_TIMEOUT_MS).await;
                fleet.end(&id, None, "stopped on request");
            });
        }
        for id in self.fleet.take_ended() {
            let state = self.fleet.state(&id);
            if !matches!(state, RunnerState::Stopped { .. }) || !self.hub.chance(self.events_told) {
                continue;
            }
            let (hub, services) = (Arc::clone(&self.hub), Arc::clone(&self.services));
            self.hub.spawn("runner stopped", Owner::Service, async move {
                hub.sleep(hub.between(10, 5_000)).await;
                if let Err(error) = services.runner_stopped(id, &state).await {
                    hub.note(|| format!("runner_stopped failed: {error}"));
                }
            });
        }
    }
}

async fn over(services: &Services, id: RunId) -> bool {
    let key = shared::service::repository::run_key(id);
    match services.store.load(&key, services.clock.now()).await {
        Ok(Some(document)) => serde_json::from_str::<shared::domain::run::Run>(&document.body)
            .is_ok_and(|run| run.status == RunStatus::Finished),
        Ok(None) | Err(_) => false,
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
        self.world.accepted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.clone()
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
        self.world.fleet.set_rates(Default::default());
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
        let (runs, complete) =
            self.world.accepted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
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
