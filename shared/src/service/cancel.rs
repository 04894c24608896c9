//! Someone wants a run to stop. Cancelling is a flag; the verdict is decided once, by `aggregate`.

use super::audit::Change;
use super::repository::{Commit, load_run};
use super::submit::open_entry;
use super::{DECISIONS, ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::RunId;
use crate::domain::run::{Run, RunStatus};
use crate::domain::verdict::Cause;
use crate::ports::{Condition, Topic};

impl Services {
    /// Asks a run to stop. Asking again, or asking a finished run, changes nothing.
    ///
    /// # Errors
    /// `NotFound` if there is no such run; port errors.
    pub async fn cancel(&self, id: RunId, cause: Cause) -> ServiceResult<()> {
        self.cancel_for(None, id, cause).await
    }

    /// Asks a run to stop, as somebody's wish that the audit log keeps.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    pub async fn cancel_as(&self, actor: &Actor, id: RunId, cause: Cause) -> ServiceResult<()> {
        self.cancel_for(Some(actor), id, cause).await
    }

    async fn cancel_for(&self, actor: Option<&Actor>, id: RunId, cause: Cause) -> ServiceResult<()> {
        let mut decided = self.try_cancel(actor, id, &cause).await;
        for _ in 0..DECISIONS {
            if !decided.as_ref().is_err_and(ServiceError::is_conflict) {
                break;
            }
            decided = self.try_cancel(actor, id, &cause).await;
        }
        decided?;
        self.wake(Topic::Plan, id, 0).await;
        self.wake(Topic::Aggregate, id, 0).await;
        Ok(())
    }

    async fn try_cancel(&self, actor: Option<&Actor>, id: RunId, cause: &Cause) -> ServiceResult<()> {
        let stored = load_run(self.store.as_ref(), id, self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))?;
        let mut run = stored.value;
        if run.status == RunStatus::Finished || run.cancel.is_some() {
            return Ok(());
        }
        run.cancel = Some(cause.clone().fitted());
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(stored.version), &run, Some(open_entry(&run)))?;
        if let Some(actor) = actor {
            let project = Some(&run.origin.project);
            let change = Change { actor, action: "run.cancelled", project, subject: id.to_string() };
            self.audit(&mut commit, change, None::<&Run>, run.cancel.as_ref())?;
        }
        Ok(commit.perform(self.store.as_ref()).await?)
    }
}
