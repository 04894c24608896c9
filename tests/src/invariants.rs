//! What must hold after every step, read from what is stored and from the truth that only runners saw.
//!
//! The checker keeps its own picture, fed by the documents that were written, and adds everything up again by
//! its own rules. It never asks the code under test whether that is right.

mod ending;
mod tally;

use crate::contract::block_on;
use crate::memory::{MemoryBlobs, MemoryStore};
use crate::world::Hub;
use crate::world::fleet::Fleet;
use crate::world::runner::Floor;
pub use ending::JobEnd;
use serde::de::DeserializeOwned;
use shared::domain::id::{JobNo, LeaseId, RunId};
use shared::domain::packed::unpack;
use shared::domain::queue::Queue;
use shared::domain::queue::lease::{Lease, LeaseStatus, Progress};
use shared::domain::run::{Job, JobStatus, Run, RunStatus};
use shared::domain::shard::Shard;
use shared::domain::verdict::{Judgement, Verdict};
use shared::ports::{Blobs as _, Key, PortError, Store as _};
use shared::service::entries::job_folder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tally::Tally;

/// A job as the documents show it.
#[derive(Debug, Default)]
struct JobPicture {
    job: Option<Job>,
    queue: Option<Queue>,
    shards: BTreeMap<u32, Shard>,
    leases: BTreeMap<LeaseId, Lease>,
    /// The highest epoch of a lease.
    epoch: u64,
    tally: Tally,
    /// Steps that were not added up.
    unchecked: usize,
}

/// The checker.
#[derive(Debug)]
pub struct Checker {
    hub: Arc<Hub>,
    store: Arc<MemoryStore>,
    blobs: Arc<MemoryBlobs>,
    fleet: Arc<Fleet>,
    floor: Arc<Floor>,
    launch_limit: u32,
    /// How many runs may be at work.
    run_limit: Option<u32>,
    runs: BTreeMap<RunId, Run>,
    jobs: BTreeMap<(RunId, JobNo), JobPicture>,
}

/// A job of so many leases is added up after each step, one of twice as many after every second, and so on.
const LEASES_PER_STEP: usize = 500;

