//! Reports on their way out: rendered piece by piece, stored piece by piece, joined at the end.
//!
//! However long a report is, little more than a piece of it is in memory. Until it is joined nothing is visible
//! under its name.

use super::report_key;
use crate::domain::id::RunId;
use crate::domain::render::{Ctrf, Html, Json, Junit, Renderer};
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use crate::ports::{Blobs, PortError};
use crate::service::{ServiceError, ServiceResult};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A piece that is worth storing.
const WORTH_STORING_BYTES: usize = 1024 * 1024;

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
    key: String,
    renderer: Box<dyn Renderer + Send>,
    buffer: Buffer,
    pieces: Vec<String>,
}

/// Every report of a run.
pub(super) struct Spool(Vec<Sheet>);

impl Spool {
    pub(super) fn new(run: RunId) -> Self {
        let sheet = |name: &str, make: fn(Buffer) -> Box<dyn Renderer + Send>| {
            let buffer = Buffer::default();
            let renderer = make(buffer.clone());
            Sheet { key: report_key(run, name), renderer, buffer, pieces: Vec::new() }
        };
        Self(vec![
            sheet("report.json", |out| Box::new(Json::new(out))),
            sheet("junit.xml", |out| Box::new(Junit::new(out))),
            sheet("ctrf.json", |out| Box::new(Ctrf::new(out))),
            sheet("report.html", |out| Box::new(Html::new(out))),
        ])
    }

    pub(super) fn begin(&mut self, summary: &RunSummary) -> ServiceResult<()> {
        self.each(|renderer| renderer.begin(summary))
    }

    pub(super) fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> ServiceResult<()> {
        self.each(|renderer| renderer.case(job, record))
    }

    fn each(&mut self, mut step: impl FnMut(&mut dyn Renderer) -> io::Result<()>) -> ServiceResult<()> {
        for sheet in &mut self.0 {
            step(sheet.renderer.as_mut()).map_err(|error| {
                ServiceError::Invalid(format!("`{}` cannot be written: {error}", sheet.key))
            })?;
        }
        Ok(())
    }

    /// Stores what is long enough to be a piece.
    pub(super) async fn drain(&mut self, blobs: &dyn Blobs) -> ServiceResult<()> {
        for sheet in &mut self.0 {
            if sheet.buffer.bytes().len() >= WORTH_STORING_BYTES {
                sheet.store_piece(blobs).await?;
            }
        }
        Ok(())
    }

    /// Ends every report and makes it visible.
    pub(super) async fn finish(mut self, blobs: &dyn Blobs) -> ServiceResult<()> {
        self.each(|renderer| renderer.finish())?;
        for mut sheet in self.0 {
            if sheet.pieces.is_empty() {
                let bytes = std::mem::take(&mut *sheet.buffer.bytes());
                blobs.put(&sheet.key, bytes).await?;
                continue;
            }
            sheet.store_piece(blobs).await?;
            blobs.compose(&sheet.key, sheet.pieces.clone()).await?;
            for piece in &sheet.pieces {
                // A piece that stays is removed with the run.
                drop(blobs.delete(piece).await);
            }
        }
        Ok(())
    }
}

impl Sheet {
    async fn store_piece(&mut self, blobs: &dyn Blobs) -> Result<(), PortError> {
        let bytes = std::mem::take(&mut *self.buffer.bytes());
        let key = format!("{}.pieces/{:05}", self.key, self.pieces.len());
        blobs.put(&key, bytes).await?;
        self.pieces.push(key);
        Ok(())
    }
}
