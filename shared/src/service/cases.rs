//! Cases of a run as people look at them: listed, filtered, one with all that it printed, and over many runs.
//!
//! A run that is over has pages (see `report::pages`): a list reads the few that can hold what is wanted, one case
//! is found by its key with a handful of short reads. A run at work is read from what its runners have sent so far.

mod live;

use super::audit::Listed;
use super::report::pages::{book_records_key, book_rows_key, index_key, records_key, rows_key, table_key};
use super::runs::RunFilter;
use super::{ServiceError, ServiceResult, Services};
use crate::domain::case_page::{
    BOOK_HEAD_BYTES, CaseFilter, CaseIndex, Line, PageRef, lines, place_in_book, row_of,
};
use crate::domain::case_row::CaseRow;
use crate::domain::id::{CaseKey, ProjectId, RunId};
use crate::domain::key_table::{HEAD_BYTES, TableHead, page_of};
use crate::domain::report::CaseRecord;
use crate::domain::run::{Run, RunStatus};
use crate::ports::{PortError, PortResult};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::sync::Arc;

/// Pages read by one request at most; a rarer match is found by going on.
const SCAN_PAGES: usize = 64;
/// Runs of a case's history at most…
const HISTORY_RUNS: usize = 50;
/// …and runs looked at for them.
const HISTORY_SCAN: usize = 100;

/// A case as it was in one run.
#[derive(Debug, Clone)]
pub struct CaseInRun {
    /// The run.
    pub run: Run,
    /// The case.
    pub row: CaseRow,
}

/// The JSON of a case as it is shown, in the text that it was read from.
#[derive(Debug, Clone)]
pub struct CaseText {
    page: Arc<String>,
    place: Range<usize>,
}

impl From<String> for CaseText {
    fn from(text: String) -> Self {
        Self { place: 0..text.len(), page: Arc::new(text) }
    }
}

impl AsRef<[u8]> for CaseText {
    fn as_ref(&self) -> &[u8] {
        self.page.as_bytes().get(self.place.clone()).unwrap_or_default()
    }
}

/// Where a case of a run was sought.
enum Sought {
    /// The run has no pages.
    Nowhere,
    /// It has, and no such case.
    Absent,
    /// There it is: the row, and the blob and the place of its record.
    Found(Box<CaseRow>, String, (u64, u64)),
}

fn corrupt(subject: &str, reason: &dyn std::fmt::Display) -> PortError {
    PortError::Corrupt { port: "blobs", subject: subject.to_owned(), reason: reason.to_string() }
}

fn parse<T: DeserializeOwned>(subject: &str, bytes: &[u8]) -> PortResult<T> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(subject, &error))
}

/// Where a list goes on: a page, counted over all, and a line of it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    page: usize,
    line: usize,
}

impl Place {
    fn text(self) -> String {
        format!("p{}.{}", self.page, self.line)
    }

    /// A place in what a run at work has sent is none: once the run is over, the list begins anew.
    fn read(text: Option<&str>) -> Self {
        let parts = text.and_then(|text| text.strip_prefix('p')).and_then(|text| text.split_once('.'));
        let read =
            |(page, line): (&str, &str)| Some(Self { page: page.parse().ok()?, line: line.parse().ok()? });
        parts.and_then(read).unwrap_or_default()
    }
}

