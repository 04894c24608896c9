//! The services on adapters in memory, and a hand that plays the runners call by call.

use shared::domain::case::{CaseId, CaseResult, Failure};
use shared::domain::id::{JobNo, ProjectId, RunId, ShardAttempt};
use shared::domain::outcome::Outcome;
use shared::domain::report::CaseRecord;
use shared::domain::shard::Clocks;
use shared::domain::spec::{ChosenUnit, Framework, RunSpec, Shards, Source, SuiteSpec};
use shared::domain::time::Timestamp;
use shared::domain::unit::{DiscoveredUnit, LeasedEntry, UnitEvent};
use shared::domain::verdict::Judgement;
use shared::ports::{Blobs, LaunchOrder, Launcher, Unobserved};
use shared::service::token::{Caller, TokenKey};
use shared::service::{ServiceError, Services, Settings, Stride};
use shared::wire::link::{
    FinishRequest, LINK_VERSION, LeaseReply, LeaseRequest, ManifestRequest, ResultsRequest, RunnerEnd,
    SessionRequest,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use testkit::memory::{
    ManualClock, MemoryBlobs, MemoryForge, MemoryLauncher, MemoryQueue, MemoryStore, SeededIds,
};

/// Runs a future whose every wait is over at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("something waits for the outside");
}

/// Everything of one installation.
pub(crate) struct Desk {
    pub(crate) services: Arc<Services>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) launcher: Arc<MemoryLauncher>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) forge: Arc<MemoryForge>,
}

/// The repository that projects of these tests have; its `main` has one suite.
pub(crate) const REPOSITORY: &str = "https://example.org/x.git";

impl Desk {
    pub(crate) fn new() -> Self {
        Self::beside(Arc::new(MemoryBlobs::default()))
    }

    /// An installation on blobs that are there already.
    pub(crate) fn beside(blobs: Arc<dyn Blobs>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let launcher = Arc::new(MemoryLauncher::default());
        let queue = Arc::new(MemoryQueue::new(Arc::clone(&clock) as _));
        let forge = Arc::new(MemoryForge::default());
        forge.commit(REPOSITORY, &[("pytest.ini", "")], &["refs/heads/main", "HEAD"]);
        let services = Services {
            forge: Arc::clone(&forge) as _,
            store: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
            blobs,
            queue: Arc::clone(&queue) as _,
            launcher: Arc::clone(&launcher) as Arc<dyn Launcher>,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(SeededIds::new(1)),
            observer: Arc::new(Unobserved),
            settings: Settings {
                clocks: Clocks::default(),
                token_key: TokenKey::new("0123456789abcdef".repeat(4)),
                max_shards: 4,
                batch_overhead_ms: 1_000_000,
                version: "0".to_owned(),
                closing_bytes: 4 * 1024,
                keep_history: true,
                slots: None,
                stride: Stride::default(),
            },
        };
        Self { services: Arc::new(services), clock, launcher, queue, forge }
    }

    /// An installation with room for so many runners.
    pub(crate) fn with_room(runners: usize) -> Self {
        let desk = Self::new();
        let launcher = Arc::new(MemoryLauncher::new(runners));
        Self { launcher: Arc::clone(&launcher), ..desk }.launching_by(launcher)
    }

    /// The same with another way to its launcher.
    pub(crate) fn launching_by(self, launcher: Arc<dyn Launcher>) -> Self {
        let mut services = Services::clone(&self.services);
        services.launcher = launcher;
        Self { services: Arc::new(services), ..self }
    }

    /// An installation that gives out this many slots.
    pub(crate) fn with_slots(slots: u32) -> Self {
        let desk = Self::new();
        let mut services = Services::clone(&desk.services);
        services.settings.slots = Some(slots);
        Self { services: Arc::new(services), ..desk }
    }

    /// The same installation after its process was killed: what is stored is there, the runners are gone.
    pub(crate) fn restarted(&self) -> Self {
        let launcher = Arc::new(MemoryLauncher::default());
        let mut services = Services::clone(&self.services);
        services.launcher = Arc::clone(&launcher) as Arc<dyn Launcher>;
        let (clock, queue) = (Arc::clone(&self.clock), Arc::clone(&self.queue));
        Self { services: Arc::new(services), clock, launcher, queue, forge: Arc::clone(&self.forge) }
    }

