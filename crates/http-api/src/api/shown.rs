//! Runs as they are shown in lists: most are over, and a list of them is the same text again and again.
//!
//! A text is kept under the place and the version of the row that it was made of, so it is never out of date.

use super::problem::Problem;
use super::wire::RunShown;
use shared::service::runs::RunRow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most texts kept, of a kilobyte or so each. With more, all are forgotten: what is looked at is soon back.
const KEPT_LIMIT: usize = 4096;

/// The texts.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<BTreeMap<String, (u64, Arc<str>)>>);

impl Shown {
    /// The JSON of a row.
    ///
    /// # Errors
    /// 500 if what is stored cannot be read.
    pub(super) fn of(&self, row: &RunRow) -> Result<Arc<str>, Problem> {
        let (place, version) = row.place();
        if let Some((of, text)) = self.kept().get(place)
            && *of == version
        {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = super::page::written(&RunShown::from(row.run()?))?.into();
        let mut kept = self.kept();
        if kept.len() >= KEPT_LIMIT {
            kept.clear();
        }
        kept.insert(place.to_owned(), (version, Arc::clone(&text)));
        Ok(text)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (u64, Arc<str>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
