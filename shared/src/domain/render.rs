//! Reports: what a finished run looks like in each format.
//!
//! Every renderer is fed the same way: `begin` once, `case` for each record (grouped by job and unit; a unit's later
//! part may come again), `finish` once. None keeps all cases, so memory stays flat. All text of tests is hostile: each
//! format escapes it in one place. A run that is not green never renders as green, even if it has no case at all.

mod ctrf;
mod html;
mod json;
mod junit;
mod sums;
mod trouble;
mod words;

pub use ctrf::Ctrf;
pub use html::Html;
pub(in crate::domain) use html::Safe;
pub use json::{Json, SCHEMA as JSON_SCHEMA};
pub use junit::Junit;
pub use words::{duration_text, number_text, one_line, printable, rerun_line};

use super::report::{CaseRecord, JobSummary, RunSummary};
use std::io;

/// Writes one report as its parts come in.
pub trait Renderer {
    /// Writes what comes before the cases.
    ///
    /// # Errors
    /// If the writer fails.
    fn begin(&mut self, run: &RunSummary) -> io::Result<()>;

    /// Takes one case.
    ///
    /// # Errors
    /// If the writer fails.
    fn case(&mut self, job: &JobSummary, record: &CaseRecord) -> io::Result<()>;

    /// Writes what comes after the cases; a report without it is recognisably cut off.
    ///
    /// # Errors
    /// If the writer fails.
    fn finish(&mut self) -> io::Result<()>;
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
