//! Blobs as files below one folder.
//!
//! A blob is written to a temporary file in its final folder and then renamed, so a reader sees all of it or
//! nothing, also after this process was killed. Folders carry a `+` at the end of their name and temporary files
//! one at the beginning; no key contains one, so neither can collide with a blob. Nothing is forced to the
//! disk: a blob survives the process, not a power cut. Short parts are read on the thread that asks, because
//! going to another one and back takes as long; all else happens on a thread of its own.

use crate::lane::Lane;
use async_trait::async_trait;
use shared::ports::limits::{check_blob_key, check_blob_prefix};
use shared::ports::{Blobs, LinkTerms, PortError, PortResult, UploadLink, UploadTerms};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const PORT: &str = "blobs";
const TEMPORARY: &str = "+new";
/// A part up to this length is short.
const SHORT_BYTES: usize = 64 * 1024;

/// Blobs below a folder.
#[derive(Debug)]
pub struct FileBlobs {
    root: PathBuf,
    lane: Lane<()>,
}

/// A piece of a blob that is made out of several.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The file of another blob.
    File(String),
    /// These bytes.
    Bytes(Vec<u8>),
}

enum Place {
    Disk(PathBuf),
    Memory(Vec<u8>),
}

impl FileBlobs {
    /// Blobs below `root`, which is created if it is missing.
    ///
    /// # Errors
    /// `Denied` or `Unavailable` if the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> PortResult<Self> {
        let root = root.into();
        let opened = fs::create_dir_all(&root).and_then(|()| Lane::start(PORT, ()));
        let lane = opened.map_err(|error| port_error(&root.display().to_string(), &error))?;
        Ok(Self { root, lane })
    }

    /// Where the blob of a well-formed key lies.
    ///
    /// # Errors
    /// `Denied` if the key is malformed.
    pub fn path(&self, key: &str) -> PortResult<PathBuf> {
        check_blob_key(key)?;
        let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
        Ok(self.folder(folders).join(name))
    }

    fn folder(&self, folders: &str) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(
            folders.split('/').filter(|folder| !folder.is_empty()).map(|folder| format!("{folder}+")),
        );
        path
    }

    /// Whether there is a file for the key.
    pub(crate) fn holds(&self, key: &str) -> PortResult<bool> {
        self.path(key)?.try_exists().or_else(|error| match ignore_absent(Err(error)) {
            Ok(()) => Ok(false),
            Err(error) => Err(port_error(key, &error)),
        })
    }

    /// Makes a blob out of pieces, one after the other.
    pub(crate) async fn join(&self, key: &str, pieces: Vec<Piece>) -> PortResult<()> {
        let path = self.path(key)?;
        let place = |piece| {
            Ok(match piece {
                Piece::File(key) => Place::Disk(self.path(&key)?),
                Piece::Bytes(bytes) => Place::Memory(bytes),
            })
        };
        let pieces = pieces.into_iter().map(place).collect::<PortResult<Vec<_>>>()?;
        self.work(key, move || join(&path, &pieces)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        let subject = key.to_owned();
        self.lane.run(move |()| work().map_err(|error| port_error(&subject, &error))).await
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        let path = self.path(key)?;
        self.work(key, move || write(&path, &bytes)?.persist(&path).map(drop).map_err(|e| e.error)).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        let path = self.path(key)?;
        self.work(key, move || create(&path, &bytes)).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        self.join(key, pieces.into_iter().map(Piece::File).collect()).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        let path = self.path(key)?;
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) = opened.map_err(|error| port_error(key, &error))?;
        let (from, to) = range.unwrap_or((0, u64::MAX));
        let expected = to.min(length).saturating_sub(from);
        if expected <= SHORT_BYTES as u64 {
            return read(file, (from, to), expected).map_err(|error| port_error(key, &error));
        }
        self.work(key, move || read(file, (from, to), expected)).await
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        check_blob_prefix(prefix)?;
        let folders = prefix.rsplit_once('/').map_or("", |(folders, _)| folders).to_owned();
        let (top, wanted) = (self.folder(&folders), prefix.to_owned());
        self.work(prefix, move || {
            let mut keys = Vec::new();
            let start = if folders.is_empty() { String::new() } else { format!("{folders}/") };
            collect(&top, &start, &wanted, &mut keys)?;
            keys.sort_unstable();
            Ok(keys)
        })
        .await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        let path = self.path(key)?;
        self.work(key, move || ignore_absent(fs::remove_file(&path))).await
    }

    async fn link(&self, _key: &str, _terms: &LinkTerms) -> PortResult<Option<String>> {
        Ok(None)
    }

    async fn upload_link(&self, _key: &str, _terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        Ok(None)
    }
}

