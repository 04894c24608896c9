//! One self-contained page: no network, everything escaped, readable without scripts.
//!
//! What must be seen first is small and kept; all cases are streamed into an embedded JSON block that only the search
//! reads. Kept parts are capped in number and bytes, so neither memory nor the page grows without bound; what is
//! left out is counted on the page. The policy in its head allows this page's own style and script, by their digests,
//! and nothing else.

mod digest;
mod escape;
mod gantt;
mod page;
mod parts;
mod rows;

pub(in crate::domain) use escape::Safe;

use super::Renderer;
use crate::domain::id::JobNo;
use crate::domain::report::{CaseRecord, JobSummary, RunSummary};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Failures shown in full.
const FAILURES_LIMIT: usize = 200;
/// Bytes of failures shown in full.
const FAILURES_LIMIT_BYTES: usize = 2 * 1024 * 1024;
/// Flaky cases listed.
const FLAKY_LIMIT: usize = 200;
/// Slowest cases listed.
const SLOWEST_LIMIT: usize = 20;
/// Units remembered as red, for the timeline.
const RED_UNITS_LIMIT: usize = 5_000;

/// Writes the page.
#[derive(Debug)]
pub struct Html<W> {
    out: W,
    run: Option<RunSummary>,
    rows: rows::Rows,
    kept: Kept,
}

/// What is shown after the stream of cases has passed.
#[derive(Debug, Default)]
struct Kept {
    failures: Vec<String>,
    failures_bytes: usize,
    failures_total: u64,
    flaky: Vec<String>,
    flaky_total: u64,
    /// Time, order of arrival, case id, job name, outcome's word.
    slowest: BTreeSet<(u64, u64, String, String, &'static str)>,
    seen: u64,
    red_units: BTreeSet<(JobNo, String)>,
}

impl<W: Write> Html<W> {
    /// A renderer into `out`.
    pub fn new(out: W) -> Self {
        Self { out, run: None, rows: rows::Rows::default(), kept: Kept::default() }
    }
}

impl<W: Write> Renderer for Html<W> {
    fn begin(&mut self, run: &RunSummary) -> io::Result<()> {
        self.out.write_all(page::head(run).as_bytes())?;
        self.out.write_all(rows::OPEN.as_bytes())?;
        self.run = Some(run.clone());
        Ok(())
    }

    fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> io::Result<()> {
        self.rows.write(&mut self.out, job, record)?;
        let several = self.run.as_ref().is_some_and(|run| run.jobs.len() > 1);
        self.kept.take(several, job, record);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(rows::CLOSE.as_bytes())?;
        if let Some(run) = &self.run {
            self.out.write_all(page::body(run, &self.kept, self.rows.left_out()).as_bytes())?;
        }
        self.out.flush()
    }
}

impl Kept {
    fn take(&mut self, several: bool, job: &JobSummary, record: &CaseRecord) {
        let Some(last) = record.last() else { return };
        self.seen += 1;
        if last.outcome.is_failure() {
            self.failures_total += 1;
            if self.red_units.len() < RED_UNITS_LIMIT {
                self.red_units.insert((record.job, record.unit.clone()));
            }
            if self.failures.len() < FAILURES_LIMIT && self.failures_bytes < FAILURES_LIMIT_BYTES {
                let card = parts::failure(self.failures.len(), several, job, record, last);
                self.failures_bytes += card.len();
                self.failures.push(card);
            }
        }
        if record.flaky().is_some() {
            self.flaky_total += 1;
            if self.flaky.len() < FLAKY_LIMIT {
                self.flaky.push(parts::flaky(several, job, record, last));
            }
        }
        let is_slow = self.slowest.len() < SLOWEST_LIMIT
            || self.slowest.first().is_some_and(|(us, ..)| *us < last.duration_us);
        if is_slow {
            let outcome = last.outcome.as_str();
            self.slowest.insert((
                last.duration_us,
                self.seen,
                last.case.0.clone(),
                job.name.clone(),
                outcome,
            ));
            if self.slowest.len() > SLOWEST_LIMIT {
                self.slowest.pop_first();
            }
        }
    }
}
