//! Pages of rows: how a run's cases are stored so that a list of any of them reads little.
//!
//! Cases that failed and all others are kept in pages of their own, failures first, each in the order in which they
//! were reported. The index says of each page what is in it, so a filter skips pages that hold nothing of what it
//! wants. A line of a page is the row as it is shown, behind the few words that filters ask for:
//! `key outcome flaky job from to row`, tab-separated; `from..to` is the place of the whole record in the page's
//! records.

use super::case_row::CaseRow;
use super::id::{CaseKey, JobNo};
use super::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;

/// Most rows of a page.
pub const PAGE_ROWS: u32 = 100;
/// A page whose records are longer than this takes no more, nor does a book.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// Most pages of a book: pages that are stored together, because every blob that is written is paid for.
pub const BOOK_PAGES: u32 = 16;
/// Length of what comes before the pages of a book: where each of them begins and ends.
pub const BOOK_HEAD_BYTES: u64 = 16 * BOOK_PAGES as u64;

/// What is in a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageSummary {
    /// Rows by outcome, in the order of [`Outcome::ALL`].
    #[serde(rename = "o")]
    pub outcomes: [u32; 6],
    /// Flaky rows.
    #[serde(rename = "f")]
    pub flaky: u32,
    /// First and last job.
    #[serde(rename = "j")]
    pub jobs: (u32, u32),
    /// Where its lines are in its book; a page that is in none has a blob of its own.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<(u64, u64)>,
}

impl PageSummary {
    /// Counts a row.
    pub fn note(&mut self, row: &CaseRow) {
        if self.rows() == 0 {
            self.jobs.0 = row.job.0;
        }
        self.jobs.1 = row.job.0;
        for (outcome, count) in Outcome::ALL.iter().zip(&mut self.outcomes) {
            *count += u32::from(*outcome == row.outcome);
        }
        self.flaky += u32::from(row.flaky.is_some());
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.outcomes.iter().sum()
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRef {
    /// Whether it is one of the failures.
    pub failures: bool,
    /// Number among those, from 0.
    pub number: u32,
}

const REST: u32 = 1 << 31;

/// What comes before the pages of a book: the places of its pages, in their order.
#[must_use]
pub fn book_head(places: &[(u64, u64)]) -> Vec<u8> {
    let mut head: Vec<u8> =
        places.iter().flat_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat()).collect();
    head.resize(usize::try_from(BOOK_HEAD_BYTES).unwrap_or(0), 0);
    head
}

/// The place of a page, from the head of its book.
#[must_use]
pub fn place_in_book(head: &[u8], page: PageRef) -> Option<(u64, u64)> {
    let at = usize::try_from(page.number % BOOK_PAGES * 16).ok()?;
    let number = |at: usize| Some(u64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?));
    Some((number(at)?, number(at + 8)?)).filter(|(from, to)| from < to)
}

impl PageRef {
    /// Number of the book that it is in, from 0. Where a book has fewer pages than it may have, numbers are left out.
    #[must_use]
    pub fn book(self) -> u32 {
        self.number / BOOK_PAGES
    }

    /// As a number.
    #[must_use]
    pub fn code(self) -> u32 {
        self.number | if self.failures { 0 } else { REST }
    }

    /// From a number.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        Self { failures: code & REST == 0, number: code & !REST }
    }
}

/// What is in the pages of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaseIndex {
    /// Numbers and names of the jobs.
    pub jobs: Vec<(u32, String)>,
    /// Pages of failures.
    pub failures: Vec<PageSummary>,
    /// Pages of all others.
    pub rest: Vec<PageSummary>,
}

impl CaseIndex {
    /// Every page, failures first.
    pub fn pages(&self) -> impl Iterator<Item = (PageRef, &PageSummary)> {
        let part = |failures: bool, pages| {
            (0u32..).zip(pages).map(move |(number, page)| (PageRef { failures, number }, page))
        };
        part(true, &self.failures).chain(part(false, &self.rest))
    }
}

/// Which outcomes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeWanted {
    /// One.
    One(Outcome),
    /// Everything that makes a run red.
    Failures,
}

/// Which cases of a run are wanted; `None` = any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Outcome.
    pub outcome: Option<OutcomeWanted>,
    /// Name of the job, or of the suite: then all of its jobs.
    pub suite: Option<String>,
    /// A part of the id or of the failure's message, in any case.
    pub text: Option<String>,
    /// Whether it is flaky.
    pub flaky: Option<bool>,
}

/// A filter that knows the jobs of its run.
#[derive(Debug, Clone)]
pub struct Sieve {
    filter: CaseFilter,
    jobs: Option<BTreeSet<u32>>,
}

