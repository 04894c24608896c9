//! Turns: where runs have to wait for others, and when waiting is over.
//!
//! Where slots are given out, `dispatch` decides on all runs together. Elsewhere a run decides for itself, and only if its
//! project limits how many may be at work: it looks at the others, and begins if it is one of the first. Beginnings of a
//! project come one after the other: each replaces a document that was read before the others were looked at. Only an
//! index that does not show yet who has begun may let one more begin.

use super::repository::{Commit, Stored, load, load_together, project_partition, run_key};
use super::submit::{load_spec, open_entry};
use super::{ServiceResult, Services};
use crate::domain::id::{ProjectId, RunId};
use crate::domain::origin::Origin;
use crate::domain::run::Run;
use crate::ports::{Condition, Key, Topic};
use serde::{Deserialize, Serialize};

/// The run of a project that began last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LastTurn {
    run: RunId,
}

/// The runs that take turns, of all projects, as they were at some moment; read when the first is asked for.
#[derive(Debug, Default)]
pub(crate) struct Seen(Option<Vec<Run>>);

fn turn_key(project: &ProjectId) -> Key {
    Key::new(project_partition(project), "turn".to_owned())
}

impl Services {
    /// Whether a run of this origin may have to wait for others, which is not its own time.
    pub(crate) fn may_wait(&self, origin: &Origin) -> bool {
        self.settings.slots.is_some() || origin.limited
    }

    /// How many runs of a project may be at work; `None` = any number.
    pub(crate) async fn limit_of(&self, project: &ProjectId) -> ServiceResult<Option<u32>> {
        Ok(self.settings_of(project).await?.concurrency)
    }

    /// Whether the run had to wait for others by what was seen; a pass over many runs asks this first, because it asks the
    /// store once for all of them.
    pub(crate) async fn waits(&self, run: &Run, seen: &mut Seen) -> ServiceResult<bool> {
        if run.is_at_work() {
            return Ok(false);
        }
        let Some(limit) = self.limit_of(&run.origin.project).await? else { return Ok(false) };
        if seen.0.is_none() {
            seen.0 = Some(self.turn_takers().await?);
        }
        Ok(!run.has_turn(limit, rivals(run, seen.0.as_deref().unwrap_or_default())))
    }

    /// The run, if it may be at work; one whose turn it is begins now.
    pub(crate) async fn in_turn(&self, run: Stored<Run>) -> ServiceResult<Option<Stored<Run>>> {
        if run.value.is_at_work() {
            return Ok(Some(run));
        }
        let key = turn_key(&run.value.origin.project);
        let last = load::<LastTurn>(self.store.as_ref(), &key, self.clock.now()).await?;
        if let Some(limit) = self.limit_of(&run.value.origin.project).await? {
            let all = self.turn_takers().await?;
            if !run.value.has_turn(limit, rivals(&run.value, &all)) {
                return Ok(None);
            }
        }
        let condition = last.map_or(Condition::Absent, |last| Condition::Version(last.version));
        let mut commit = Commit::new();
        commit.put(key, condition, &LastTurn { run: run.value.id }, None)?;
        self.begin(run, commit).await
    }

    /// Wakes who is next after a run that is over.
    pub(crate) async fn pass_turn(&self, over: &Run) -> ServiceResult<()> {
        if !over.origin.limited || self.settings.slots.is_some() {
            return Ok(());
        }
        let Some(limit) = self.limit_of(&over.origin.project).await? else { return Ok(()) };
        let all = self.turn_takers().await?;
        let others = || rivals(over, &all);
        for run in others().filter(|run| !run.is_at_work() && run.has_turn(limit, others())) {
            self.wake(Topic::Launch, run.id, 0).await;
        }
        Ok(())
    }

    /// All runs that take turns, of all projects.
    async fn turn_takers(&self) -> ServiceResult<Vec<Run>> {
        let keys: Vec<Key> = self.open_runs("~").await?.into_iter().map(run_key).collect();
        let mut found = load_together(self.store.as_ref(), &keys, self.clock.now()).await?;
        let mut all = Vec::new();
        for _ in &keys {
            let run: Option<Stored<Run>> = found.take()?;
            all.extend(run.map(|run| run.value).filter(Run::takes_turns));
        }
        Ok(all)
    }

    /// Waiting is over: the run's own time begins, in this commit. Nothing if someone has changed what it depends on; the
    /// next pass decides again.
    pub(crate) async fn begin(
        &self,
        run: Stored<Run>,
        mut commit: Commit,
    ) -> ServiceResult<Option<Stored<Run>>> {
        let Stored { value, version } = run;
        if value.begun_at.is_some() {
            return Ok(Some(Stored { value, version }));
        }
        let now = self.clock.now();
        let own_ms = load_spec(self, value.id).await?.timeout_ms;
        let next = Run { deadline: value.deadline.min(now.plus_ms(own_ms)), begun_at: Some(now), ..value };
        commit.put_run(Condition::Version(version), &next, Some(open_entry(&next)))?;
        let begun = commit.attempt(self.store.as_ref()).await?;
        Ok(begun.then_some(Stored { value: next, version: version + 1 }))
    }
}

/// Those of its project.
fn rivals<'r>(run: &Run, all: &'r [Run]) -> impl Iterator<Item = &'r Run> {
    let project = run.origin.project.clone();
    all.iter().filter(move |other| other.origin.project == project)
}
