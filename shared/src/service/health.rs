//! Whether the installation can serve, and how much is open.

use super::repository::OPEN_RUNS;
use super::{ServiceResult, Services};
use crate::ports::Key;

/// Open runs beyond this many are not counted.
pub const OPEN_LIMIT: usize = 10_000;

impl Services {
    /// Whether the store answers.
    ///
    /// # Errors
    /// Port errors.
    pub async fn ready(&self) -> ServiceResult<()> {
        let anything = Key::new(super::audit::INSTANCE, "ready");
        self.store.load(&anything, self.clock.now()).await?;
        Ok(())
    }

    /// Runs that are not finished, at most [`OPEN_LIMIT`].
    ///
    /// # Errors
    /// Port errors.
    pub async fn count_open_runs(&self) -> ServiceResult<usize> {
        Ok(self.store.query_index(OPEN_RUNS, "~", OPEN_LIMIT).await?.len())
    }
}
