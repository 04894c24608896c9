//! Giving out slots: of everything that waits, what is next in turn is launched.
//!
//! The truth is read anew each time, so it does not matter who calls, how often, or what was heard. Two callers at
//! once decide the same; a shard that both launch is launched once.

use super::repository::{Commit, OPEN_RUNS, Stored, load_all, load_run, partition};
use super::{ServiceResult, Services};
use crate::domain::admit::{Grant, OpenRun, Want, admit};
use crate::domain::id::{ProjectId, RunId};
use crate::domain::project::ProjectSettings;
use crate::domain::run::{Job, JobStatus, Run, RunStatus};
use crate::domain::shard::{Shard, ShardStatus};
use crate::ports::PortResult;
use std::collections::BTreeMap;

/// Open runs looked at.
const RUNS_LIMIT: usize = 10_000;

/// A run with everything that decides on its turn.
#[derive(Debug)]
struct Waiting {
    run: Stored<Run>,
    jobs: Vec<Stored<Job>>,
    shards: Vec<Stored<Shard>>,
}

impl Waiting {
    fn job_of(&self, shard: &Shard) -> Option<&Job> {
        self.jobs
            .iter()
            .map(|job| &job.value)
            .find(|job| job.no == shard.id.job && shard.id.shard <= job.shards)
    }
}

impl Services {
    /// The runs that are not over or not at rest, oldest first.
    pub(crate) async fn open_runs(&self, upto: &str) -> PortResult<Vec<RunId>> {
        let keys = self.store.query_index(OPEN_RUNS, upto, RUNS_LIMIT).await?;
        Ok(keys.iter().filter_map(|key| key.partition.strip_prefix("run#")?.parse().ok()).collect())
    }

    /// Launches what is next in turn, as far as there are slots; nothing where no slots are given out.
    ///
    /// # Errors
    /// Port errors; what was not launched is launched by the next pass.
    pub async fn dispatch(&self) -> ServiceResult<()> {
        let Some(slots) = self.settings.slots else { return Ok(()) };
        let mut limits = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        let mut open = Vec::new();
        for id in self.open_runs("~").await? {
            let Some(found) = self.waiting_run(id).await? else { continue };
            let project = self.limits_of(&mut limits, &found.run.value.origin.project).await?;
            open.push(self.open_run(&found, &project, slots));
            waiting.insert(id, found);
        }
        self.finish_launches(&waiting).await?;
        for grant in admit(&open, slots) {
            if let Some(found) = waiting.get_mut(&grant.run) {
                self.honour(found, grant).await?;
            }
        }
        Ok(())
    }

    async fn waiting_run(&self, id: RunId) -> ServiceResult<Option<Waiting>> {
        let now = self.clock.now();
        let store = self.store.as_ref();
        let Some(run) = load_run(store, id, now).await? else { return Ok(None) };
        if run.value.jobs == 0 {
            return Ok(None);
        }
        let shards = load_all(store, &partition(id), "shard#", now).await?;
        Ok(Some(Waiting { run, jobs: self.jobs(id, now).await?, shards }))
    }

    async fn limits_of(
        &self,
        known: &mut BTreeMap<ProjectId, ProjectSettings>,
        id: &ProjectId,
    ) -> ServiceResult<ProjectSettings> {
        if let Some(settings) = known.get(id) {
            return Ok(settings.clone());
        }
        let settings = self.settings_of(id).await?;
        known.insert(id.clone(), settings.clone());
        Ok(settings)
    }

    fn open_run(&self, found: &Waiting, project: &ProjectSettings, slots: u32) -> OpenRun {
        let now = self.clock.now();
        let run = &found.run.value;
        let shards = || found.shards.iter().map(|shard| &shard.value);
        let with_job = || shards().filter_map(|shard| Some((shard, found.job_of(shard)?)));
        let due = |shard: &Shard| shard.status == ShardStatus::Wanted && shard.not_before <= now;
        let wanted = with_job()
            .filter(|(shard, job)| due(shard) && is_going(found, job))
            .map(|(shard, job)| Want { job: job.no, shard: shard.id.shard, slots: need(job, slots) });
        OpenRun {
            run: run.id,
            project: run.origin.project.clone(),
            priority: run.origin.priority,
            project_priority: project.priority,
            queued_at: run.queued_at,
            concurrency: project.concurrency,
            begun: run.status != RunStatus::Finished && shards().any(|shard| shard.started_at.is_some()),
            taken: with_job().map(|(shard, job)| taken(shard, need(job, slots))).sum(),
            wanted: wanted.collect(),
        }
    }

    /// Launches again what was intended by someone who did not get to the end. It has its slots already.
    async fn finish_launches(&self, waiting: &BTreeMap<RunId, Waiting>) -> ServiceResult<()> {
        for found in waiting.values() {
            for shard in &found.shards {
                let begun = shard.value.status == ShardStatus::Launching && shard.value.handle.is_none();
                if let Some(job) = found.job_of(&shard.value).filter(|job| begun && is_going(found, job)) {
                    self.launch_shards(job, std::slice::from_ref(shard)).await?;
                }
            }
        }
        Ok(())
    }

    async fn honour(&self, found: &mut Waiting, grant: Grant) -> ServiceResult<()> {
        if found.shards.iter().all(|shard| shard.value.started_at.is_none()) {
            match self.begin(found.run.clone(), Commit::new()).await? {
                Some(begun) => found.run = begun,
                None => return Ok(()),
            }
        }
        let wanted =
            |shard: &&Stored<Shard>| shard.value.id.job == grant.job && shard.value.id.shard == grant.shard;
        let Some(shard) = found.shards.iter().find(wanted).cloned() else { return Ok(()) };
        let Some(job) = found.job_of(&shard.value) else { return Ok(()) };
        self.launch_shards(job, &[shard]).await
    }
}

fn is_going(found: &Waiting, job: &Job) -> bool {
    found.run.value.status == RunStatus::Running
        && found.run.value.cancel.is_none()
        && job.status == JobStatus::Running
        && job.broken.is_none()
}

/// Slots of a runner of the job; one that names no number takes all there are.
fn need(job: &Job, slots: u32) -> u32 {
    job.spec.suite.slots.unwrap_or(slots).clamp(1, slots.max(1))
}

/// Slots on which processes of the shard may be at work.
fn taken(shard: &Shard, need: u32) -> u32 {
    let left = u32::try_from(shard.to_stop.len()).unwrap_or(u32::MAX).saturating_mul(need);
    let live = match shard.status {
        ShardStatus::Launching => need,
        ShardStatus::Running => shard.slots.max(need),
        ShardStatus::Wanted | ShardStatus::Finished | ShardStatus::Failed => 0,
    };
    live.saturating_add(left)
}
