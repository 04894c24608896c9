//! Leasing, results and release: the three calls that move a queue.
//!
//! Each call is one read of the shard, the queue and its lease, one blob with the events, and one commit of
//! all that changes. What others changed meanwhile makes the commit fail and the decision is taken anew.

mod holder;

use super::entries::JobPlace;
use super::repository::{Commit, Stored, job_key, lease_key, load_together, queue_key, shard_key};
use super::session::admitted;
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::id::{JobNo, LeaseId, RunId, ShardAttempt};
use crate::domain::queue::accept::{Acceptance, Accepted, Known};
use crate::domain::queue::close::Ending;
use crate::domain::queue::grant::{Ask, Grant};
use crate::domain::queue::lease::{Lease, LeaseStatus};
use crate::domain::queue::{Queue, Rejected};
use crate::domain::run::{Job, ManifestInfo};
use crate::domain::shard::Shard;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, LeasedEntry, UnitEvent};
use crate::ports::{Notice, PortError, Topic};
use crate::wire::link::{LeaseReply, LeaseRequest, ReleaseRequest, ResultsReply, ResultsRequest};
use std::collections::BTreeMap;

/// What a call works on, as it was read.
struct Scene {
    shard: Stored<Shard>,
    /// Shards of the job.
    shards: u32,
    manifest: ManifestInfo,
    queue: Stored<Queue>,
    /// Those of the leases that were asked for that there are.
    leases: BTreeMap<LeaseId, Stored<Lease>>,
    now: Timestamp,
}

impl Scene {
    fn place(&self) -> JobPlace<'_> {
        let ShardAttempt { run, job, .. } = self.shard.value.id;
        JobPlace { run, job, pages: &self.manifest.pages, manifest_len: self.queue.value.manifest_len }
    }
}

/// A part of a lease as it will be after the commit.
struct Part {
    /// Version of the lease that the decision is about.
    version: u64,
    /// Name of what the decision writes. A repeated request may be decided on another queue: what one decision wrote
    /// stays as it is.
    unique: String,
    accepted: Box<Accepted>,
}

