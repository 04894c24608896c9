//! A case in a list: everything but what it printed.
//!
//! Rows are written once, when a run is over, in exactly the form in which they are shown: a list is then a matter of
//! copying bytes. So a field may be added here, and never be renamed.

use super::case::CaseId;
use super::id::{CaseKey, JobNo};
use super::outcome::Outcome;
use super::report::{CaseRecord, FlakyKind};
use super::verdict::excerpt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest message of a failure in a row, in bytes.
const MESSAGE_BYTES: usize = 400;

impl CaseKey {
    /// The key of a case: the same in every run of a job of this name.
    #[must_use]
    pub fn of(job_name: &str, case: &CaseId) -> Self {
        let digest = Sha256::new().chain_update(job_name).chain_update("\n").chain_update(&case.0).finalize();
        let mut bytes = [0u8; 16];
        for (to, from) in bytes.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        Self(u128::from_be_bytes(bytes))
    }
}

/// Why a case did not pass, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortFailure {
    /// Machine code or exception type.
    pub kind: String,
    /// Its sentence, cut to a line or two.
    pub message: String,
}

/// A case in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRow {
    /// Key.
    pub key: CaseKey,
    /// Job.
    pub job: JobNo,
    /// Name of the job.
    pub job_name: String,
    /// Unit.
    pub unit: String,
    /// Id inside the suite.
    pub id: CaseId,
    /// Name for people, with the variant.
    pub name: String,
    /// Source file, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Final outcome.
    pub outcome: Outcome,
    /// Whether, and how, it is flaky.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaky: Option<FlakyKind>,
    /// Whether it may still come to something else: its job is at work, and it is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// Attempts made.
    pub attempts: u32,
    /// When the last attempt began (RFC 3339); absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How long the last attempt took, in microseconds.
    pub duration_us: u64,
    /// Shard of the last attempt.
    pub shard: u32,
    /// Slot of the last attempt.
    pub slot: u32,
    /// Why the last attempt did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ShortFailure>,
    /// Why it was skipped, or why a failure was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CaseRow {
    /// The row of a record; `None` if the record has no attempt.
    #[must_use]
    pub fn of(job_name: &str, record: &CaseRecord) -> Option<Self> {
        let last = record.last()?;
        Some(Self {
            key: CaseKey::of(job_name, &last.case),
            job: record.job,
            job_name: job_name.to_owned(),
            unit: record.unit.clone(),
            id: last.case.clone(),
            name: last.name.clone(),
            file: last.file.clone(),
            line: last.line,
            outcome: last.outcome,
            flaky: record.flaky(),
            provisional: false,
            attempts: record.attempts.iter().map(|attempt| attempt.attempt).max().unwrap_or(1),
            started_at: (last.started_at.0 > 0).then(|| last.started_at.rfc3339()),
            duration_us: last.duration_us,
            shard: record.shards.last().copied().unwrap_or(0),
            slot: last.slot,
            failure: last.failure.as_ref().map(|failure| ShortFailure {
                kind: excerpt(&failure.kind, MESSAGE_BYTES),
                message: excerpt(&failure.message, MESSAGE_BYTES),
            }),
            reason: last.reason.as_deref().map(|reason| excerpt(reason, MESSAGE_BYTES)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_half_a_digest_of_job_and_case() {
        let key = CaseKey::of("unit[py=3]", &CaseId::from("a.py::t"));
        let digest = crate::domain::id::digest_hex("unit[py=3]\na.py::t");
        assert_eq!(key.to_string(), format!("case_{}", &digest[..32]));
        assert_ne!(key, CaseKey::of("unit", &CaseId::from("a.py::t")));
    }
}