    /// Submits a run and lets it be planned and launched.
    pub(crate) fn submit(&self, spec: &RunSpec) -> RunId {
        let run = now(self.services.submit(spec)).unwrap();
        self.sweep();
        run
    }

    /// One pass over everything; wakes are lost.
    pub(crate) fn sweep(&self) {
        while self.queue.pop().is_some() {}
        now(self.services.sweep()).unwrap();
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.advance_ms(ms);
        self.sweep();
    }

    /// The runner of a launch that has just come forward.
    pub(crate) fn runner(&self, job: u32, shard: u32, slots: u32) -> Hand<'_> {
        self.runner_of(None, (job, shard), slots)
    }

    /// The same, of a certain run.
    pub(crate) fn runner_of(&self, run: Option<RunId>, (job, shard): (u32, u32), slots: u32) -> Hand<'_> {
        let orders = self.launcher.orders();
        let wanted = |id: &ShardAttempt| {
            id.job == JobNo(job) && id.shard == shard && run.is_none_or(|run| id.run == run)
        };
        let order = orders
            .values()
            .filter(|order| wanted(&order.shard))
            .max_by_key(|order| order.shard.attempt)
            .expect("no such launch");
        self.play(order, slots)
    }

    /// The runner of this launch has just come forward.
    pub(crate) fn play(&self, order: &LaunchOrder, slots: u32) -> Hand<'_> {
        let request = SessionRequest {
            link_version: LINK_VERSION,
            bootstrap_token: order.bootstrap_token.clone(),
            boot_nonce: format!("nonce{:05}", order.shard.attempt),
            slots,
        };
        let reply = now(self.services.open_session(&request)).unwrap();
        let caller = self.services.settings.token_key.read_session(&reply.session_token).unwrap();
        Hand { desk: self, caller, token: reply.session_token, asked: 0 }
    }

    /// The verdict after everything was looked at.
    pub(crate) fn end(&self, run: RunId) -> Judgement {
        for _ in 0..4 {
            self.sweep();
        }
        let judgement = now(self.services.visit_cases(run, |_| {})).unwrap().judgement;
        assert!(now(self.services.is_over(run)).unwrap(), "{judgement:?}");
        judgement
    }

    pub(crate) fn records(&self, run: RunId) -> Vec<CaseRecord> {
        let mut records = Vec::new();
        now(self.services.visit_cases(run, |record| records.push(record.clone()))).unwrap();
        records
    }
}

/// One runner.
pub(crate) struct Hand<'a> {
    desk: &'a Desk,
    pub(crate) caller: Caller,
    pub(crate) token: String,
    asked: u32,
}

/// A lease in a runner's hand.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<LeasedEntry>,
    pub(crate) last: ResultsRequest,
}

impl Hand<'_> {
    pub(crate) fn manifest(&self, units: &[DiscoveredUnit]) {
        let request = ManifestRequest { units: units.to_vec(), setup_ms: 1, notes: Vec::new() };
        now(self.desk.services.put_manifest(&self.caller, &request)).unwrap();
    }

    pub(crate) fn ask(&mut self, finished: Option<ResultsRequest>) -> Result<LeaseReply, ServiceError> {
        self.asking(finished, None)
    }

    fn asking(
        &mut self,
        finished: Option<ResultsRequest>,
        manifest: Option<String>,
    ) -> Result<LeaseReply, ServiceError> {
        self.asked += 1;
        let request_id = format!("request-{}", self.asked);
        let request = LeaseRequest { request_id, slot: 1, finished, manifest };
        now(self.desk.services.lease(&self.caller, &request))
    }

    /// Asks for work with the name of a manifest that was not put.
    pub(crate) fn ask_naming(&mut self, digest: &str) -> LeaseReply {
        self.asking(None, Some(digest.to_owned())).unwrap()
    }

    /// The next batch.
    pub(crate) fn lease(&mut self, finished: Option<ResultsRequest>) -> Option<Batch> {
        match self.ask(finished).unwrap() {
            LeaseReply::Batch { lease, epoch, entries } => {
                let last = ResultsRequest { lease, epoch, part: 0, events: Vec::new() };
                Some(Batch { entries, last })
            }
            LeaseReply::Wait { .. } | LeaseReply::Unplanned | LeaseReply::Done => None,
        }
    }

    /// Works until there is nothing to do: each entry has the cases that `outcome` knows of.
    pub(crate) fn work(&mut self, cases: &dyn Fn(&LeasedEntry) -> Vec<(CaseId, Outcome)>) {
        let mut finished = None;
        while let Some(mut batch) = self.lease(finished.take()) {
            batch.last.events =
                batch.entries.iter().flat_map(|leased| whole(leased, &cases(leased))).collect();
            finished = Some(batch.last);
        }
    }

    pub(crate) fn send(&self, batch: &mut Batch, events: Vec<UnitEvent>) -> Result<(), ServiceError> {
        batch.last.events = events;
        now(self.desk.services.results(&self.caller, &batch.last))?;
        batch.last.part += 1;
        batch.last.events = Vec::new();
        Ok(())
    }

    pub(crate) fn finish(&self, end: RunnerEnd) {
        now(self.desk.services.finish(&self.caller, &FinishRequest { end })).unwrap();
    }
}