impl Services {
    /// Closes the slot's previous lease, if any, and grants the next.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced, `Rejected` if the previous lease is; port errors.
    pub async fn lease(&self, caller: &Caller, request: &LeaseRequest) -> ServiceResult<LeaseReply> {
        for _ in 0..DECISIONS {
            match self.try_lease(caller, request).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_lease(caller, request).await
    }

    async fn try_lease(&self, caller: &Caller, request: &LeaseRequest) -> ServiceResult<LeaseReply> {
        let asked = caller.id.lease_id(&request.request_id);
        let named = request.finished.as_ref().map(|finished| finished.lease);
        let Some(scene) = self.scene(caller, std::iter::once(asked).chain(named)).await? else {
            return Ok(if request.manifest.is_some() { LeaseReply::Unplanned } else { self.wait_among(0) });
        };
        if let Some(reply) = self.repeated(caller, request, &scene).await? {
            return Ok(reply);
        }
        if request.manifest.as_ref().is_some_and(|own| *own != scene.manifest.digest) {
            return Ok(LeaseReply::Unplanned);
        }
        self.end_orphan(caller, request, &scene).await?;
        let part = match &request.finished {
            Some(finished) => self.prepare(caller, &scene, finished, true).await?,
            None => None,
        };
        let queue = part.as_ref().map_or(&scene.queue.value, |part| &part.accepted.queue).clone();
        let asking = &scene.shard.value;
        let queue = if asking.joined { queue } else { queue.joined_by(asking.slots) };
        let grant = self.choose(caller, request, &scene, &queue, part.as_ref()).await?;
        if part.is_none() && grant.is_none() {
            return Ok(self.no_work(&queue));
        }
        let after = grant.as_ref().map_or(queue, |grant| grant.queue.clone());
        let lease = grant.as_ref().map(|grant| grant.lease.id);
        let shard = asking.holds(request.slot, lease, &self.settings.clocks, scene.now);
        self.save(&scene, &after, part.as_ref(), Some((grant.as_ref(), &shard))).await?;
        if let Some(part) = &part {
            let events = request.finished.as_ref().map_or(&[][..], |finished| &finished.events);
            self.tell(caller, part, events, &after).await;
        }
        Ok(match grant {
            Some(grant) => {
                LeaseReply::Batch { lease: grant.lease.id, epoch: grant.lease.epoch, entries: grant.entries }
            }
            None => self.no_work(&after),
        })
    }

    /// The answer to a slot that gets nothing: all is done, or something may come back.
    fn no_work(&self, queue: &Queue) -> LeaseReply {
        let over = queue.settled() || queue.stopped.is_some();
        if over { LeaseReply::Done } else { self.wait_among(queue.crew.slots) }
    }

    fn wait_among(&self, slots: u32) -> LeaseReply {
        LeaseReply::Wait { retry_after_ms: self.settings.clocks.wait_of(slots) }
    }

    /// Accepts results while a lease goes on.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced, `Rejected` if the lease is; port errors.
    pub async fn results(&self, caller: &Caller, request: &ResultsRequest) -> ServiceResult<ResultsReply> {
        for _ in 0..DECISIONS {
            match self.try_results(caller, request).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_results(caller, request).await
    }

    async fn try_results(&self, caller: &Caller, request: &ResultsRequest) -> ServiceResult<ResultsReply> {
        let scene = self.scene(caller, [request.lease]).await?.ok_or(Rejected::StaleLease)?;
        let next_part = request.part + 1;
        let Some(part) = self.prepare(caller, &scene, request, false).await? else {
            return Ok(ResultsReply { next_part });
        };
        let after = part.accepted.queue.clone();
        self.save(&scene, &after, Some(&part), None).await?;
        self.tell(caller, &part, &request.events, &after).await;
        Ok(ResultsReply { next_part })
    }

    /// Takes back leases that the runner cannot finish; what it reported stays.
    ///
    /// # Errors
    /// `Shard` if the runner is fenced; port errors. A lease that is over already is passed over.
    pub async fn release(&self, caller: &Caller, request: &ReleaseRequest) -> ServiceResult<()> {
        for last in &request.leases {
            match self.results(caller, last).await {
                // Over already, or somebody else's: not the caller's to end.
                Err(ServiceError::Rejected(Rejected::StaleLease)) => continue,
                Ok(_)
                | Err(ServiceError::Rejected(Rejected::PartGap { .. } | Rejected::Malformed { .. })) => {}
                Err(error) => return Err(error),
            }
            self.end_lease(caller.id.run, caller.id.job, last.lease, Ending::Release, &request.reason)
                .await?;
        }
        self.wake(Topic::Aggregate, caller.id.run, 0).await;
        Ok(())
    }

    /// Ends an active lease without completing it; ending it twice is harmless.
    pub(crate) async fn end_lease(
        &self,
        run: RunId,
        job: JobNo,
        lease: LeaseId,
        ending: Ending,
        reason: &str,
    ) -> ServiceResult<()> {
        for _ in 0..DECISIONS {
            match self.try_end(run, job, lease, ending, reason).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        self.try_end(run, job, lease, ending, reason).await
    }

    async fn try_end(
        &self,
        run: RunId,
        job: JobNo,
        lease: LeaseId,
        ending: Ending,
        reason: &str,
    ) -> ServiceResult<()> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let keys = [lease_key(run, job, lease), job_key(run, job), queue_key(run, job)];
        let mut found = load_together(store, &keys, now).await?;
        let stored: Option<Stored<Lease>> = found.take()?;
        let held = stored.filter(|lease| lease.value.status == LeaseStatus::Active);
        let owner: Option<Stored<Job>> = found.take()?;
        let manifest = owner.and_then(|job| job.value.manifest);
        let queue: Option<Stored<Queue>> = found.take()?;
        let (Some(held), Some(manifest), Some(queue)) = (held, manifest, queue) else {
            return Ok(());
        };
        let place = JobPlace { run, job, pages: &manifest.pages, manifest_len: queue.value.manifest_len };
        let known = self.known_to_end(place, &held.value, now).await?;
        let mut ended = queue.value.end(&held.value, ending, &known, reason, now)?;
        let unique = format!("{:08}-end-{}", held.value.epoch, queue.version);
        self.shelve_verdicts(&mut ended.lease, &unique).await?;
        let mut commit = Commit::new();
        commit.replace(queue_key(run, job), queue.version, &ended.queue.timed(now))?;
        commit.replace(lease_key(run, job, lease), held.version, &ended.lease)?;
        self.append_entries(&mut commit, (run, job), queue.value.len, ended.appended, &unique).await?;
        commit.perform(store).await?;
        Ok(())
    }

    /// Reads what a call works on, at once; `None` while there is no manifest.
    async fn scene(
        &self,
        caller: &Caller,
        leases: impl IntoIterator<Item = LeaseId> + Send,
    ) -> ServiceResult<Option<Scene>> {
        let now = self.clock.now();
        let ShardAttempt { run, job, shard, .. } = caller.id;
        let leases: Vec<LeaseId> = leases.into_iter().collect();
        let mut keys = vec![shard_key(run, job, shard), queue_key(run, job), job_key(run, job)];
        keys.extend(leases.iter().map(|lease| lease_key(run, job, *lease)));
        let mut found = load_together(self.store.as_ref(), &keys, now).await?;
        let shard = admitted(caller, found.take()?)?;
        let queue: Option<Stored<Queue>> = found.take()?;
        let job: Option<Stored<Job>> = found.take()?;
        let mut held = BTreeMap::new();
        for lease in leases {
            held.extend(found.take()?.map(|stored| (lease, stored)));
        }
        let (Some(queue), Some(job)) = (queue, job) else { return Ok(None) };
        let shards = job.value.shards;
        let scene = |manifest| Scene { shard, shards, manifest, queue, leases: held, now };
        Ok(job.value.manifest.map(scene))
    }

    /// The answer to a request that was granted before.
    async fn repeated(
        &self,
        caller: &Caller,
        request: &LeaseRequest,
        scene: &Scene,
    ) -> ServiceResult<Option<LeaseReply>> {
        let lease = caller.id.lease_id(&request.request_id);
        let Some(stored) = scene.leases.get(&lease) else { return Ok(None) };
        if stored.value.status != LeaseStatus::Active {
            return Err(Rejected::StaleLease.into());
        }
        let wanted: Vec<u32> = stored.value.entries.iter().map(|held| held.index).collect();
        let mut bodies = self.bodies(scene.place(), &wanted, &BTreeMap::new(), scene.now).await?;
        let entries = wanted
            .iter()
            .filter_map(|index| bodies.remove(index).map(|entry| LeasedEntry { index: *index, entry }))
            .collect();
        Ok(Some(LeaseReply::Batch { lease, epoch: stored.value.epoch, entries }))
    }

    /// Decides about a part and stores its events; `None` if it was accepted before.
    async fn prepare(
        &self,
        caller: &Caller,
        scene: &Scene,
        request: &ResultsRequest,
        closing: bool,
    ) -> ServiceResult<Option<Part>> {
        let stored = scene.leases.get(&request.lease).ok_or(Rejected::StaleLease)?;
        let (lease, queue) = (&stored.value, &scene.queue);
        if lease.holder != caller.id {
            return Err(Rejected::StaleLease.into());
        }
        let known: Known = self.known_for(scene.place(), lease, &request.events, scene.now).await?;
        let at = (request.epoch, request.part);
        let decided = queue.value.accept(lease, at, &request.events, &known, closing)?;
        match decided {
            Acceptance::Duplicate => Ok(None),
            Acceptance::New(mut accepted) => {
                if accepted.lease.status != LeaseStatus::Active {
                    accepted.lease.ended_at = Some(scene.now);
                }
                self.store_part(&mut accepted.lease, request.part, &request.events).await?;
                let unique = format!("{:08}-{:05}-{}", lease.epoch, lease.next_part, queue.version);
                self.shelve_verdicts(&mut accepted.lease, &unique).await?;
                Ok(Some(Part { version: stored.version, unique, accepted }))
            }
        }
    }

    async fn choose(
        &self,
        caller: &Caller,
        request: &LeaseRequest,
        scene: &Scene,
        queue: &Queue,
        part: Option<&Part>,
    ) -> ServiceResult<Option<Grant>> {
        if queue.free.is_empty() || queue.stopped.is_some() {
            return Ok(None);
        }
        let first = scene.queue.value.len;
        let appended: BTreeMap<u32, Entry> = part
            .map(|part| (first..).zip(part.accepted.appended.iter().cloned()).collect())
            .unwrap_or_default();
        let window = self.window(scene.place(), queue, &appended, scene.now).await?;
        let ask = Ask {
            holder: caller.id,
            slot: request.slot,
            request_id: request.request_id.clone(),
            shards: scene.shards,
            overhead_ms: self.settings.batch_overhead_ms,
            now: scene.now,
        };
        Ok(queue.grant(&window, &ask))
    }

    /// Commits what changes; a request for work also says what the shard is from now on.
    async fn save(
        &self,
        scene: &Scene,
        after: &Queue,
        part: Option<&Part>,
        asked: Option<(Option<&Grant>, &Shard)>,
    ) -> ServiceResult<()> {
        let id = scene.shard.value.id;
        let mut commit = Commit::new();
        commit.replace(queue_key(id.run, id.job), scene.queue.version, &after.clone().timed(scene.now))?;
        if let Some(Part { version, unique, accepted }) = part {
            commit.replace(lease_key(id.run, id.job, accepted.lease.id), *version, &accepted.lease)?;
            let at = (id.run, id.job);
            let appended = accepted.appended.clone();
            self.append_entries(&mut commit, at, scene.queue.value.len, appended, unique).await?;
        }
        if let Some((_, shard)) = asked {
            // A runner that was lost in between must not be granted anything.
            commit.replace(shard_key(id.run, id.job, id.shard), scene.shard.version, shard)?;
        }
        if let Some((Some(grant), _)) = asked {
            commit.create(lease_key(id.run, id.job, grant.lease.id), &grant.lease)?;
        }
        commit.perform(self.store.as_ref()).await?;
        Ok(())
    }

    /// Tells onlookers what was accepted, and wakes who must act on it.
    async fn tell(&self, caller: &Caller, part: &Part, events: &[UnitEvent], after: &Queue) {
        let id = caller.id;
        if part.accepted.announced > 0 {
            self.notice(id.run, Notice::Announced { job: id.job, cases: part.accepted.announced });
        }
        let seen: &[_] = if self.observer.looks() { &part.accepted.cases } else { &[] };
        for case in seen {
            let held = part.accepted.lease.entries.get(case.entry);
            if let (Some(held), Some(UnitEvent::Case { result, .. })) = (held, events.get(case.event)) {
                let notice = Notice::Case {
                    job: id.job,
                    unit: held.unit.clone(),
                    result: result.clone(),
                    retrying: case.retrying,
                };
                self.notice(id.run, notice);
            }
        }
        // A queue that is drained is judged once its runners have ended, and the last of them says so.
        if after.stopped.is_some() {
            self.wake(Topic::Aggregate, id.run, 0).await;
        }
    }
}