impl Services {
    /// Cases of a run, each as JSON as it is shown: failures first. A part may be short, even empty, and still have
    /// a next one. Of a run at work: results so far, one for each attempt, in no particular order.
    ///
    /// # Errors
    /// Port errors.
    pub async fn cases(
        &self,
        run: &Run,
        filter: &CaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<CaseText>> {
        if run.status == RunStatus::Finished
            && let Some(listed) = self.final_cases(run.id, filter, after, limit).await?
        {
            return Ok(listed);
        }
        let Listed { items, next } = self.live_cases(run, filter, after, limit).await?;
        Ok(Listed { items: items.into_iter().map(CaseText::from).collect(), next })
    }

    /// The same of a run that is over, if it has pages of its cases; they never change.
    ///
    /// # Errors
    /// Port errors.
    pub async fn final_cases(
        &self,
        run: RunId,
        filter: &CaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Option<Listed<CaseText>>> {
        let Some(index) = self.case_index(run).await? else { return Ok(None) };
        self.paged_cases(run, (&index, filter), Place::read(after), limit).await.map(Some)
    }

    async fn case_index(&self, run: RunId) -> ServiceResult<Option<CaseIndex>> {
        let key = index_key(run);
        match self.blobs.fetch(&key, None).await {
            Ok(bytes) => Ok(Some(parse(&key, &bytes)?)),
            Err(PortError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn paged_cases(
        &self,
        run: RunId,
        (index, filter): (&CaseIndex, &CaseFilter),
        from: Place,
        limit: usize,
    ) -> ServiceResult<Listed<CaseText>> {
        let sieve = filter.sieve(&index.jobs);
        let keeps = |line: &str| match sieve.keeps_all() {
            true => Some(true),
            false => Line::read(line).map(|line| sieve.keeps(&line)),
        };
        let mut items = Vec::new();
        let wanted = index.pages().enumerate().skip(from.page).filter(|(_, (_, page))| sieve.may_hold(page));
        for (scanned, (page, (at, summary))) in wanted.enumerate() {
            if scanned == SCAN_PAGES {
                return Ok(Listed { items, next: Some(Place { page, line: 0 }.text()) });
            }
            let text = Arc::new(self.page_text(run, at, summary.place).await?);
            let first = if page == from.page { from.line } else { 0 };
            let mut end = 0;
            for (line, text_of_line) in lines(&text).enumerate() {
                let broken = || corrupt(&rows_key(run, at), &"a line is broken");
                let row = row_of(text_of_line).ok_or_else(broken)?;
                let place = (end + text_of_line.len() - row.len())..(end + text_of_line.len());
                end = place.end + 1;
                if line < first || !keeps(text_of_line).ok_or_else(broken)? {
                    continue;
                }
                if items.len() == limit {
                    return Ok(Listed { items, next: Some(Place { page, line }.text()) });
                }
                items.push(CaseText { page: Arc::clone(&text), place });
            }
        }
        Ok(Listed { items, next: None })
    }

    async fn page_text(&self, run: RunId, page: PageRef, place: Option<(u64, u64)>) -> ServiceResult<String> {
        let key = if place.is_some() { book_rows_key(run, page) } else { rows_key(run, page) };
        let bytes = self.blobs.fetch(&key, place).await?;
        Ok(String::from_utf8(bytes).map_err(|error| corrupt(&key, &error))?)
    }

    /// A case of a run with every attempt at it.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn case(&self, run: &Run, key: CaseKey) -> ServiceResult<(CaseRow, CaseRecord)> {
        let found = match self.seek(run, key).await? {
            Sought::Nowhere => self.live_case(run, key).await?,
            Sought::Absent => None,
            Sought::Found(row, blob, place) => {
                let bytes = self.blobs.fetch(&blob, Some(place)).await?;
                Some((*row, parse(&blob, &bytes)?))
            }
        };
        found.ok_or_else(|| ServiceError::NotFound(key.to_string()))
    }

    async fn seek(&self, run: &Run, key: CaseKey) -> ServiceResult<Sought> {
        if run.status != RunStatus::Finished {
            return Ok(Sought::Nowhere);
        }
        for number in 0u32.. {
            let blob = table_key(run.id, number);
            let head = match self.blobs.fetch(&blob, Some((0, HEAD_BYTES))).await {
                Ok(head) => head,
                Err(PortError::NotFound { .. }) if number == 0 => return Ok(Sought::Nowhere),
                Err(PortError::NotFound { .. }) => return Ok(Sought::Absent),
                Err(error) => return Err(error.into()),
            };
            let head = TableHead::read(&head).ok_or_else(|| corrupt(&blob, &"it has no head"))?;
            let (from, to) = head.range(key);
            let entries =
                if from < to { self.blobs.fetch(&blob, Some((from, to))).await? } else { Vec::new() };
            if let Some(page) = page_of(&entries, key) {
                return self.row_on(run.id, PageRef::from_code(page), key).await;
            }
            if !head.is_full() {
                break;
            }
        }
        Ok(Sought::Absent)
    }

    async fn row_on(&self, run: RunId, page: PageRef, key: CaseKey) -> ServiceResult<Sought> {
        let blob = book_rows_key(run, page);
        let (place, text) = match self.page_text(run, page, None).await {
            Ok(text) => (None, text),
            Err(ServiceError::Port(PortError::NotFound { .. })) => {
                let head = self.blobs.fetch(&blob, Some((0, BOOK_HEAD_BYTES))).await?;
                let place = place_in_book(&head, page);
                let place = place.ok_or_else(|| corrupt(&blob, &"it has no such page"))?;
                (Some(place), self.page_text(run, page, Some(place)).await?)
            }
            Err(error) => return Err(error),
        };
        let digits = format!("{:032x}", key.0);
        let line = lines(&text).find(|line| line.starts_with(&digits)).and_then(Line::read);
        let line = line.ok_or_else(|| corrupt(&blob, &format!("it has no row of `{key}`")))?;
        let row: CaseRow = parse(&blob, line.row.as_bytes())?;
        let records = if place.is_some() { book_records_key(run, page) } else { records_key(run, page) };
        Ok(Sought::Found(Box::new(row), records, line.place))
    }

    /// A case in the newest finished runs of its project that had it, newest first.
    ///
    /// # Errors
    /// `NotFound` if none of the newest runs had it; port errors.
    pub async fn case_runs(&self, project: &ProjectId, key: CaseKey) -> ServiceResult<Vec<CaseInRun>> {
        let filter = RunFilter { status: Some(RunStatus::Finished), ..RunFilter::default() };
        let runs = self.runs(project, &filter, None, HISTORY_SCAN).await?;
        let mut found = Vec::new();
        for run in runs.items {
            if let Sought::Found(row, ..) = self.seek(&run, key).await? {
                found.push(CaseInRun { run, row: *row });
            }
            if found.len() == HISTORY_RUNS {
                break;
            }
        }
        if found.is_empty() {
            return Err(ServiceError::NotFound(key.to_string()));
        }
        Ok(found)
    }
}
