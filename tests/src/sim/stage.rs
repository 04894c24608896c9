//! The stage of a history: services on simulated ports, the network, the processes, the sweep, and the client
//! who submits runs. What happens on it is the scheduler's business.

use super::scenario::project;
use super::{Scenario, Trouble, chaos};
use crate::fault::{Calm, Faults, FaultyBlobs, FaultyLauncher, FaultyQueue, FaultyStore, Scripted};
use crate::memory::{MemoryBlobs, MemoryStore, SeededIds};
use crate::world::fleet::{Fleet, LaunchRates, STOP_TIMEOUT_MS};
use crate::world::link::{Link, LinkPlan};
use crate::world::ports::{Deliveries, Onlooker, Turning, Watched};
use crate::world::quota::{Meter, Metered};
use crate::world::runner::{self, Floor};
use crate::world::{Hub, Owner};
use shared::domain::audit::Actor;
use shared::domain::id::RunId;
use shared::domain::origin::Origin;
use shared::domain::project::ProjectSettings;
use shared::domain::run::RunStatus;
use shared::domain::shard::Clocks;
use shared::ports::forge::NoForge;
use shared::ports::{Blobs, Launcher, Observer, Queue, RunnerState, Store};
use shared::service::kept::KeptBlobs;
use shared::service::project::NewProject;
use shared::service::token::TokenKey;
use shared::service::{Services, Settings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Time between sweeps.
pub(super) const SWEEP_MS: u64 = 60_000;
/// Half of what the functions keep of blobs that never change, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// What a batch costs in the cloud, as the functions reckon.
const CLOUD_OVERHEAD_MS: u64 = 150;

#[derive(Debug)]
pub(super) struct World {
    pub(super) hub: Arc<Hub>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) services: Arc<Services>,
    pub(super) floor: Arc<Floor>,
    pub(super) faults: Faults,
    pub(super) onlooker: Arc<Onlooker>,
    /// Counts what is used, where that is limited.
    pub(super) meter: Option<Arc<Meter>>,
    /// Runs that were accepted, in order; the flag says that no more will come.
    pub(super) accepted: Arc<Mutex<(Vec<RunId>, bool)>>,
    events_told: u64,
}

