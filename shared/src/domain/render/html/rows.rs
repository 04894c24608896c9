//! All cases as an embedded JSON block, streamed.
//!
//! An item is either `[job, unit]`, which holds for what follows, or `[text, outcome, µs, flags]`: `outcome` is an index
//! into `Outcome::ALL`, flag 1 = flaky, flag 2 = `text` continues the unit's key. The repeated key is most of an id.

use super::super::words::cut_bytes;
use super::escape::inert_json;
use crate::domain::id::JobNo;
use crate::domain::outcome::Outcome;
use crate::domain::report::{CaseRecord, JobSummary};
use std::io::{self, Write};

/// The block is smaller than this; what does not fit is counted.
const BLOCK_LIMIT_BYTES: usize = 12 * 1024 * 1024;
/// An id is cut to this size in the list.
const ID_LIMIT_BYTES: usize = 400;

pub(super) const OPEN: &str = "<script type=\"application/json\" id=\"cases\">[[\"\",\"\"]";
pub(super) const CLOSE: &str = "]</script>\n";

/// The state of the block.
#[derive(Debug, Default)]
pub(super) struct Rows {
    at: Option<(JobNo, String)>,
    bytes: usize,
    left_out: u64,
}

impl Rows {
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn write(
        &mut self,
        out: &mut impl Write,
        job: &JobSummary,
        record: &CaseRecord,
    ) -> io::Result<()> {
        let Some(last) = record.last() else { return Ok(()) };
        if self.bytes > BLOCK_LIMIT_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        let mut text = String::new();
        let here = self.at.as_ref().is_some_and(|(job, unit)| *job == record.job && *unit == record.unit);
        if !here {
            self.at = Some((record.job, record.unit.clone()));
            text.push_str(",\n");
            text.push_str(&inert_json(&(&job.name, &record.unit)));
        }
        let id = last.case.0.as_str();
        let rest = id.strip_prefix(record.unit.as_str()).filter(|rest| !rest.is_empty());
        let outcome = Outcome::ALL.iter().position(|outcome| *outcome == last.outcome).unwrap_or(0);
        let flags = u8::from(record.flaky().is_some()) | (u8::from(rest.is_some()) << 1);
        let (shown, _) = cut_bytes(rest.unwrap_or(id), ID_LIMIT_BYTES);
        text.push_str(",\n");
        text.push_str(&inert_json(&(shown, outcome, last.duration_us, flags)));
        self.bytes += text.len();
        out.write_all(text.as_bytes())
    }
}
