//! Reports as they are handed out: which there are, and a piece at a time.

use super::{REPORTS, report_key};
use crate::domain::id::RunId;
use crate::domain::origin::Trigger;
use crate::domain::run::{Run, RunStatus};
use crate::ports::{LinkTerms, PortError};
use crate::service::repository::load_run;
use crate::service::{ServiceError, ServiceResult, Services};
use serde::{Deserialize, Serialize};

/// Report bytes in memory at a time.
const PIECE_BYTES: u64 = 1024 * 1024;
/// How long the address of a report is good for, in seconds.
const LINK_S: u64 = 300;

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
        if self.rendered_late(run).await?.is_some() {
            let unknown = |name: &str| ReportSize { name: name.to_owned(), size_bytes: None };
            return Ok(REPORTS.into_iter().map(unknown).collect());
        }
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
        let (key, piece) = (report_key(run, name), Some((from, from.saturating_add(PIECE_BYTES))));
        match self.blobs.fetch(&key, piece).await {
            Err(PortError::NotFound { .. }) => {}
            fetched => return Ok(fetched?),
        }
        if let Some(run) = self.rendered_late(run).await? {
            self.render_late(&run).await?;
        }
        Ok(self.blobs.fetch(&key, piece).await?)
    }

    /// Where a report that is longer than its first piece lies for whoever is given the address, if it is to be fetched
    /// from there.
    ///
    /// # Errors
    /// Port errors.
    pub async fn report_link(
        &self,
        run: RunId,
        name: &str,
        media_type: &str,
        first: &[u8],
    ) -> ServiceResult<Option<String>> {
        if (first.len() as u64) < PIECE_BYTES {
            return Ok(None);
        }
        let terms = LinkTerms {
            file_name: format!("{run}-{name}"),
            media_type: media_type.to_owned(),
            expires_in_s: LINK_S,
        };
        Ok(self.blobs.link(&report_key(run, name), &terms).await?)
    }

    /// The run, if its reports are not rendered before someone asks for one.
    async fn rendered_late(&self, run: RunId) -> ServiceResult<Option<Run>> {
        let stored = load_run(self.store.as_ref(), run, self.clock.now()).await?;
        let is_late = |run: &Run| run.status == RunStatus::Finished && run.origin.trigger == Trigger::Import;
        Ok(stored.map(|stored| stored.value).filter(is_late))
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
