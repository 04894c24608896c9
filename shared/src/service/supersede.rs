//! A newer run of a branch takes the place of older ones, where the project wants that.

use super::repository::load_run;
use super::submit::open_entry;
use super::{ServiceResult, Services};
use crate::domain::run::Run;
use crate::domain::verdict::{Cause, CauseCode};

impl Services {
    /// Cancels the older unfinished runs that `newer` takes the place of. Called before a run is planned, so whatever
    /// made the run, and however often that is repeated, it happens.
    pub(crate) async fn supersede(&self, newer: &Run) -> ServiceResult<()> {
        if !newer.may_supersede() {
            return Ok(());
        }
        let now = self.clock.now();
        if !self.settings_of(&newer.origin.project).await?.supersede {
            return Ok(());
        }
        for id in self.open_runs(&open_entry(newer).sort).await? {
            let older = load_run(self.store.as_ref(), id, now).await?;
            if older.is_some_and(|older| newer.supersedes(&older.value)) {
                let branch = newer.origin.branch.as_deref().unwrap_or_default();
                let cause = format!("`{}`, a newer run of branch `{branch}`, took its place", newer.id);
                self.cancel(id, Cause::new(CauseCode::Superseded, cause)).await?;
            }
        }
        Ok(())
    }
}
