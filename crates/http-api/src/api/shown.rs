//! Runs as they are shown in lists: most are over, and a list of them is the same text again and again.
//!
//! A text is kept under the place and the version of the row that it was made of, so it is never out of date.

use super::page;
use super::problem::Problem;
use super::wire::RunShown;
use shared::service::runs::RunRow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most texts kept, of a kilobyte or so each. With more, all are forgotten: what is looked at is soon back.
const KEPT_LIMIT: usize = 4096;

type Kept = BTreeMap<String, (u64, Arc<str>)>;

/// The texts.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Kept>);

impl Shown {
    /// The JSON of rows.
    ///
    /// # Errors
    /// 500 if what is stored cannot be read.
    pub(super) fn of(&self, rows: &[RunRow]) -> Result<Vec<Arc<str>>, Problem> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|row| text(&mut kept, row)).collect()
    }
}

fn text(kept: &mut Kept, row: &RunRow) -> Result<Arc<str>, Problem> {
    let (place, version) = row.place();
    if let Some((of, text)) = kept.get(place)
        && *of == version
    {
        return Ok(Arc::clone(text));
    }
    let text: Arc<str> = page::written(&RunShown::from(row.run()?))?.into();
    if kept.len() >= KEPT_LIMIT {
        kept.clear();
    }
    kept.insert(place.to_owned(), (version, Arc::clone(&text)));
    Ok(text)
}
