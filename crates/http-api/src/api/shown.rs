//! Runs as they are shown in lists: most are over, and a list of them is the same text again and again.
//!
//! A text is kept under the place and the version of the row that it was made of, so it is never out of date.

use super::page;
use super::problem::Problem;
use super::wire::RunShown;
use shared::domain::id::digest_hex;
use shared::service::runs::RunRow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most texts kept, of a kilobyte or so each. With more, all are forgotten: what is looked at is soon back.
const KEPT_LIMIT: usize = 4096;

type Kept = BTreeMap<String, (u64, Line)>;

/// The JSON of a run, with its digest.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<(String, String)>);

impl Line {
    fn new(text: String) -> Self {
        let digest = digest_hex(&text);
        Self(Arc::new((text, digest)))
    }

    /// The digest of the text.
    pub(super) fn digest(&self) -> &str {
        &self.0.1
    }
}

impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        &self.0.0
    }
}

/// The texts, by place.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Kept>);

impl Shown {
    /// The JSON of rows.
    ///
    /// # Errors
    /// 500 if what is stored cannot be read.
    pub(super) fn of(&self, rows: &[RunRow]) -> Result<Vec<Line>, Problem> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|row| line(&mut kept, row)).collect()
    }
}

fn line(kept: &mut Kept, row: &RunRow) -> Result<Line, Problem> {
    let (place, version) = row.place();
    if let Some((of, line)) = kept.get(place)
        && *of == version
    {
        return Ok(line.clone());
    }
    let line = Line::new(page::written(&RunShown::from(row.run()?))?);
    if kept.len() >= KEPT_LIMIT {
        kept.clear();
    }
    kept.insert(place.to_owned(), (version, line.clone()));
    Ok(line)
}