/// Sets the stage; everything that happens by itself is spawned.
pub(super) fn build(
    scenario: &Scenario,
    trouble: Trouble,
    hub: &Arc<Hub>,
    (store, blobs): (&Arc<MemoryStore>, &Arc<MemoryBlobs>),
) -> World {
    let (faults, link_plan, seeded) = match trouble {
        Trouble::Seeded => (Faults::new(scenario.port_faults()), scenario.link_plan(), true),
        // What a large run calls is too much to be remembered.
        Trouble::Nothing if scenario.quotas.is_some() => (Faults::new(Calm), LinkPlan::Calm, false),
        Trouble::Nothing => (Faults::recording(Calm), LinkPlan::Calm, false),
        Trouble::Port(number, fault) => (Faults::new(Scripted::at(number, fault)), LinkPlan::Calm, false),
        Trouble::Request(number, mishap) => (Faults::new(Calm), LinkPlan::At(number, mishap), false),
    };
    let rates = if seeded { scenario.launch_rates } else { LaunchRates::default() };
    let fleet = Fleet::new(Arc::clone(hub), rates);
    let meter = scenario.quotas.map(|quotas| Meter::new(hub, quotas));
    if let Some(quotas) = scenario.quotas {
        hub.set_call_ms(quotas.call_ms);
    }
    let deliveries = Deliveries::new(Arc::clone(hub));
    let onlooker = Arc::new(Onlooker::default());
    let services = Arc::new(Services {
        store: around_store(hub, store, &faults, meter.as_ref()),
        blobs: {
            let around = around_blobs(hub, blobs, &faults);
            // As the functions do.
            if scenario.quotas.is_some() { Arc::new(KeptBlobs::new(around, KEPT_BYTES)) } else { around }
        },
        queue: {
            let inner: Arc<dyn Queue> =
                Arc::new(FaultyQueue::new(Arc::clone(&deliveries) as _, faults.clone()));
            Arc::new(Turning::new(Arc::clone(hub), inner))
        },
        launcher: around_launcher(hub, &fleet, &faults, meter.as_ref()),
        forge: Arc::new(NoForge),
        clock: Arc::clone(&hub.clock) as _,
        ids: Arc::new(SeededIds::new(scenario.seed)),
        observer: Arc::clone(&onlooker) as Arc<dyn Observer>,
        settings: settings(scenario),
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
        suites: scenario.suites.iter().cloned().map(Arc::new).collect(),
        steady: scenario.quotas.is_some(),
        collected: Mutex::new(BTreeSet::new()),
    });
    let world = World {
        hub: Arc::clone(hub),
        fleet,
        services,
        floor,
        faults,
        onlooker,
        meter,
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

fn around_store(
    hub: &Arc<Hub>,
    store: &Arc<MemoryStore>,
    faults: &Faults,
    meter: Option<&Arc<Meter>>,
) -> Arc<dyn Store> {
    let memory: Arc<dyn Store> = Arc::clone(store) as _;
    let mut watched: Arc<dyn Store> = Arc::new(Watched::new(Arc::clone(hub), memory));
    if let Some(meter) = meter {
        watched = Arc::new(Metered::new(meter, watched));
    }
    let faulty: Arc<dyn Store> = Arc::new(FaultyStore::new(watched, faults.clone()));
    Arc::new(Turning::new(Arc::clone(hub), faulty))
}

fn around_launcher(
    hub: &Arc<Hub>,
    fleet: &Arc<Fleet>,
    faults: &Faults,
    meter: Option<&Arc<Meter>>,
) -> Arc<dyn Launcher> {
    let mut inner: Arc<dyn Launcher> = Arc::new(FaultyLauncher::new(Arc::clone(fleet) as _, faults.clone()));
    if let Some(meter) = meter {
        inner = Arc::new(Metered::new(meter, inner));
    }
    Arc::new(Turning::new(Arc::clone(hub), inner))
}

fn settings(scenario: &Scenario) -> Settings {
    Settings {
        clocks: Clocks::default(),
        token_key: TokenKey::new("0123456789abcdef".repeat(4)),
        max_shards: 4,
        batch_overhead_ms: if scenario.quotas.is_some() { CLOUD_OVERHEAD_MS } else { 10 },
        version: "simulated".to_owned(),
        closing_bytes: scenario.closing_bytes,
        keep_history: true,
        slots: None,
        stride: scenario.stride,
    }
}

/// The project of all runs, with its limit.
async fn make_project(hub: &Hub, services: &Services, concurrency: Option<u32>) {
    let new = || NewProject {
        id: project(),
        title: String::new(),
        repository: None,
        default_branch: "main".to_owned(),
        config: None,
        settings: ProjectSettings { concurrency, ..ProjectSettings::default() },
    };
    while let Err(error) = services.create_project(&Actor::system(), new()).await {
        // An attempt that seemed to fail may have been made.
        if services.check_project(&project()).await.is_ok() {
            return;
        }
        hub.note(|| format!("no project: {error}"));
        hub.sleep(1_000).await;
    }
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

    /// Submits the runs of the scenario, each when the one before is over; where their number at work is limited, all at
    /// once.
    fn spawn_runs(&self, scenario: &Scenario) {
        let (hub, services) = (Arc::clone(&self.hub), Arc::clone(&self.services));
        let (accepted, specs) = (Arc::clone(&self.accepted), scenario.specs());
        let limit = scenario.limit;
        self.hub.spawn("client", Owner::World, async move {
            let last = specs.len();
            if limit.is_some() {
                make_project(&hub, &services, limit).await;
            }
            for (number, spec) in (1..).zip(specs) {
                let id = RunId(services.ids.uuid());
                let origin = || Origin { limited: limit.is_some(), ..Origin::of(&spec) };
                while let Err(error) = services.submit_from(id, &spec, origin()).await {
                    hub.note(|| format!("submit failed: {error}"));
                    hub.sleep(1_000).await;
                }
                let entry = || accepted.lock().unwrap_or_else(PoisonError::into_inner);
                {
                    let mut accepted = entry();
                    accepted.0.push(id);
                    accepted.1 = number == last;
                }
                if number < last && limit.is_none() {
                    while !over(&services, id).await {
                        hub.sleep(5_000).await;
                    }
                }
            }
        });
    }

    /// Plays the launcher: starts what was ordered, kills what does not stop, tells of what ended.
    pub(super) fn pump(&self) {
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
