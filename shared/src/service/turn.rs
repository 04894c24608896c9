//! Turns: where runs have to wait for others, and when waiting is over.
//!
//! Where slots are given out, `dispatch` decides on all runs together. Elsewhere a run decides for itself, and only if
//! its project limits how many may be at work: it looks at the others, and begins if it is one of the first. A limit
//! counts for the runs that are accepted under it. An index that lags may let one more begin.

use super::repository::{Commit, Stored, load_together, run_key};
use super::submit::{QUEUE_PATIENCE_MS, open_entry};
use super::{ServiceResult, Services};
use crate::domain::id::RunId;
use crate::domain::origin::Origin;
use crate::domain::run::{Run, RunStatus};
use crate::ports::{Condition, Key, Topic};

/// Runs that are read at once.
const PAGE: usize = 100;

impl Services {
    /// Whether a run of this origin may have to wait for others, which is not its own time.
    pub(crate) fn may_wait(&self, origin: &Origin) -> bool {
        self.settings.slots.is_some() || origin.concurrency.is_some()
    }

    /// The run, if it may be at work; one whose turn it is begins now.
    pub(crate) async fn in_turn(&self, run: Stored<Run>) -> ServiceResult<Option<Stored<Run>>> {
        if run.value.origin.concurrency.is_none() || run.value.begun_at.is_some() {
            return Ok(Some(run));
        }
        let others = self.rivals(&run.value).await?;
        if run.value.has_turn(others.iter()) { self.begin(run).await } else { Ok(None) }
    }

    /// Wakes who is next after a run that is over.
    pub(crate) async fn pass_turn(&self, over: &Run) -> ServiceResult<()> {
        if over.origin.concurrency.is_none() || self.settings.slots.is_some() {
            return Ok(());
        }
        let rivals = self.rivals(over).await?;
        let is_next = |run: &&Run| run.begun_at.is_none() && run.has_turn(rivals.iter());
        for run in rivals.iter().filter(is_next) {
            self.wake(Topic::Launch, run.id, 0).await;
        }
        Ok(())
    }

    /// The other runs of its project that are planned and not over.
    async fn rivals(&self, run: &Run) -> ServiceResult<Vec<Run>> {
        let open: Vec<RunId> =
            self.open_runs("~").await?.into_iter().filter(|other| *other != run.id).collect();
        let mut rivals = Vec::new();
        for some in open.chunks(PAGE) {
            let keys: Vec<Key> = some.iter().map(|id| run_key(*id)).collect();
            let mut found = load_together(self.store.as_ref(), &keys, self.clock.now()).await?;
            for _ in some {
                let other: Option<Stored<Run>> = found.take()?;
                let rival = |other: &Run| {
                    other.origin.project == run.origin.project && other.status == RunStatus::Running
                };
                rivals.extend(other.map(|other| other.value).filter(rival));
            }
        }
        Ok(rivals)
    }

    /// Waiting is over: the run's own time begins. Nothing if someone has changed the run meanwhile; the next pass decides
    /// again.
    pub(crate) async fn begin(&self, run: Stored<Run>) -> ServiceResult<Option<Stored<Run>>> {
        let Stored { value, version } = run;
        let now = self.clock.now();
        let own_ms = value.deadline.since_ms(value.queued_at).saturating_sub(QUEUE_PATIENCE_MS);
        let limited = value.origin.concurrency.is_some();
        if value.begun_at.is_some() || (own_ms == 0 && !limited) {
            return Ok(Some(Stored { value, version }));
        }
        let deadline = if own_ms == 0 { value.deadline } else { value.deadline.min(now.plus_ms(own_ms)) };
        let begun_at = limited.then_some(now);
        let next = Run { deadline, begun_at, ..value };
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(version), &next, Some(open_entry(&next)))?;
        let begun = commit.attempt(self.store.as_ref()).await?;
        Ok(begun.then_some(Stored { value: next, version: version + 1 }))
    }
}
