//! Runs as they are shown: most are over, and showing them is the same text again and again.
//!
//! A text is kept under the place and the version of the document that it was made of, so it is never out of date.

use super::page;
use super::problem::Problem;
use super::wire::RunShown;
use axum::body::Bytes;
use foldhash::fast::RandomState;
use shared::domain::id::{ProjectId, RunId, digest_hex};
use shared::domain::run::RunStatus;
use shared::ports::Key;
use shared::recent::Recent;
use shared::service::runs::RunDocument;
use std::sync::{Arc, Mutex, PoisonError};

/// Half of what is kept at most, in bytes.
const HALF_BYTES: usize = 4 * 1024 * 1024;
/// What a text costs beside itself, in bytes.
const FRAME_BYTES: usize = 400;

type Kept = Recent<Key, (u64, Line), RandomState>;

#[derive(Debug)]
struct Seen {
    id: RunId,
    project: ProjectId,
    is_over: bool,
    text: Bytes,
    digest: String,
}

/// The JSON of a run, and what has to be known of a run without reading it.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Seen>);

impl Line {
    fn read(document: &RunDocument) -> Result<Self, Problem> {
        let run = document.run()?;
        let (id, project) = (run.id, run.origin.project.clone());
        let is_over = run.status == RunStatus::Finished;
        let text = Bytes::from(page::written(&RunShown::from(run))?);
        let digest = digest_hex(&text);
        Ok(Self(Arc::new(Seen { id, project, is_over, text, digest })))
    }

    /// The run.
    pub(super) fn id(&self) -> RunId {
        self.0.id
    }

    /// Its project.
    pub(super) fn project(&self) -> &ProjectId {
        &self.0.project
    }

    /// Whether it is finished.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over
    }

    /// The text.
    pub(super) fn text(&self) -> Bytes {
        self.0.text.clone()
    }

    /// The digest of the text.
    pub(super) fn digest(&self) -> &str {
        &self.0.digest
    }
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        &self.0.text
    }
}

/// The texts, by place.
#[derive(Debug)]
pub(super) struct Shown(Mutex<Kept>);

impl Default for Shown {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(HALF_BYTES)))
    }
}

impl Shown {
    /// The JSON of runs.
    ///
    /// # Errors
    /// 500 if what is stored cannot be read.
    pub(super) fn of(&self, documents: &[RunDocument]) -> Result<Vec<Line>, Problem> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        documents.iter().map(|document| line(&mut kept, document)).collect()
    }

    /// The JSON of one run.
    ///
    /// # Errors
    /// As [`Shown::of`].
    pub(super) fn one(&self, document: &RunDocument) -> Result<Line, Problem> {
        line(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), document)
    }
}

fn line(kept: &mut Kept, document: &RunDocument) -> Result<Line, Problem> {
    let (place, version) = document.place();
    let known = kept.look(place, |(of, line)| (*of == version).then(|| line.clone()));
    if let Some(line) = known.flatten() {
        return Ok(line);
    }
    let line = Line::read(document)?;
    kept.put(place.clone(), FRAME_BYTES + line.0.text.len(), (version, line.clone()));
    Ok(line)
}