pub(crate) fn suite(name: &str) -> SuiteSpec {
    SuiteSpec { shards: Shards::Fixed(1), ..SuiteSpec::new(name, Framework::Pytest) }
}

pub(crate) fn spec(suites: Vec<SuiteSpec>) -> RunSpec {
    RunSpec {
        project: ProjectId("p".to_owned()),
        source: Source::Directory { path: "/p".to_owned() },
        commit: None,
        branch: None,
        suites,
        fail_fast: None,
        filter: None,
        chosen: Vec::<ChosenUnit>::new(),
        timeout_ms: 3_600_000,
    }
}

pub(crate) fn unit(key: &str) -> DiscoveredUnit {
    DiscoveredUnit { key: key.to_owned(), cases: None, divisible: true, size_bytes: 0 }
}

pub(crate) fn cases(unit: &str, count: usize) -> Vec<CaseId> {
    (0..count).map(|number| CaseId(format!("{unit}::test_{number:05}"))).collect()
}

pub(crate) fn started(leased: &LeasedEntry) -> UnitEvent {
    UnitEvent::Started { entry: leased.index, slot: 1, at: Timestamp(1) }
}

pub(crate) fn announced(leased: &LeasedEntry, cases: Vec<CaseId>) -> UnitEvent {
    UnitEvent::Announced { entry: leased.index, cases, deselected: 0, more: false }
}

pub(crate) fn aborted(leased: &LeasedEntry) -> UnitEvent {
    UnitEvent::Aborted { entry: leased.index, suspect: None, reason: "x".repeat(100_000) }
}

pub(crate) fn case(leased: &LeasedEntry, case: &CaseId, outcome: Outcome) -> UnitEvent {
    let failure = outcome.is_failure().then(Failure::default);
    let result = CaseResult {
        case: case.clone(),
        class: String::new(),
        name: case.0.clone(),
        file: None,
        line: None,
        attempt: leased.entry.attempt,
        outcome,
        started_at: Timestamp(1),
        duration_us: 1_000,
        slot: 1,
        alone: leased.entry.alone,
        failure,
        reason: None,
        output: String::new(),
    };
    UnitEvent::Case { entry: leased.index, result: Box::new(result) }
}

/// Everything that is said about an entry that is run to its end.
pub(crate) fn whole(leased: &LeasedEntry, found: &[(CaseId, Outcome)]) -> Vec<UnitEvent> {
    let chosen = leased.entry.selection.compile();
    let kept: Vec<&(CaseId, Outcome)> = found.iter().filter(|(case, _)| chosen.keeps(case)).collect();
    let mut events =
        vec![started(leased), announced(leased, kept.iter().map(|(id, _)| id.clone()).collect())];
    events.extend(kept.iter().map(|(id, outcome)| case(leased, id, *outcome)));
    events.push(UnitEvent::Finished { entry: leased.index, overhead_us: 0, at: Timestamp(2) });
    events
}
