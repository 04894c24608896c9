//! A run's cases as pages of rows, their records beside them, and the tables that find a case by its key.
//!
//! What is written is bounded by the book and the table under construction, however many cases there are. The index
//! is written last: a run without it has no pages.

use crate::domain::case_page::{
    BOOK_HEAD_BYTES, BOOK_PAGES, CaseIndex, PAGE_BYTES, PAGE_ROWS, PageRef, PageSummary, book_head,
    write_line,
};
use crate::domain::case_row::CaseRow;
use crate::domain::id::RunId;
use crate::domain::key_table::KeyTable;
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use crate::ports::{Blobs, PortError, PortResult};

/// Blob of a run's index of pages.
#[must_use]
pub(crate) fn index_key(run: RunId) -> String {
    format!("runs/{run}/cases/index.json")
}

/// Blob of the rows of a page's book, behind its head.
#[must_use]
pub(crate) fn book_rows_key(run: RunId, page: PageRef) -> String {
    format!("runs/{run}/cases/{}-book-{:05}.rows", kind(page), page.book())
}

/// Blob of the records of a page's book.
#[must_use]
pub(crate) fn book_records_key(run: RunId, page: PageRef) -> String {
    format!("runs/{run}/cases/{}-book-{:05}.records", kind(page), page.book())
}

/// Blob of the rows of a page that is in no book.
#[must_use]
pub(crate) fn rows_key(run: RunId, page: PageRef) -> String {
    format!("runs/{run}/cases/{}-{:05}.rows", kind(page), page.number)
}

/// Blob of the records of such a page.
#[must_use]
pub(crate) fn records_key(run: RunId, page: PageRef) -> String {
    format!("runs/{run}/cases/{}-{:05}.records", kind(page), page.number)
}

/// Blob of the n-th table of keys, counted from 0.
#[must_use]
pub(crate) fn table_key(run: RunId, number: u32) -> String {
    format!("runs/{run}/cases/keys-{number:05}")
}

fn kind(page: PageRef) -> &'static str {
    if page.failures { "failures" } else { "rest" }
}

/// Pages of one kind on their way out.
#[derive(Debug, Default)]
struct Stream {
    failures: bool,
    /// Whether pages are bound in books: fewer blobs, and each read is one of a part.
    bound: bool,
    done: Vec<PageSummary>,
    open: PageSummary,
    /// The lines of the open book, and where its pages are in it.
    lines: Vec<u8>,
    places: Vec<(u64, u64)>,
    /// Where the open page begins.
    begin: usize,
    /// The records of the open book, and where those of the open page begin.
    records: Vec<u8>,
    begin_records: usize,
}

impl Stream {
    fn page(&self) -> PageRef {
        PageRef { failures: self.failures, number: u32::try_from(self.done.len()).unwrap_or(u32::MAX) }
    }

    fn take(&mut self, row: &CaseRow, record: &CaseRecord) -> Result<(), serde_json::Error> {
        let from = self.records.len() as u64;
        serde_json::to_writer(&mut self.records, record)?;
        let to = self.records.len() as u64;
        self.records.push(b'\n');
        self.open.note(row);
        write_line(&mut self.lines, row, (from, to))
    }

    fn is_full(&self) -> bool {
        self.open.rows() >= PAGE_ROWS || self.records.len() - self.begin_records >= PAGE_BYTES
    }

    fn close_page(&mut self, run: RunId, ready: &mut Vec<(String, Vec<u8>)>) {
        if self.open.rows() == 0 {
            return;
        }
        if !self.bound {
            ready.push((records_key(run, self.page()), std::mem::take(&mut self.records)));
            ready.push((rows_key(run, self.page()), std::mem::take(&mut self.lines)));
            return self.done.push(std::mem::take(&mut self.open));
        }
        let at = |length: usize| BOOK_HEAD_BYTES + length as u64;
        let place = (at(self.begin), at(self.lines.len()));
        (self.begin, self.begin_records) = (self.lines.len(), self.records.len());
        self.places.push(place);
        self.done.push(PageSummary { place: Some(place), ..std::mem::take(&mut self.open) });
    }

