//! Reports on their way out: rendered piece by piece, stored piece by piece, joined at the end.
//!
//! However long a report is, little more than a piece of it is in memory. Until it is joined nothing is visible
//! under its name.

use super::pages::Pages;
use super::{ReportSize, report_key, sizes_key};
use crate::domain::id::RunId;
use crate::domain::render::{Ctrf, Html, Json, Junit, Renderer};
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use crate::ports::{Blobs, PortError};
use crate::service::{ServiceError, ServiceResult};
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A piece that is worth storing.
const WORTH_STORING_BYTES: usize = 1024 * 1024;

/// Renderers write a few bytes at a time; they get to the shared buffer in portions of this size.
const WRITTEN_AT_ONCE_BYTES: usize = 16 * 1024;

/// Where a renderer writes to until the next piece is stored.
#[derive(Debug, Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One report.
struct Sheet {
    name: String,
    key: String,
    /// Under which its pieces are stored.
    folder: String,
    renderer: Box<dyn Renderer + Send>,
    buffer: Buffer,
    pieces: Vec<String>,
    stored: u64,
}

/// Every report of a run, and its pages of cases.
pub(super) struct Spool {
    run: RunId,
    sheets: Vec<Sheet>,
    pages: Option<Pages>,
}

impl Spool {
    /// Reports and pages, the pages bound in books or each by itself.
    pub(super) fn new(run: RunId, bound: bool) -> Self {
        Self { run, sheets: sheets(run, ""), pages: Some(Pages::new(run, bound)) }
    }

    /// Pages alone.
    pub(super) fn of_pages(run: RunId, bound: bool) -> Self {
        Self { run, sheets: Vec::new(), pages: Some(Pages::new(run, bound)) }
    }

    /// Reports alone. `unique` keeps the pieces of two that render them at once apart.
    pub(super) fn of_reports(run: RunId, unique: &str) -> Self {
        Self { run, sheets: sheets(run, unique), pages: None }
    }

    pub(super) fn begin(&mut self, summary: &RunSummary) -> ServiceResult<()> {
        if let Some(pages) = &mut self.pages {
            pages.begin(summary);
        }
        self.each(|renderer| renderer.begin(summary))
    }

    pub(super) fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> ServiceResult<()> {
        if let Some(pages) = &mut self.pages {
            pages.case(job, record)?;
        }
        self.each(|renderer| renderer.case(job, record))
    }

    fn each(&mut self, mut step: impl FnMut(&mut dyn Renderer) -> io::Result<()>) -> ServiceResult<()> {
        for sheet in &mut self.sheets {
            step(sheet.renderer.as_mut()).map_err(|error| {
                ServiceError::Invalid(format!("`{}` cannot be written: {error}", sheet.key))
            })?;
        }
        Ok(())
    }

    /// Stores what is long enough to be a piece.
    pub(super) async fn drain(&mut self, blobs: &dyn Blobs) -> ServiceResult<()> {
        for sheet in &mut self.sheets {
            if sheet.buffer.bytes().len() >= WORTH_STORING_BYTES {
                sheet.store_piece(blobs).await?;
            }
        }
        if let Some(pages) = &mut self.pages {
            pages.drain(blobs).await?;
        }
        Ok(())
    }

    /// Ends every report and makes it visible.
    pub(super) async fn finish(mut self, blobs: &dyn Blobs) -> ServiceResult<()> {
        self.each(|renderer| renderer.finish())?;
        if let Some(pages) = self.pages {
            pages.finish(blobs).await?;
        }
        if self.sheets.is_empty() {
            return Ok(());
        }
        let mut sizes = Vec::new();
        for mut sheet in self.sheets {
            sheet.finish(blobs).await?;
            sizes.push(ReportSize { name: sheet.name, size_bytes: Some(sheet.stored) });
        }
        let key = sizes_key(self.run);
        let bytes = serde_json::to_vec(&sizes).map_err(|error| ServiceError::Invalid(error.to_string()))?;
        Ok(blobs.put(&key, bytes).await?)
    }
}

fn sheets(run: RunId, unique: &str) -> Vec<Sheet> {
    let sheet = |name: &str, make: fn(BufWriter<Buffer>) -> Box<dyn Renderer + Send>| {
        let buffer = Buffer::default();
        let renderer = make(BufWriter::with_capacity(WRITTEN_AT_ONCE_BYTES, buffer.clone()));
        let key = report_key(run, name);
        let folder = format!("{key}.pieces/{unique}");
        Sheet { name: name.to_owned(), key, folder, renderer, buffer, pieces: Vec::new(), stored: 0 }
    };
    vec![
        sheet("report.json", |out| Box::new(Json::new(out))),
        sheet("junit.xml", |out| Box::new(Junit::new(out))),
        sheet("ctrf.json", |out| Box::new(Ctrf::new(out))),
        sheet("report.html", |out| Box::new(Html::new(out))),
    ]
}

impl Sheet {
    async fn finish(&mut self, blobs: &dyn Blobs) -> Result<(), PortError> {
        if self.pieces.is_empty() {
            let bytes = std::mem::take(&mut *self.buffer.bytes());
            self.stored = bytes.len() as u64;
            return blobs.put(&self.key, bytes).await;
        }
        self.store_piece(blobs).await?;
        blobs.compose(&self.key, self.pieces.clone()).await?;
        for piece in &self.pieces {
            // A piece that stays is removed with the run.
            drop(blobs.delete(piece).await);
        }
        Ok(())
    }

    async fn store_piece(&mut self, blobs: &dyn Blobs) -> Result<(), PortError> {
        let bytes = std::mem::take(&mut *self.buffer.bytes());
        self.stored += bytes.len() as u64;
        let key = format!("{}{:05}", self.folder, self.pieces.len());
        blobs.put(&key, bytes).await?;
        self.pieces.push(key);
        Ok(())
    }
}
