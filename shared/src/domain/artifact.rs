//! Files kept from a run: how many, how large, by which names.
//!
//! A runner sends a file in pieces of one size, so that any part of it is found without a list. What a runner says is
//! checked here: tests can make it say anything.

use super::id::{JobNo, ShardAttempt};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Every piece but the last has this size.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// The largest file that is kept.
pub const FILE_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Most bytes of one runner.
pub const RUNNER_LIMIT_BYTES: u64 = 1024 * 1024 * 1024;
/// Most files of one runner.
pub const RUNNER_LIMIT_FILES: usize = 200;
/// The longest path, in bytes.
const PATH_LIMIT_BYTES: usize = 500;
const DIGEST_DIGITS: usize = 16;

/// A file that is kept, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Place in the working directory of the job, with slashes.
    pub path: String,
    /// The runner that sent it.
    pub writer: ShardAttempt,
    /// Bytes so far.
    pub size_bytes: u64,
    /// Whether all of it came.
    pub complete: bool,
}

/// Why a piece is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactRefused {
    /// The path is none that may be kept.
    #[error("`{0}` is no path of a file in the working directory, or is too long")]
    Path(String),
    /// A piece in the middle of a file has the wrong size.
    #[error("a piece of {0} bytes: all but the last have {PIECE_BYTES}")]
    Piece(usize),
    /// The file is too large.
    #[error("the file has more than {FILE_LIMIT_BYTES} bytes")]
    TooLarge,
    /// This runner has sent enough.
    #[error("a runner keeps at most {RUNNER_LIMIT_FILES} files with {RUNNER_LIMIT_BYTES} bytes in all")]
    TooMany,
}

impl Artifact {
    /// A file of which nothing came yet.
    ///
    /// # Errors
    /// `Path`; `TooMany` if `others`, what the same runner sent before, fill its room.
    pub fn begin(writer: ShardAttempt, path: &str, others: &[Self]) -> Result<Self, ArtifactRefused> {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        let fits = path.len() <= PATH_LIMIT_BYTES && !path.chars().any(|c| c.is_control() || c == '\\');
        if !fits || !path.split('/').all(is_plain) {
            return Err(ArtifactRefused::Path(path.chars().take(100).collect()));
        }
        let sent: u64 = others.iter().map(|other| other.size_bytes).sum();
        if others.len() >= RUNNER_LIMIT_FILES || sent >= RUNNER_LIMIT_BYTES {
            return Err(ArtifactRefused::TooMany);
        }
        Ok(Self { path: path.to_owned(), writer, size_bytes: 0, complete: false })
    }

    /// The file with its next piece, which begins where the file ends so far.
    ///
    /// # Errors
    /// `Piece`, `TooLarge`.
    pub fn grown(&self, piece_bytes: usize, end: bool) -> Result<Self, ArtifactRefused> {
        if piece_bytes > PIECE_BYTES || (!end && piece_bytes != PIECE_BYTES) {
            return Err(ArtifactRefused::Piece(piece_bytes));
        }
        let size_bytes = self.size_bytes.saturating_add(piece_bytes as u64);
        if size_bytes > FILE_LIMIT_BYTES {
            return Err(ArtifactRefused::TooLarge);
        }
        Ok(Self { size_bytes, complete: end, ..self.clone() })
    }

    /// Its name in the run, as in `00001-00001-00001-0123456789abcdef`.
    #[must_use]
    pub fn id(&self) -> String {
        artifact_id(self.writer, &self.path)
    }

    /// Its job.
    #[must_use]
    pub fn job(&self) -> JobNo {
        self.writer.job
    }
}

/// The name of a runner's file.
#[must_use]
pub fn artifact_id(writer: ShardAttempt, path: &str) -> String {
    let digest: String = hex::encode(Sha256::digest(path)).chars().take(DIGEST_DIGITS).collect();
    format!("{}{digest}", runner_prefix(writer))
}

/// What the names of all of a runner's files begin with.
#[must_use]
pub fn runner_prefix(writer: ShardAttempt) -> String {
    format!("{:05}-{:05}-{:05}-", writer.job.0, writer.shard, writer.attempt)
}

/// Whether a text can be the name of a file that is kept.
#[must_use]
pub fn is_artifact_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits =
        |part: &&str| part.len() >= 5 && part.len() <= 10 && part.bytes().all(|b| b.is_ascii_digit());
    let hex = |part: &&str| part.len() == DIGEST_DIGITS && part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.len() == 4 && parts.iter().take(3).all(digits) && parts.last().is_some_and(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;

    fn writer() -> ShardAttempt {
        ShardAttempt { run: RunId(1), job: JobNo(2), shard: 3, attempt: 4 }
    }

    fn file(path: &str) -> Result<Artifact, ArtifactRefused> {
        Artifact::begin(writer(), path, &[])
    }

    #[test]
    fn only_paths_inside_are_kept() {
        for good in ["a", "htmlcov/index.html", "out/…/x y.txt", "-rf", ".hidden"] {
            assert!(file(good).is_ok(), "{good}");
        }
        let long = "x".repeat(PATH_LIMIT_BYTES + 1);
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\nb", "a\0", "c:\\x", &long] {
            assert!(matches!(file(bad), Err(ArtifactRefused::Path(_))), "{bad}");
        }
    }

    #[test]
    fn pieces_have_one_size_but_for_the_last() {
        let empty = file("a").unwrap();
        assert_eq!(empty.grown(7, false), Err(ArtifactRefused::Piece(7)));
        assert_eq!(empty.grown(PIECE_BYTES + 1, true), Err(ArtifactRefused::Piece(PIECE_BYTES + 1)));
        let one = empty.grown(PIECE_BYTES, false).unwrap();
        assert!(!one.complete);
        let all = one.grown(7, true).unwrap();
        assert_eq!((all.size_bytes, all.complete), (PIECE_BYTES as u64 + 7, true));
        let full = Artifact { size_bytes: FILE_LIMIT_BYTES, ..empty.clone() };
        assert!(full.grown(0, true).is_ok());
        assert_eq!(full.grown(1, true), Err(ArtifactRefused::TooLarge));
    }

    #[test]
    fn a_runner_has_room_for_so_much() {
        let small = file("a").unwrap();
        let many = vec![small.clone(); RUNNER_LIMIT_FILES];
        assert_eq!(Artifact::begin(writer(), "b", &many), Err(ArtifactRefused::TooMany));
        assert!(Artifact::begin(writer(), "b", many.get(1..).unwrap()).is_ok());
        let large = [Artifact { size_bytes: RUNNER_LIMIT_BYTES, ..small }];
        assert_eq!(Artifact::begin(writer(), "b", &large), Err(ArtifactRefused::TooMany));
    }

    #[test]
    fn names_are_told_from_other_texts() {
        let id = file("htmlcov/index.html").unwrap().id();
        assert!(id.starts_with(&runner_prefix(writer())) && is_artifact_id(&id), "{id}");
        for bad in
            ["", "1-1-1-0123456789abcdef", "00001-00001-00001-x", "../../../0123456789abcdef", &id[1..]]
        {
            assert!(!is_artifact_id(bad) || bad == id, "{bad}");
        }
    }
}
