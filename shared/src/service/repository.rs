//! Typed documents over the store: keys, loading, and commits.
//!
//! Everything of a run lives in the partition of the run. This is the only place that knows keys; the
//! repositories are written once, for every adapter.

use super::audit::Listed;
use crate::domain::id::{JobNo, LeaseId, ProjectId, RunId, ShardAttempt};
use crate::domain::queue::Queue;
use crate::domain::queue::lease::Lease;
use crate::domain::run::{Job, Run, RunStatus};
use crate::domain::shard::Shard;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Document, IndexEntry, Key, PortError, PortResult, Store, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Partition of a project's own documents.
#[must_use]
pub fn project_partition(project: &ProjectId) -> String {
    format!("project#{project}")
}

/// Key of a run's row in the list of its project, newest first.
#[must_use]
pub fn row_key(run: &Run) -> Key {
    let age = u64::MAX - run.queued_at.0;
    Key::new(project_partition(&run.origin.project), format!("run#{age:020}#{}", run.id))
}

/// Index of runs that are not finished.
pub const OPEN_RUNS: &str = "open_runs";
const PAGE: usize = 200;
/// Jobs that are read with their run; most runs have no more.
const JOBS_GUESSED: u32 = 3;

/// A value as it was read: its version is the condition of the next write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Version.
    pub version: u64,
}

/// Partition of a run.
#[must_use]
pub fn partition(run: RunId) -> String {
    format!("run#{run}")
}

/// Key of a run.
#[must_use]
pub fn run_key(run: RunId) -> Key {
    Key::new(partition(run), "run")
}

/// Key of a job.
#[must_use]
pub fn job_key(run: RunId, job: JobNo) -> Key {
    Key::new(partition(run), format!("job#{:05}", job.0))
}

/// Key of a job's queue.
#[must_use]
pub fn queue_key(run: RunId, job: JobNo) -> Key {
    Key::new(partition(run), format!("queue#{:05}", job.0))
}

/// Key of a shard.
#[must_use]
pub fn shard_key(run: RunId, job: JobNo, shard: u32) -> Key {
    Key::new(partition(run), format!("shard#{:05}#{shard:05}", job.0))
}

/// What the keys of a job's shards begin with.
pub(crate) fn shards_prefix(job: JobNo) -> String {
    format!("shard#{:05}#", job.0)
}

/// Key of a lease.
#[must_use]
pub fn lease_key(run: RunId, job: JobNo, lease: LeaseId) -> Key {
    Key::new(partition(run), format!("lease#{:05}#{lease}", job.0))
}

/// Key of the group of appended entries that ends with entry `last`.
#[must_use]
pub fn append_key(run: RunId, job: JobNo, last: u32) -> Key {
    Key::new(partition(run), format!("append#{:05}#{last:010}", job.0))
}

/// Reads a document's value.
pub(crate) fn parse<T: DeserializeOwned>(document: &Document) -> PortResult<Stored<T>> {
    match serde_json::from_str(&document.body) {
        Ok(value) => Ok(Stored { value, version: document.version }),
        Err(error) => Err(PortError::Corrupt {
            port: "store",
            subject: format!("{}/{}", document.key.partition, document.key.sort),
            reason: error.to_string(),
        }),
    }
}

/// Writes a value as text.
pub(crate) fn text<T: Serialize>(value: &T, subject: &Key) -> PortResult<String> {
    serde_json::to_string(value).map_err(|error| PortError::Corrupt {
        port: "store",
        subject: format!("{}/{}", subject.partition, subject.sort),
        reason: error.to_string(),
    })
}

/// Loads one typed document.
pub(crate) async fn load<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
    now: Timestamp,
) -> PortResult<Option<Stored<T>>> {
    store.load(key, now).await?.as_ref().map(parse).transpose()
}

/// Documents that were read together, to be taken in the order of their keys.
pub(crate) struct Together(std::vec::IntoIter<Option<Document>>);

impl Together {
    /// The next one, if there is such a document.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> PortResult<Option<Stored<T>>> {
        self.0.next().flatten().as_ref().map(parse).transpose()
    }
}

/// Loads documents of different types at once. They are not of one moment: what is decided on them is saved under
/// the versions of all that it depends on.
pub(crate) async fn load_together(store: &dyn Store, keys: &[Key], now: Timestamp) -> PortResult<Together> {
    Ok(Together(store.load_many(keys, now).await?.into_iter()))
}

