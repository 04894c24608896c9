//! Someone lets a parked run begin: it was asked for by a stranger, and holds for its commit alone.

use super::audit::Change;
use super::repository::{Commit, Stored};
use super::submit::open_entry;
use super::{ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::run::{Run, RunStatus};
use crate::ports::{Condition, Topic};
use serde::Serialize;

/// What the log keeps of it.
#[derive(Serialize)]
struct Parked<'a> {
    parked: bool,
    commit: Option<&'a str>,
}

impl Services {
    /// Lets a parked run begin. Its time counts from now. A run that is not parked stays as it is.
    ///
    /// # Errors
    /// `Invalid` if the run is over; `Conflict` if it was changed meanwhile; port errors.
    pub async fn approve(&self, actor: &Actor, stored: &Stored<Run>) -> ServiceResult<Run> {
        let before = &stored.value;
        if !before.origin.parked {
            return Ok(before.clone());
        }
        if before.status != RunStatus::Queued || before.cancel.is_some() {
            return Err(ServiceError::Invalid(format!("`{}` is over; run it again", before.id)));
        }
        let mut run = before.clone();
        run.origin.parked = false;
        run.deadline = self.clock.now().plus_ms(before.deadline.since_ms(before.queued_at));
        let mut commit = Commit::new();
        commit.put_run(Condition::Version(stored.version), &run, Some(open_entry(&run)))?;
        let change = Change {
            actor,
            action: "run.approved",
            project: Some(&run.origin.project),
            subject: run.id.to_string(),
        };
        let told = |parked| Parked { parked, commit: run.origin.commit.as_deref() };
        self.audit(&mut commit, change, Some(&told(true)), Some(&told(false)))?;
        commit.perform(self.store.as_ref()).await?;
        self.wake(Topic::Plan, run.id, 0).await;
        Ok(run)
    }
}