    fn is_book_full(&self) -> bool {
        self.bound && (self.places.len() >= BOOK_PAGES as usize || self.records.len() >= PAGE_BYTES)
    }

    fn close_book(&mut self, run: RunId, ready: &mut Vec<(String, Vec<u8>)>) {
        self.close_page(run, ready);
        if self.places.is_empty() {
            return;
        }
        let page = PageRef { number: self.page().number - 1, ..self.page() };
        let mut rows = book_head(&self.places);
        rows.append(&mut self.lines);
        ready.push((book_records_key(run, page), std::mem::take(&mut self.records)));
        ready.push((book_rows_key(run, page), rows));
        self.places.clear();
        (self.begin, self.begin_records) = (0, 0);
    }

    /// The next page begins a book; nobody looks for anything in a page without rows.
    fn turn(&mut self) {
        let books = self.done.len().div_ceil(BOOK_PAGES as usize);
        self.done.resize_with(books * BOOK_PAGES as usize, PageSummary::default);
    }
}

/// Every page of a run on its way out.
#[derive(Debug)]
pub(super) struct Pages {
    run: RunId,
    jobs: Vec<(u32, String)>,
    failures: Stream,
    rest: Stream,
    table: KeyTable,
    tables: u32,
    ready: Vec<(String, Vec<u8>)>,
}

impl Pages {
    pub(super) fn new(run: RunId, bound: bool) -> Self {
        Self {
            run,
            jobs: Vec::new(),
            failures: Stream { failures: true, bound, ..Stream::default() },
            rest: Stream { bound, ..Stream::default() },
            table: KeyTable::default(),
            tables: 0,
            ready: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, summary: &RunSummary) {
        self.jobs = summary.jobs.iter().map(|job| (job.job.0, job.name.clone())).collect();
    }

    pub(super) fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> PortResult<()> {
        let Some(row) = CaseRow::of(&job.name, record) else { return Ok(()) };
        let stream = if row.outcome.is_failure() { &mut self.failures } else { &mut self.rest };
        self.table.push(row.key, stream.page().code());
        stream.take(&row, record).map_err(|error| corrupt(&row.id.0, &error))?;
        if stream.is_full() {
            stream.close_page(self.run, &mut self.ready);
            if stream.is_book_full() {
                stream.close_book(self.run, &mut self.ready);
                stream.turn();
            }
        }
        if self.table.is_full() {
            self.close_table();
        }
        Ok(())
    }

    fn close_table(&mut self) {
        self.ready.push((table_key(self.run, self.tables), self.table.take()));
        self.tables += 1;
    }

    /// Stores what is whole.
    pub(super) async fn drain(&mut self, blobs: &dyn Blobs) -> PortResult<()> {
        for (key, bytes) in self.ready.drain(..) {
            blobs.put(&key, bytes).await?;
        }
        Ok(())
    }

    /// Stores the rest, and the index.
    pub(super) async fn finish(mut self, blobs: &dyn Blobs) -> PortResult<()> {
        self.failures.close_book(self.run, &mut self.ready);
        self.rest.close_book(self.run, &mut self.ready);
        self.close_table();
        self.drain(blobs).await?;
        let index = CaseIndex { jobs: self.jobs, failures: self.failures.done, rest: self.rest.done };
        let key = index_key(self.run);
        let bytes = serde_json::to_vec(&index).map_err(|error| corrupt(&key, &error))?;
        blobs.put(&key, bytes).await
    }
}

fn corrupt(subject: &str, error: &serde_json::Error) -> PortError {
    PortError::Corrupt { port: "blobs", subject: subject.to_owned(), reason: error.to_string() }
}