/// Loads every typed document of a partition whose sort key has the prefix.
pub(crate) async fn load_all<T: DeserializeOwned>(
    store: &dyn Store,
    partition: &str,
    prefix: &str,
    now: Timestamp,
) -> PortResult<Vec<Stored<T>>> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.query(partition, prefix, after.as_deref(), PAGE, now).await?;
        for document in &page.documents {
            found.push(parse(document)?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}

/// A part of the typed documents of a partition whose sort key has the prefix.
pub(crate) async fn load_part<T: DeserializeOwned>(
    store: &dyn Store,
    (partition, prefix): (&str, &str),
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> PortResult<Listed<T>> {
    let page = store.query(partition, prefix, after, limit, now).await?;
    let items =
        page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
    Ok(Listed { items, next: page.next })
}

/// The run.
pub(crate) async fn load_run(
    store: &dyn Store,
    run: RunId,
    now: Timestamp,
) -> PortResult<Option<Stored<Run>>> {
    load(store, &run_key(run), now).await
}

/// The run's jobs by number.
pub(crate) async fn load_jobs(store: &dyn Store, run: RunId, now: Timestamp) -> PortResult<Vec<Stored<Job>>> {
    load_all(store, &partition(run), "job#", now).await
}

/// The run and its jobs by number. Jobs are there as soon as their run says how many they are, but what is read together
/// is not of one moment; so they are looked for once more if one seems to be missing.
pub(crate) async fn load_run_and_jobs(
    store: &dyn Store,
    run: RunId,
    now: Timestamp,
) -> PortResult<Option<(Stored<Run>, Vec<Stored<Job>>)>> {
    let mut keys = vec![run_key(run)];
    keys.extend((1..=JOBS_GUESSED).map(|no| job_key(run, JobNo(no))));
    let mut found = load_together(store, &keys, now).await?;
    let Some(stored) = found.take::<Run>()? else { return Ok(None) };
    let mut jobs: Vec<Stored<Job>> = Vec::new();
    for _ in 1..=JOBS_GUESSED {
        jobs.extend(found.take()?);
    }
    // What is queued has no plan yet, whatever someone may have begun to write.
    let planned = stored.value.status != RunStatus::Queued;
    let complete = jobs.len() == stored.value.jobs as usize;
    let jobs = match (planned, complete) {
        (false, _) => Vec::new(),
        (true, true) => jobs,
        (true, false) => load_jobs(store, run, now).await?,
    };
    Ok(Some((stored, jobs)))
}

/// A job's queue.
pub(crate) async fn load_queue(
    store: &dyn Store,
    run: RunId,
    job: JobNo,
    now: Timestamp,
) -> PortResult<Option<Stored<Queue>>> {
    load(store, &queue_key(run, job), now).await
}

/// A job's shards by number.
pub(crate) async fn load_shards(
    store: &dyn Store,
    run: RunId,
    job: JobNo,
    now: Timestamp,
) -> PortResult<Vec<Stored<Shard>>> {
    load_all(store, &partition(run), &shards_prefix(job), now).await
}

/// The shard that an attempt belongs to.
pub(crate) async fn load_shard(
    store: &dyn Store,
    id: ShardAttempt,
    now: Timestamp,
) -> PortResult<Option<Stored<Shard>>> {
    load(store, &shard_key(id.run, id.job, id.shard), now).await
}

/// A job's leases, in the order of their epochs.
pub(crate) async fn load_leases(
    store: &dyn Store,
    run: RunId,
    job: JobNo,
    now: Timestamp,
) -> PortResult<Vec<Stored<Lease>>> {
    let mut leases: Vec<Stored<Lease>> =
        load_all(store, &partition(run), &format!("lease#{:05}#", job.0), now).await?;
    leases.sort_by_key(|lease| lease.value.epoch);
    Ok(leases)
}

/// A commit under construction.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    writes: Vec<Write>,
}

impl Commit {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many writes there are.
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Bytes of all bodies.
    pub(crate) fn bytes(&self) -> usize {
        let body = |write: &Write| match &write.change {
            Change::Put { body, .. } => body.len(),
            Change::Delete | Change::Check => 0,
        };
        self.writes.iter().map(body).sum()
    }

    /// Creates a document that must not exist.
    pub(crate) fn create<T: Serialize>(&mut self, key: Key, value: &T) -> PortResult<()> {
        self.put(key, Condition::Absent, value, None)
    }

    /// Replaces a document that must still have the version it was read with.
    pub(crate) fn replace<T: Serialize>(&mut self, key: Key, version: u64, value: &T) -> PortResult<()> {
        self.put(key, Condition::Version(version), value, None)
    }

    /// Writes a document with an index entry.
    pub(crate) fn put<T: Serialize>(
        &mut self,
        key: Key,
        condition: Condition,
        value: &T,
        index: Option<IndexEntry>,
    ) -> PortResult<()> {
        let body = text(value, &key)?;
        self.writes.push(Write { key, condition, change: Change::Put { body, expires_at: None, index } });
        Ok(())
    }

    /// Writes a document that ends by itself.
    pub(crate) fn put_until<T: Serialize>(
        &mut self,
        key: Key,
        condition: Condition,
        value: &T,
        (index, expires_at): (Option<IndexEntry>, Timestamp),
    ) -> PortResult<()> {
        let body = text(value, &key)?;
        let change = Change::Put { body, expires_at: Some(expires_at), index };
        self.writes.push(Write { key, condition, change });
        Ok(())
    }

    /// Writes a run, and its row in the list of its project.
    pub(crate) fn put_run(
        &mut self,
        condition: Condition,
        run: &Run,
        index: Option<IndexEntry>,
    ) -> PortResult<()> {
        self.put(run_key(run.id), condition, run, index)?;
        self.put(row_key(run), Condition::Any, run, None)
    }

    /// Removes a document, whatever it is.
    pub(crate) fn delete(&mut self, key: Key) {
        self.writes.push(Write { key, condition: Condition::Any, change: Change::Delete });
    }

    /// Removes a document that must still have the version it was read with.
    pub(crate) fn check_and_delete(&mut self, key: Key, version: u64) {
        self.writes.push(Write { key, condition: Condition::Version(version), change: Change::Delete });
    }

    /// Demands that a document still has the version it was read with.
    pub(crate) fn check(&mut self, key: Key, version: u64) {
        self.writes.push(Write { key, condition: Condition::Version(version), change: Change::Check });
    }

    /// Performs the commit.
    pub(crate) async fn perform(self, store: &dyn Store) -> PortResult<()> {
        store.commit(self.writes).await
    }

    /// Performs the commit unless others came first. Whether it happened.
    pub(crate) async fn attempt(self, store: &dyn Store) -> PortResult<bool> {
        match self.perform(store).await {
            Ok(()) => Ok(true),
            Err(PortError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
