//! A runner comes forward: bootstrap token in, session out.

use super::repository::{Commit, Stored, job_key, load_jobs, load_shard, load_together, shard_key};
use super::submit::load_spec;
use super::token::Caller;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::run::{Job, JobStatus};
use crate::domain::shard::{Shard, ShardRejected};
use crate::domain::time::Timestamp;
use crate::wire::link::{LINK_VERSION, LINK_VERSION_OLDEST, SessionReply, SessionRequest};
use std::collections::BTreeMap;

/// The shard of a caller as it was found, if the caller may be heard.
pub(crate) fn admitted(caller: &Caller, shard: Option<Stored<Shard>>) -> ServiceResult<Stored<Shard>> {
    let shard = shard.ok_or(ServiceError::Shard(ShardRejected::Fenced))?;
    shard.value.admit(caller.id, &caller.nonce)?;
    Ok(shard)
}

impl Services {
    /// Exchanges a bootstrap token for a session. Repeating it with the same nonce gives the same session.
    ///
    /// # Errors
    /// `BadToken`, `Shard` if the runner is not wanted or the token was used, `Invalid` for another protocol
    /// version.
    pub async fn open_session(&self, request: &SessionRequest) -> ServiceResult<SessionReply> {
        if !(LINK_VERSION_OLDEST..=LINK_VERSION).contains(&request.link_version) {
            return Err(ServiceError::Invalid(format!(
                "the runner speaks link version {}, this coordinator {LINK_VERSION_OLDEST} to {LINK_VERSION}; use the same release of both",
                request.link_version
            )));
        }
        let nonce_fits = (8..=64).contains(&request.boot_nonce.len())
            && request.boot_nonce.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !nonce_fits {
            return Err(ServiceError::Invalid("boot_nonce must be 8 to 64 letters or digits".to_owned()));
        }
        let id = self.settings.token_key.read_bootstrap(&request.bootstrap_token)?.id;
        for _ in 0..DECISIONS {
            match self.try_open(id, request).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
        Err(ShardRejected::Fenced.into())
    }

    async fn try_open(
        &self,
        id: crate::domain::id::ShardAttempt,
        request: &SessionRequest,
    ) -> ServiceResult<SessionReply> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let keys = [shard_key(id.run, id.job, id.shard), job_key(id.run, id.job)];
        let mut found = load_together(store, &keys, now).await?;
        let shard: Stored<Shard> = found.take()?.ok_or(ServiceError::Shard(ShardRejected::Fenced))?;
        let next =
            shard.value.open_session(id, &request.boot_nonce, request.slots, &self.settings.clocks, now)?;
        let job: Stored<Job> =
            found.take()?.ok_or_else(|| ServiceError::NotFound(format!("job {}", id.job)))?;
        if job.value.status != JobStatus::Running {
            // A runner that was on its way while its job was closed: what is over is never touched again.
            return Err(ShardRejected::Fenced.into());
        }
        let spec = load_spec(self, id.run).await?;
        let mut job_spec = job.value.spec.clone();
        // More than all there is was not given to the runner.
        job_spec.suite.slots =
            job_spec.suite.slots.map(|slots| self.settings.slots.map_or(slots, |all| slots.min(all)));
        let mut commit = Commit::new();
        commit.replace(shard_key(id.run, id.job, id.shard), shard.version, &next)?;
        if job.value.started_at.is_none() {
            // The job's time begins with its first runner: waiting for room does not count.
            let mut begun = job.value.clone();
            begun.started_at = Some(now);
            begun.deadline = Some(now.plus_ms(begun.spec.suite.timeout_ms));
            commit.replace(job_key(id.run, id.job), job.version, &begun)?;
        }
        commit.perform(store).await?;
        Ok(SessionReply {
            session_token: self.settings.token_key.session(id, &request.boot_nonce),
            run: id.run,
            shard: id.shard,
            shards: job.value.shards,
            job: job_spec,
            source: spec.source,
            filter: spec.filter,
            secrets: BTreeMap::new(),
            heartbeat_ms: self.settings.clocks.heartbeat_ms,
        })
    }

    /// The shard of a caller, if the caller may be heard.
    pub(crate) async fn admit(&self, caller: &Caller, now: Timestamp) -> ServiceResult<Stored<Shard>> {
        admitted(caller, load_shard(self.store.as_ref(), caller.id, now).await?)
    }

    /// The jobs of a run.
    pub(crate) async fn jobs(
        &self,
        run: crate::domain::id::RunId,
        now: Timestamp,
    ) -> ServiceResult<Vec<Stored<Job>>> {
        Ok(load_jobs(self.store.as_ref(), run, now).await?)
    }
}
