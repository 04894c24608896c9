//! An uploaded archive: fetched over the link, compared with its digest, unpacked into a new folder.
//!
//! The archive is a stranger's: all bytes are counted as they come, and what they may become is `tree`'s to say.

mod tree;

use super::SourceError;
use crate::link::LinkError;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use shared::domain::spec::Archive;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};
use tree::Tree;

/// What any archive may unpack to, however small it is.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;

/// Why an archive is no source.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// One entry is refused.
    #[error("`{path}` {reason}; a source has plain files, folders and links inside of it")]
    Entry {
        /// Its path, printable.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Too many entries.
    #[error("it has more than {limit} files and folders; leave out what can be built")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Too many bytes.
    #[error("it unpacks to more than {limit_bytes} bytes; leave out what can be built")]
    TooLarge {
        /// The limit that this archive has.
        limit_bytes: u64,
    },
    /// It ends too early or is no archive at all.
    #[error("it is damaged or no tar archive; run again, with a new upload if it was one")]
    Unreadable(#[source] io::Error),
    /// What came is not what was uploaded.
    #[error("it is not what was uploaded ({0}); run again")]
    Altered(&'static str),
    /// The coordinator does not hand it out.
    #[error("it cannot be fetched")]
    Link(#[source] LinkError),
    /// This machine cannot take it.
    #[error("`{path}` cannot be written; make room in the runner's temporary directory")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    /// What lies behind it, if anything does.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Unreadable(source) | Self::Write { source, .. } => source.to_string(),
            Self::Link(error) => error.to_string(),
            Self::Entry { .. } | Self::TooMany { .. } | Self::TooLarge { .. } | Self::Altered(_) => {
                String::new()
            }
        }
    }
}

/// What is too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Files, folders and links.
    pub(super) entries: usize,
    /// Unpacked bytes.
    pub(super) bytes: u64,
    /// Unpacked bytes for each packed one.
    pub(super) ratio: u64,
}

pub(super) const LIMITS: Limits = Limits { entries: 50_000, bytes: 8 * 1024 * 1024 * 1024, ratio: 100 };

/// Fetches piece by piece (`piece` answers what begins at an offset) and unpacks into `scratch`.
pub(super) fn provide(
    (archive, wrapped): (&Archive, bool),
    scratch: &Path,
    piece: &dyn Fn(u64) -> Result<Vec<u8>, LinkError>,
    stopping: &dyn Fn() -> bool,
) -> Result<PathBuf, SourceError> {
    let packed = scratch.join("source.tar");
    let dest = scratch.join("source");
    fetch(archive, &packed, piece).map_err(SourceError::Archive)?;
    if stopping() {
        return Err(SourceError::Stopped);
    }
    let file = File::open(&packed).map_err(|error| SourceError::Archive(unwritable(&packed, error)))?;
    unpack(file, (archive, wrapped), &dest, LIMITS).map_err(SourceError::Archive)?;
    // Only room is lost if it stays.
    fs::remove_file(&packed).ok();
    Ok(dest)
}

fn fetch(
    archive: &Archive,
    to: &Path,
    piece: &dyn Fn(u64) -> Result<Vec<u8>, LinkError>,
) -> Result<(), ArchiveError> {
    let mut file = File::create_new(to).map_err(|error| unwritable(to, error))?;
    let (mut offset, mut digest) = (0_u64, Sha256::new());
    while offset < archive.size_bytes {
        let bytes = piece(offset).map_err(ArchiveError::Link)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.is_empty() || length > archive.size_bytes - offset {
            return Err(ArchiveError::Altered("another size"));
        }
        digest.update(&bytes);
        file.write_all(&bytes).map_err(|error| unwritable(to, error))?;
        offset += length;
    }
    let same = hex::encode(digest.finalize()) == archive.sha256;
    if same { Ok(()) } else { Err(ArchiveError::Altered("another digest")) }
}

/// Unpacks into `dest`, which must not exist; of an archive that is `wrapped`, what lies in its one folder.
pub(super) fn unpack(
    packed: impl Read,
    (archive, wrapped): (&Archive, bool),
    dest: &Path,
    limits: Limits,
) -> Result<(), ArchiveError> {
    let limit_bytes =
        limits.ratio.saturating_mul(archive.size_bytes).saturating_add(SLACK_BYTES).min(limits.bytes);
    fs::create_dir(dest).map_err(|error| unwritable(dest, error))?;
    let root = fs::canonicalize(dest).map_err(|error| unwritable(dest, error))?;
    let mut tree = Tree::new(root, limits.entries, wrapped);
    let stream: Box<dyn Read + '_> =
        if archive.gzip { Box::new(MultiGzDecoder::new(packed)) } else { Box::new(packed) };
    let metered = Metered { inner: stream, left: limit_bytes };
    let unpacked = tree.fill(&mut tar::Archive::new(metered)).and_then(|()| tree.make_links());
    match &unpacked {
        Err(ArchiveError::Unreadable(source)) if source.kind() == ErrorKind::FileTooLarge => {
            Err(ArchiveError::TooLarge { limit_bytes })
        }
        Ok(()) | Err(_) => unpacked,
    }
}

fn unwritable(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Write { path: path.display().to_string(), source }
}

/// Fails with `FileTooLarge` once more bytes come than are allowed.
struct Metered<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = u64::try_from(count)
            .ok()
            .and_then(|count| self.left.checked_sub(count))
            .ok_or(ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
