//! Uploads: a source that comes as an archive instead of from a repository.
//!
//! An upload is offered, filled at most once, and named by runs. What is not used is forgotten after a day; what is
//! used is kept as long as its project keeps runs, counted from the last use.

use super::id::{ProjectId, SourceId};
use super::project::Project;
use super::spec::Archive;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Largest archive, in bytes.
pub const UPLOAD_LIMIT_BYTES: u64 = 512 * 1024 * 1024;
/// How long an offer can be taken up, in milliseconds.
pub const OFFER_MS: u64 = 60 * 60 * 1000;
/// How long an archive that no run names is kept, in milliseconds.
pub const UNUSED_MS: u64 = DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Id.
    pub id: SourceId,
    /// The one project whose runs may use it.
    pub project: ProjectId,
    /// Largest archive that it takes, in bytes.
    pub limit_bytes: u64,
    /// When it was offered.
    pub created_at: Timestamp,
    /// To whom.
    pub created_by: String,
    /// Until when it can be filled.
    pub open_until: Timestamp,
    /// From when on it is forgotten.
    pub keep_until: Timestamp,
    /// What was uploaded, once it was.
    pub archive: Option<Archive>,
    /// SHA-256 of what is to come, in hexadecimal digits, if that was announced; then `limit_bytes` is its size.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The blob that it becomes by itself, without coming through us: then nothing but what was announced can be there.
    #[serde(default)]
    pub direct: Option<String>,
}

impl Upload {
    /// The upload after a run has named it: kept as long as the run's results will be, and never shorter than before.
    #[must_use]
    pub fn used(mut self, project: &Project, now: Timestamp) -> Self {
        let days = u64::from(project.settings.keep_days);
        self.keep_until = self.keep_until.max(now.plus_ms(days.saturating_mul(DAY_MS)));
        self
    }

    /// The archive that came by itself, if it begins like one.
    #[must_use]
    pub fn arrived(&self, head: &[u8]) -> Option<Archive> {
        let (blob, sha256) = (self.direct.clone()?, self.sha256.clone()?);
        let (size_bytes, gzip) = (self.limit_bytes, is_gzip_or_tar(head)?);
        Some(Archive { id: self.id, blob, sha256, size_bytes, gzip })
    }
}

/// A SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex::decode_to_slice(text, &mut digest).is_ok_and(|()| lower).then_some(digest)
}

/// Whether bytes begin as a tar archive or as one compressed by gzip; `Some(true)` if compressed. 512 bytes suffice.
#[must_use]
pub fn is_gzip_or_tar(head: &[u8]) -> Option<bool> {
    if head.starts_with(&[0x1f, 0x8b]) {
        return Some(true);
    }
    // A header block names its format here; an empty archive is zeros and holds no tests.
    let magic = head.get(257..262)?;
    (magic == b"ustar").then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_lower_case_and_whole() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(parse_sha256(&digest).map(hex::encode), Some(digest.clone()));
        for wrong in
            ["", &digest[1..], &format!("{digest}00"), &digest.to_uppercase(), &digest.replace('0', "g")]
        {
            assert_eq!(parse_sha256(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn archives_are_known_by_their_first_bytes() {
        let mut tar = vec![0_u8; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(is_gzip_or_tar(&tar), Some(false));
        assert_eq!(is_gzip_or_tar(&[0x1f, 0x8b, 8]), Some(true));
        for other in [&b""[..], b"PK\x03\x04", &[0; 512], &tar[..260]] {
            assert_eq!(is_gzip_or_tar(other), None);
        }
    }
}