/// Writes bytes to a temporary file beside `path`.
fn write(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    let fresh = || tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder);
    let mut file = match fresh() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            fresh()?
        }
        made => made?,
    };
    file.write_all(bytes)?;
    Ok(file)
}

fn join(path: &Path, pieces: &[Place]) -> io::Result<()> {
    let mut whole = write(path, &[])?;
    for piece in pieces {
        match piece {
            Place::Memory(bytes) => whole.write_all(bytes)?,
            Place::Disk(file) => drop(io::copy(&mut File::open(file)?, &mut whole)?),
        }
    }
    whole.persist(path).map(drop).map_err(|error| error.error)
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes)?.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// Reads what lies between `from` and `to`: `expected` bytes, as far as is known.
fn read(mut file: File, (from, to): (u64, u64), expected: u64) -> io::Result<Vec<u8>> {
    if from > 0 {
        file.seek(SeekFrom::Start(from))?;
    }
    // One more, so that the end is found without growing.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0).saturating_add(1));
    file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds the keys below `folder` that start with `prefix`; `start` is what the keys of the folder start with.
fn collect(folder: &Path, start: &str, prefix: &str, keys: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(inner) = name.strip_suffix('+') {
            let start = format!("{start}{inner}/");
            // A folder matters if its keys can match: one of the two texts begins with the other.
            if start.starts_with(prefix) || prefix.starts_with(&start) {
                collect(&entry.path(), &start, prefix, keys)?;
            }
            continue;
        }
        let key = format!("{start}{name}");
        if key.starts_with(prefix) && check_blob_key(&key).is_ok() {
            keys.push(key);
        }
    }
    Ok(())
}

/// What is gone is gone, whoever removed it.
fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

fn port_error(subject: &str, error: &io::Error) -> PortError {
    let subject = subject.to_owned();
    let denied =
        |reason: &str| PortError::Denied { port: PORT, subject: subject.clone(), reason: reason.to_owned() };
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other kind may be gone at the next attempt")]
    match error.kind() {
        ErrorKind::NotFound => PortError::NotFound { port: PORT, subject },
        ErrorKind::AlreadyExists => PortError::AlreadyExists { port: PORT, subject },
        ErrorKind::StorageFull => denied("disk is full"),
        ErrorKind::QuotaExceeded => denied("the disk quota is used up"),
        ErrorKind::FileTooLarge => denied("the limit on the size of files is reached"),
        ErrorKind::ReadOnlyFilesystem => denied("the file system is read-only"),
        ErrorKind::PermissionDenied => denied("permission denied"),
        ErrorKind::NotADirectory => denied("a part of its folder is no directory"),
        _ => PortError::Unavailable { port: PORT, subject, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;
    use testkit::contract::block_on;

    fn fresh() -> (FileBlobs, TempDir) {
        let folder = TempDir::new().unwrap();
        (FileBlobs::open(folder.path().join("blobs")).unwrap(), folder)
    }

    testkit::blobs_contract!(file_blobs, fresh());

    #[test]
    fn blobs_outlive_their_adapter_and_leave_no_other_file() {
        let (blobs, folder) = fresh();
        block_on(blobs.put("a/b", b"kept".to_vec())).unwrap();
        block_on(blobs.put_absent("a/b", b"refused".to_vec())).unwrap_err();
        drop(blobs);
        let again = FileBlobs::open(folder.path().join("blobs")).unwrap();
        assert_eq!(block_on(again.fetch("a/b", None)).unwrap(), b"kept");
        let parent = again.path("a/b").unwrap().parent().unwrap().to_owned();
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_file_left_by_a_killed_process_is_no_blob() {
        let (blobs, _folder) = fresh();
        block_on(blobs.put("a/b", Vec::new())).unwrap();
        let left = blobs.path("a/b").unwrap().with_file_name(format!("{TEMPORARY}abc"));
        fs::write(left, b"half").unwrap();
        assert_eq!(block_on(blobs.list("")).unwrap(), ["a/b"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let opened = FileBlobs::open(folder.path().join("file/blobs"));
        assert!(matches!(opened, Err(PortError::Denied { .. })), "{opened:?}");
    }

    #[test]
    fn a_full_disk_is_named() {
        let error = port_error("a/b", &ErrorKind::StorageFull.into());
        assert_eq!(error.to_string(), "blobs: `a/b` was refused: disk is full");
        let file = fs::OpenOptions::new().write(true).open("/dev/full");
        if let Ok(mut file) = file {
            let error = file.write_all(b"x").unwrap_err();
            assert!(matches!(port_error("x", &error), PortError::Denied { .. }), "{error:?}");
        }
    }
}