impl CaseFilter {
    /// The filter for a run with these jobs.
    #[must_use]
    pub fn sieve(&self, jobs: &[(u32, String)]) -> Sieve {
        let mut filter = self.clone();
        filter.text = filter.text.map(|text| text.to_lowercase());
        let fits = |suite: &str, name: &str| {
            name == suite || name.split_once('[').is_some_and(|(before, _)| before == suite)
        };
        let jobs = self.suite.as_ref().map(|suite| {
            jobs.iter().filter(|(_, name)| fits(suite, name)).map(|(number, _)| *number).collect()
        });
        Sieve { filter, jobs }
    }
}

impl Sieve {
    /// Whether it keeps every row.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.filter == CaseFilter::default()
    }

    fn wants(&self, outcome: Outcome) -> bool {
        match self.filter.outcome {
            None => true,
            Some(OutcomeWanted::One(one)) => one == outcome,
            Some(OutcomeWanted::Failures) => outcome.is_failure(),
        }
    }

    /// Whether a page can hold anything wanted.
    #[must_use]
    pub fn may_hold(&self, page: &PageSummary) -> bool {
        let outcome =
            Outcome::ALL.iter().zip(&page.outcomes).any(|(outcome, rows)| *rows > 0 && self.wants(*outcome));
        let flaky = match self.filter.flaky {
            None => true,
            Some(true) => page.flaky > 0,
            Some(false) => page.flaky < page.rows(),
        };
        let (first, last) = page.jobs;
        let job =
            self.jobs.as_ref().is_none_or(|jobs| first <= last && jobs.range(first..=last).next().is_some());
        outcome && flaky && job
    }

    /// Whether a line is wanted.
    #[must_use]
    pub fn keeps(&self, line: &Line<'_>) -> bool {
        self.wants(line.outcome)
            && self.filter.flaky.is_none_or(|flaky| flaky == line.flaky)
            && self.jobs.as_ref().is_none_or(|jobs| jobs.contains(&line.job.0))
            && self.filter.text.as_ref().is_none_or(|text| mentions(line.row, text))
    }

    /// Whether a row is wanted.
    #[must_use]
    pub fn keeps_row(&self, row: &CaseRow) -> bool {
        let said = |text: &str| {
            let message = row.failure.as_ref().map(|failure| failure.message.to_lowercase());
            row.id.0.to_lowercase().contains(text) || message.is_some_and(|message| message.contains(text))
        };
        self.wants(row.outcome)
            && self.filter.flaky.is_none_or(|flaky| flaky == row.flaky.is_some())
            && self.jobs.as_ref().is_none_or(|jobs| jobs.contains(&row.job.0))
            && self.filter.text.as_deref().is_none_or(said)
    }
}

/// What a text filter looks at.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    failure: Option<SaidFailure<'a>>,
}

#[derive(Deserialize)]
struct SaidFailure<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

fn mentions(row: &str, text: &str) -> bool {
    serde_json::from_str::<Said<'_>>(row).is_ok_and(|said| {
        said.id.to_lowercase().contains(text)
            || said.failure.is_some_and(|failure| failure.message.to_lowercase().contains(text))
    })
}

/// A line of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Key of the case.
    pub key: CaseKey,
    /// Final outcome.
    pub outcome: Outcome,
    /// Whether it is flaky.
    pub flaky: bool,
    /// Job.
    pub job: JobNo,
    /// Place of the record in the page's records.
    pub place: (u64, u64),
    /// The row as it is shown: JSON.
    pub row: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is none.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(7, '\t');
        let key = u128::from_str_radix(parts.next()?, 16).ok().map(CaseKey)?;
        let word = parts.next()?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)?;
        let flaky = parts.next()? == "1";
        let job = JobNo(parts.next()?.parse().ok()?);
        let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { key, outcome, flaky, job, place, row: parts.next()? })
    }
}

/// The row of a line, of which nothing else is asked; `None` if it is none.
#[must_use]
pub fn row_of(line: &str) -> Option<&str> {
    line.splitn(7, '\t').nth(6)
}

/// Appends the line of a row whose record is at `place`.
///
/// # Errors
/// If the row cannot be written as JSON.
pub fn write_line(to: &mut Vec<u8>, row: &CaseRow, place: (u64, u64)) -> Result<(), serde_json::Error> {
    let flaky = u8::from(row.flaky.is_some());
    let head = format!(
        "{:032x}\t{}\t{flaky}\t{}\t{}\t{}\t",
        row.key.0,
        row.outcome.as_str(),
        row.job,
        place.0,
        place.1
    );
    // Writing to memory cannot fail.
    drop(to.write_all(head.as_bytes()));
    serde_json::to_writer(&mut *to, row)?;
    to.push(b'\n');
    Ok(())
}

/// The lines of a page.
pub fn lines(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
}

#[cfg(test)]
mod tests;
