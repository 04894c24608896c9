//! A run is asked for: saved, then a wake.

use super::repository::{Commit, OPEN_RUNS, load_run};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::origin::Origin;
use crate::domain::run::{Run, RunStatus};
use crate::domain::spec::{RunSpec, Source};
use crate::domain::time::Timestamp;
use crate::ports::{Condition, IndexEntry, PortError, Topic};

/// How long a run may wait for slots where they are given out, in milliseconds: its own time begins when its first
/// runner is started.
pub(crate) const QUEUE_PATIENCE_MS: u64 = 24 * 60 * 60 * 1_000;

/// Blob of a run's spec.
#[must_use]
pub fn spec_key(run: RunId) -> String {
    format!("runs/{run}/spec.json")
}

/// Blob of a run's spec after its reference was looked up; a run that names none has none.
#[must_use]
pub fn resolved_key(run: RunId) -> String {
    format!("runs/{run}/resolved.json")
}

/// Whether a blob is the spec of a run, as it was asked for or as it was resolved: each is put once.
pub(crate) fn is_spec(key: &str) -> bool {
    key.ends_with("/spec.json") || key.ends_with("/resolved.json")
}

/// What the run was asked to do: as it was resolved, or else as it was asked for.
pub(crate) async fn load_spec(services: &Services, run: RunId) -> ServiceResult<RunSpec> {
    let spec = parse_spec(services, spec_key(run)).await?;
    let Source::Reference(_) = &spec.source else { return Ok(spec) };
    match parse_spec(services, resolved_key(run)).await {
        Err(ServiceError::Port(PortError::NotFound { .. })) => Ok(spec),
        resolved => resolved,
    }
}

async fn parse_spec(services: &Services, key: String) -> ServiceResult<RunSpec> {
    let bytes = services.blobs.fetch(&key, None).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| PortError::Corrupt { port: "blobs", subject: key, reason: error.to_string() }.into())
}

/// The index entry of a run that is not finished.
pub(crate) fn open_entry(run: &Run) -> IndexEntry {
    IndexEntry { name: OPEN_RUNS.to_owned(), sort: format!("{:020}#{}", run.queued_at.0, run.id) }
}

impl Services {
    /// Accepts a run under a fresh id. When this returns, the run is safe: it will be finished even if
    /// everything else is lost now.
    ///
    /// # Errors
    /// `Invalid` if there is no suite and no commit to take them from; port errors.
    pub async fn submit(&self, spec: &RunSpec) -> ServiceResult<RunId> {
        self.submit_as(RunId(self.ids.uuid()), spec).await
    }

    /// Whether the run has its verdict; a run that does not exist has none.
    ///
    /// # Errors
    /// Port errors.
    pub async fn is_over(&self, id: RunId) -> ServiceResult<bool> {
        let run = load_run(self.store.as_ref(), id, self.clock.now()).await?;
        Ok(run.is_some_and(|run| run.value.status == RunStatus::Finished))
    }

    /// Accepts a run under a chosen id; accepting the same id twice is one run.
    ///
    /// # Errors
    /// As [`Services::submit`].
    pub async fn submit_as(&self, id: RunId, spec: &RunSpec) -> ServiceResult<RunId> {
        self.submit_from(id, spec, Origin::of(spec)).await
    }

    /// When a run must be over; waiting for slots does not count.
    pub(crate) fn run_deadline(&self, queued_at: Timestamp, spec: &RunSpec, origin: &Origin) -> Timestamp {
        let patience_ms = if self.may_wait(origin) { QUEUE_PATIENCE_MS } else { 0 };
        queued_at.plus_ms(spec.timeout_ms).plus_ms(patience_ms)
    }

    /// Accepts a run under a chosen id with all that is known of where it came from.
    ///
    /// # Errors
    /// As [`Services::submit`].
    pub async fn submit_from(&self, id: RunId, spec: &RunSpec, origin: Origin) -> ServiceResult<RunId> {
        let resolved = !matches!(spec.source, Source::Reference(_));
        if resolved && spec.suites.is_empty() {
            return Err(ServiceError::Invalid("the run has no suite".to_owned()));
        }
        let now = self.clock.now();
        let key = spec_key(id);
        let body = serde_json::to_vec(spec).map_err(|error| ServiceError::Invalid(error.to_string()))?;
        match self.blobs.put_absent(&key, body).await {
            // Accepted before, or by an attempt that did not get to the end: what was asked first counts.
            Ok(()) | Err(PortError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let run = Run {
            id,
            status: RunStatus::Queued,
            queued_at: now,
            deadline: self.run_deadline(now, spec, &origin),
            origin,
            finished_at: None,
            jobs: 0,
            partial: spec.is_partial(),
            cancel: None,
            judgement: None,
            begun_at: None,
            figures: None,
        };
        let mut commit = Commit::new();
        commit.put_run(Condition::Absent, &run, Some(open_entry(&run)))?;
        commit.attempt(self.store.as_ref()).await?;
        self.wake(Topic::Plan, id, 0).await;
        Ok(id)
    }
}
