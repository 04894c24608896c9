//! Reports on their way to the blob store and back, in pieces: nobody ever holds a whole one.
//!
//! Pieces are numbered from 0; a last blob says how many there are and is written when all of them are, so a report
//! is either whole or not there. Writing it again gives the same pieces.

use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::RunId;
use crate::ports::PortError;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Size from which a piece is stored.
const PIECE_BYTES: usize = 1024 * 1024;

fn piece_key(run: RunId, name: &str, piece: u32) -> String {
    format!("runs/{run}/reports/{name}/{piece:06}")
}

fn end_key(run: RunId, name: &str) -> String {
    format!("runs/{run}/reports/{name}/pieces")
}

/// What a renderer writes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pen(Arc<Mutex<Vec<u8>>>);

impl Pen {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A report while it is written.
#[derive(Debug)]
pub(crate) struct Tape {
    run: RunId,
    name: &'static str,
    pen: Pen,
    pieces: u32,
}

impl Tape {
    pub(crate) fn new(run: RunId, name: &'static str) -> Self {
        Self { run, name, pen: Pen::default(), pieces: 0 }
    }

    pub(crate) fn pen(&self) -> Pen {
        self.pen.clone()
    }

    /// Stores what was written on each, once it is enough for a piece.
    pub(crate) async fn wind_all(tapes: &mut [Self], services: &Services) -> ServiceResult<()> {
        for tape in tapes {
            let enough = tape.pen.lock().len() >= PIECE_BYTES;
            if enough {
                tape.cut(services).await?;
            }
        }
        Ok(())
    }

    /// Stores the rest, and that it is all.
    pub(crate) async fn end(mut self, services: &Services) -> ServiceResult<()> {
        self.cut(services).await?;
        let count = self.pieces.to_string().into_bytes();
        Ok(services.blobs.put(&end_key(self.run, self.name), count).await?)
    }

    async fn cut(&mut self, services: &Services) -> ServiceResult<()> {
        let piece = std::mem::take(&mut *self.pen.lock());
        services.blobs.put(&piece_key(self.run, self.name, self.pieces), piece).await?;
        self.pieces += 1;
        Ok(())
    }
}

impl Services {
    /// Hands a report of a finished run to `take`, piece by piece.
    ///
    /// # Errors
    /// `NotFound` if the run has no such report; `Invalid` if `take` fails; port errors.
    pub async fn read_report(
        &self,
        run: RunId,
        name: &str,
        take: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> ServiceResult<()> {
        let key = end_key(run, name);
        let count = self.blobs.fetch(&key, None).await?;
        let count: u32 =
            std::str::from_utf8(&count).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                PortError::Corrupt { port: "blobs", subject: key, reason: "not a number".to_owned() }
            })?;
        for piece in 0..count {
            let bytes = self.blobs.fetch(&piece_key(run, name, piece), None).await?;
            take(&bytes).map_err(|error| ServiceError::Invalid(format!("it cannot be written: {error}")))?;
        }
        Ok(())
    }
}