type Found = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Found {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checker {
    /// A checker of an empty world.
    #[must_use]
    pub fn new(
        hub: &Arc<Hub>,
        (store, blobs): (&Arc<MemoryStore>, &Arc<MemoryBlobs>),
        fleet: &Arc<Fleet>,
        floor: &Arc<Floor>,
        (launch_limit, run_limit): (u32, Option<u32>),
    ) -> Self {
        Self {
            hub: Arc::clone(hub),
            store: Arc::clone(store),
            blobs: Arc::clone(blobs),
            fleet: Arc::clone(fleet),
            floor: Arc::clone(floor),
            launch_limit,
            run_limit,
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// The run as it was last written.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// Judges what was written since the last call.
    pub fn after_step(&mut self) {
        let changed = self.hub.take_changed();
        if changed.is_empty() {
            return;
        }
        let mut touched: BTreeSet<(RunId, JobNo)> = BTreeSet::new();
        for key in &changed {
            match self.written(key) {
                Ok(job) => touched.extend(job),
                Err(what) => self.hub.violation(format!("{key}: {what}")),
            }
        }
        for id in touched {
            if let Err(what) = self.jobs.get_mut(&id).map_or(Ok(()), JobPicture::check_in_turn) {
                self.hub.violation(format!("job {}: {what}", id.1));
            }
        }
    }

    /// Takes in one written document; answers with the job whose queue or leases it is about.
    fn written(&mut self, key: &Key) -> Result<Option<(RunId, JobNo)>, String> {
        let Some(run) = key.partition.strip_prefix("run#").and_then(|id| id.parse::<RunId>().ok()) else {
            return Ok(None);
        };
        let mut parts = key.sort.split('#');
        let kind = parts.next().unwrap_or_default();
        if kind == "run" {
            self.run_written(run, key)?;
            return Ok(None);
        }
        let number = parts.next().and_then(|no| no.parse().ok()).ok_or("a key without a job")?;
        let id = (run, JobNo(number));
        let limit = self.launch_limit;
        match kind {
            "job" => {
                let job: Job = self.read(key)?;
                self.picture(id).job_written(job)?;
            }
            "queue" => {
                let queue: Queue = self.read(key)?;
                self.picture(id).queue_written(queue)?;
                return Ok(Some(id));
            }
            "shard" => {
                let shard: Shard = self.read(key)?;
                let begun = self.runs.get(&run).is_some_and(|run| run.begun_at.is_some());
                ensure(self.run_limit.is_none() || begun || shard.started_at.is_none(), || {
                    "a runner was launched for a run that has to wait".to_owned()
                })?;
                self.picture(id).shard_written(shard, limit)?;
            }
            "lease" => {
                let lease: Lease = self.read(key)?;
                let before = self.picture(id).lease_written(&lease)?;
                for part in before..lease.next_part {
                    let events = self.chunk(&lease, part)?;
                    self.picture(id).tally.part(&lease, &events)?;
                }
                let picture = self.picture(id);
                picture.tally.verdicts(&lease)?;
                picture.leases.insert(lease.id, lease);
                return Ok(Some(id));
            }
            _ => {}
        }
        Ok(None)
    }

    fn run_written(&mut self, id: RunId, key: &Key) -> Found {
        let run: Run = self.read(key)?;
        if let Some(before) = self.runs.get(&id) {
            let over = before.status == RunStatus::Finished;
            ensure(!over || *before == run, || format!("a finished run changed: {before:?} to {run:?}"))?;
            ensure(before.cancel.is_none() || run.cancel == before.cancel, || {
                "the cancel changed".to_owned()
            })?;
            ensure(run.jobs >= before.jobs, || "jobs got fewer".to_owned())?;
        }
        ensure((run.status == RunStatus::Finished) == run.judgement.is_some(), || {
            "verdict and status".into()
        })?;
        explained(run.judgement.as_ref())?;
        self.runs.insert(id, run);
        let at_work = |run: &&Run| run.begun_at.is_some() && run.status != RunStatus::Finished;
        let count = self.runs.values().filter(at_work).count();
        ensure(self.run_limit.is_none_or(|limit| count <= limit as usize), || {
            format!("{count} runs are at work, more than may be")
        })
    }

    fn picture(&mut self, id: (RunId, JobNo)) -> &mut JobPicture {
        self.jobs.entry(id).or_default()
    }

    fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<T, String> {
        let document = block_on(self.store.load(key, self.hub.now())).map_err(|error| error.to_string())?;
        let document = document.ok_or("it was deleted")?;
        serde_json::from_str(&document.body).map_err(|error| error.to_string())
    }

    fn chunk(&self, lease: &Lease, part: u32) -> Result<Vec<shared::domain::unit::UnitEvent>, String> {
        let folder = job_folder(lease.holder.run, lease.holder.job);
        let key = format!("{folder}/results/{:08}-{part:05}.jsonl", lease.epoch);
        let stayed = !lease.closing.is_empty() && part + 1 == lease.next_part;
        let bytes = if stayed {
            unpack(&lease.closing).ok_or("it cannot be unpacked")?
        } else {
            match block_on(self.blobs.fetch(&key, None)) {
                Ok(bytes) => bytes,
                Err(PortError::NotFound { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error.to_string()),
            }
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| error.to_string())).collect()
    }
}

/// Every verdict but green has a code and a sentence.
fn explained(judgement: Option<&Judgement>) -> Found {
    let Some(judgement) = judgement else { return Ok(()) };
    let green = judgement.verdict == Verdict::Passed;
    let told = judgement.cause.as_ref().is_some_and(|cause| cause.message.len() > 8);
    ensure(green != told, || format!("{judgement:?} is not explained, or explained away"))
}

impl JobPicture {
    fn job_written(&mut self, job: Job) -> Found {
        if let Some(before) = &self.job {
            let over = before.status == JobStatus::Finished;
            ensure(!over || *before == job, || format!("a finished job changed: {before:?} to {job:?}"))?;
            let kept = before.manifest.is_none() || before.manifest == job.manifest;
            ensure(kept, || "the manifest changed".to_owned())?;
            ensure(before.broken.is_none() || before.broken == job.broken, || {
                "the fault changed".to_owned()
            })?;
        }
        ensure((job.status == JobStatus::Finished) == job.judgement.is_some(), || {
            "verdict and status".into()
        })?;
        explained(job.judgement.as_ref())?;
        self.job = Some(job);
        Ok(())
    }

    fn queue_written(&mut self, queue: Queue) -> Found {
        let counts = &queue.counts;
        ensure(counts.conserved(), || format!("the counts do not add up: {counts:?}"))?;
        if let Some(before) = &self.queue {
            let rising = queue.len >= before.len
                && queue.closed >= before.closed
                && queue.epoch >= before.epoch
                && counts.planned >= before.counts.planned
                && counts.settled() >= before.counts.settled()
                && queue.manifest_len == before.manifest_len;
            ensure(rising, || format!("something went backwards: {before:?} to {queue:?}"))?;
            let sticky = before.stopped.is_none() || before.stopped == queue.stopped;
            ensure(sticky, || "a stopped queue goes on, or for another reason".to_owned())?;
            let over = self.job.as_ref().is_some_and(|job| job.status == JobStatus::Finished);
            ensure(!over || *before == queue, || "the queue of a finished job changed".to_owned())?;
        }
        self.queue = Some(queue);
        Ok(())
    }

    fn shard_written(&mut self, shard: Shard, limit: u32) -> Found {
        ensure(shard.id.attempt <= limit, || format!("launch {} of {limit}", shard.id.attempt))?;
        if let Some(before) = self.shards.get(&shard.id.shard) {
            ensure(shard.id.attempt >= before.id.attempt, || "an older attempt came back".to_owned())?;
            let same = before.status == shard.status && before.id == shard.id;
            ensure(!before.over() || same, || format!("a shard rose again: {before:?} to {shard:?}"))?;
        }
        self.shards.insert(shard.id.shard, shard);
        Ok(())
    }

    /// Compares with the lease as it was; answers with the first part that is new.
    fn lease_written(&mut self, lease: &Lease) -> Result<u32, String> {
        let Some(before) = self.leases.get(&lease.id) else {
            ensure(lease.epoch > self.epoch, || format!("epoch {} after {}", lease.epoch, self.epoch))?;
            self.epoch = lease.epoch;
            return Ok(0);
        };
        let over = before.status != LeaseStatus::Active;
        ensure(!over || before == lease, || {
            format!("a lease that was over changed: {before:?} to {lease:?}")
        })?;
        let same = before.epoch == lease.epoch
            && before.holder == lease.holder
            && before.next_part <= lease.next_part
            && before.verdicts.len() <= lease.verdicts.len();
        ensure(same, || format!("a lease changed its nature: {before:?} to {lease:?}"))?;
        Ok(before.next_part)
    }

    /// Adds up after each step, and after many leases as often as they can bear.
    fn check_in_turn(&mut self) -> Found {
        self.unchecked += 1;
        if self.unchecked <= self.leases.len() / LEASES_PER_STEP {
            return Ok(());
        }
        self.unchecked = 0;
        self.check()
    }

    /// Free, leased and closed are `0..len`, each entry in one of them, and the counters say the same.
    fn check(&self) -> Found {
        let Some(queue) = &self.queue else { return ensure(self.leases.is_empty(), || "leases".into()) };
        let mut places = vec![0_u32; queue.len as usize];
        let mut put = |index: u32| match places.get_mut(index as usize) {
            Some(times) => {
                *times += 1;
                Ok(())
            }
            None => Err(format!("entry {index} of {}", queue.len)),
        };
        for index in queue.free.iter() {
            put(index)?;
        }
        let (mut closed, mut active) = (0, 0);
        let mut slots = BTreeSet::new();
        for lease in self.leases.values() {
            let held = lease.status == LeaseStatus::Active;
            active += u32::from(held);
            let first = !held || slots.insert((lease.holder, lease.slot));
            ensure(first, || format!("slot {} of {} has two leases", lease.slot, lease.holder))?;
            for entry in &lease.entries {
                let done = matches!(entry.progress, Progress::Finished | Progress::Aborted)
                    || (!held && entry.progress != Progress::Waiting);
                if held || done {
                    put(entry.index)?;
                }
                closed += u32::from(done);
            }
        }
        if let Some(wrong) = places.iter().position(|times| *times != 1) {
            return Err(format!("entry {wrong} has {} places: {queue:?}", places.get(wrong).unwrap_or(&0)));
        }
        ensure(closed == queue.closed, || format!("{closed} entries are closed, not {}", queue.closed))?;
        ensure(active == queue.open_leases, || format!("{active} leases, not {}", queue.open_leases))?;
        let planned = self.tally.planned();
        ensure(planned == queue.counts.planned, || {
            format!("{planned} cases were announced, the queue says {}", queue.counts.planned)
        })
    }
}
