//! Reports as they are handed out: which there are, and a piece at a time.

use super::{REPORTS, report_key};
use crate::domain::id::RunId;
use crate::ports::PortError;
use crate::service::{ServiceError, ServiceResult, Services};
use serde::{Deserialize, Serialize};

/// Report bytes in memory at a time.
const PIECE_BYTES: u64 = 1024 * 1024;

/// A report of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSize {
    /// Name.
    pub name: String,
    /// Its length, if that was written down.
    pub size_bytes: Option<u64>,
}

/// Blob of the sizes of a run's reports.
#[must_use]
pub(super) fn sizes_key(run: RunId) -> String {
    format!("runs/{run}/reports.json")
}

impl Services {
    /// The reports of a run; none until it is over.
    ///
    /// # Errors
    /// Port errors.
    pub async fn reports(&self, run: RunId) -> ServiceResult<Vec<ReportSize>> {
        let key = sizes_key(run);
        match self.blobs.fetch(&key, None).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_err(|error| PortError::Corrupt {
                port: "blobs",
                subject: key,
                reason: error.to_string(),
            })?),
            Err(PortError::NotFound { .. }) => self.reports_without_sizes(run).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn reports_without_sizes(&self, run: RunId) -> ServiceResult<Vec<ReportSize>> {
        let mut found = Vec::new();
        for name in REPORTS {
            match self.blobs.fetch(&report_key(run, name), Some((0, 1))).await {
                Ok(_) => found.push(ReportSize { name: name.to_owned(), size_bytes: None }),
                Err(PortError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// A piece of a report from byte `from` on; an empty one is the end.
    ///
    /// # Errors
    /// `NotFound` if the run has no such report; port errors.
    pub async fn report_piece(&self, run: RunId, name: &str, from: u64) -> ServiceResult<Vec<u8>> {
        if !REPORTS.contains(&name) {
            return Err(ServiceError::NotFound(name.to_owned()));
        }
        Ok(self.blobs.fetch(&report_key(run, name), Some((from, from.saturating_add(PIECE_BYTES)))).await?)
    }

    /// Hands a report out a piece at a time, however long it is.
    ///
    /// # Errors
    /// `NotFound` if the run has no such report; `Invalid` with the taker's own error; port errors.
    pub async fn read_report(
        &self,
        run: RunId,
        name: &str,
        take: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> ServiceResult<()> {
        let mut from = 0;
        loop {
            let bytes = self.report_piece(run, name, from).await?;
            take(&bytes).map_err(|error| ServiceError::Invalid(error.to_string()))?;
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            from = from.saturating_add(count);
            if count < PIECE_BYTES {
                return Ok(());
            }
        }
    }
}
