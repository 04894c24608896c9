//! A working tree as one compressed archive: the same tree gives the same bytes.
//!
//! What git tracks or would offer to track is packed; without git, everything but the folders of version control. Only
//! regular files and links that stay inside the tree go in, because nothing else can be made again elsewhere.

use crate::exit::Problem;
use crate::git;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Most bytes of all files together.
pub const TREE_LIMIT_BYTES: u64 = 1024 * 1024 * 1024;
/// Most files.
pub const FILES_LIMIT: usize = 200_000;
/// The time of every file: archives of Python refuse times before 1980, so it is not zero.
const MTIME_S: u32 = 946_684_800;
/// Folders that are never packed, wherever they are.
const NEVER: [&str; 4] = [".git", ".hg", ".svn", ".fleetest"];
/// So much of the archive is read at once.
const PIECE_BYTES: usize = 64 * 1024;
const GIT_PATIENCE: Duration = Duration::from_secs(60);

/// A packed tree.
#[derive(Debug)]
pub struct Packed {
    /// The archive; it goes away with this value.
    pub archive: NamedTempFile,
    /// Files and links in it.
    pub files: usize,
    /// Bytes of the files, before compression.
    pub tree_bytes: u64,
    /// What was left out although it belongs to the tree.
    pub left_out: Vec<PathBuf>,
}

impl Packed {
    /// SHA-256 of the archive, in hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sha256(&self) -> Result<String, Problem> {
        let mut digest = Sha256::new();
        let read = self.archive.reopen().and_then(|mut file| {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match file.read(&mut piece)? {
                    0 => return Ok(()),
                    count => digest.update(piece.get(..count).unwrap_or_default()),
                }
            }
        });
        read.map_err(|error| Problem::could_not_run("the packed tree cannot be read").because(error))?;
        Ok(hex::encode(digest.finalize()))
    }
}

/// Packs the tree below `root`.
///
/// # Errors
/// It is too large, or cannot be read.
pub fn pack(root: &Path, limit_bytes: u64) -> Result<Packed, Problem> {
    let root = root.canonicalize().map_err(|error| unreadable(root, error))?;
    let names = match from_git(&root) {
        Some(names) => names,
        None => from_walk(&root)?,
    };
    let entries: Vec<Entry> =
        names.into_iter().map(|name| Entry::look(&root, name)).collect::<Result<Vec<_>, _>>()?;
    check_size(&root, &entries, limit_bytes)?;
    let unwritable = |error| Problem::could_not_run("the working directory cannot be packed").because(error);
    let mut archive = tempfile::Builder::new().prefix("fleetest-source-").tempfile().map_err(unwritable)?;
    let gz = GzBuilder::new().mtime(0).write(archive.as_file_mut(), Compression::fast());
    let mut tar = tar::Builder::new(gz);
    let (mut files, mut tree_bytes, mut left_out) = (0, 0, Vec::new());
    for entry in entries {
        match append(&mut tar, &root, &entry)? {
            Some(bytes) => {
                files += 1;
                tree_bytes += bytes;
            }
            None if matches!(entry.kind, Kind::Gone) => {}
            None => left_out.push(entry.name),
        }
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).and_then(Write::flush).map_err(unwritable)?;
    Ok(Packed { archive, files, tree_bytes, left_out })
}

#[derive(Debug)]
enum Kind {
    File {
        size: u64,
        executable: bool,
    },
    Link(PathBuf),
    /// Tracked, and not there any more.
    Gone,
    /// A folder of another repository, a socket, a link out of the tree.
    Other,
}

#[derive(Debug)]
struct Entry {
    name: PathBuf,
    kind: Kind,
}

impl Entry {
    fn look(root: &Path, name: PathBuf) -> Result<Self, Problem> {
        let path = root.join(&name);
        let kind = match fs::symlink_metadata(&path) {
            Ok(meta) => kind(root, &name, &meta),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Kind::Gone
            }
            Err(error) => return Err(unreadable(&path, error)),
        };
        Ok(Self { name, kind })
    }
}

fn kind(root: &Path, name: &Path, meta: &Metadata) -> Kind {
    if meta.is_file() {
        return Kind::File { size: meta.len(), executable: meta.permissions().mode() & 0o111 != 0 };
    }
    let target = meta.is_symlink().then(|| fs::read_link(root.join(name)).ok()).flatten();
    match target {
        Some(target) if stays_inside(root, name, &target) => Kind::Link(target),
        Some(_) | None => Kind::Other,
    }
}

/// Whether a link leads to a place in the tree: as it is written, and, if its target exists, as it is.
fn stays_inside(root: &Path, name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    fs::canonicalize(root.join(name)).map_or(true, |path| path.starts_with(root))
}

fn check_size(root: &Path, entries: &[Entry], limit_bytes: u64) -> Result<(), Problem> {
    let size = |entry: &Entry| match entry.kind {
        Kind::File { size, .. } => size,
        Kind::Link(_) | Kind::Gone | Kind::Other => 0,
    };
    let total: u64 = entries.iter().map(size).sum();
    if total <= limit_bytes && entries.len() <= FILES_LIMIT {
        return Ok(());
    }
    let largest =
        entries.iter().max_by_key(|entry| size(entry)).map(|entry| entry.name.display().to_string());
    Err(Problem::usage(format!(
        "`{}` is too large to be sent: {} files of {} MiB together, and at most {FILES_LIMIT} of {} MiB may be",
        root.display(),
        entries.len(),
        total >> 20,
        limit_bytes >> 20
    ))
    .hint(format!(
        "leave files out by a .gitignore (the largest is `{}`), or push the commit and let the server fetch it",
        largest.unwrap_or_default()
    )))
}

/// Adds an entry; answers its size, or `None` if it cannot be packed.
fn append(tar: &mut tar::Builder<impl Write>, root: &Path, entry: &Entry) -> Result<Option<u64>, Problem> {
    let path = root.join(&entry.name);
    let failed = |error| unreadable(&path, error);
    let mut header = tar::Header::new_gnu();
    header.set_mtime(u64::from(MTIME_S));
    match &entry.kind {
        Kind::Gone | Kind::Other => Ok(None),
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, &entry.name, target).map_err(failed)?;
            Ok(Some(0))
        }
        Kind::File { size, executable } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_size(*size);
            let mut content = Counted { inner: File::open(&path).map_err(failed)?.take(*size), count: 0 };
            tar.append_data(&mut header, &entry.name, &mut content).map_err(failed)?;
            if content.count == *size {
                return Ok(Some(*size));
            }
            Err(Problem::could_not_run(format!("`{}` was changed while it was packed", path.display()))
                .hint("try again when nothing writes there"))
        }
    }
}

struct Counted {
    inner: io::Take<File>,
    count: u64,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(read)
    }
}

/// What git tracks or would offer to track, in the order of its bytes; `None` if this is no repository.
fn from_git(root: &Path) -> Option<BTreeSet<PathBuf>> {
    let listed = git::ask_bytes(root, &["ls-files", "-co", "--exclude-standard", "-z"], GIT_PATIENCE)?;
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(std::ffi::OsString::from_vec(name.to_vec())));
    Some(paths.filter(|path| !is_never(path)).collect())
}

fn is_never(path: &Path) -> bool {
    path.components().any(|part| NEVER.iter().any(|never| part.as_os_str() == *never))
}

fn from_walk(root: &Path) -> Result<BTreeSet<PathBuf>, Problem> {
    let mut names = BTreeSet::new();
    let walk = walkdir::WalkDir::new(root)
        .follow_links(false)
        .into_iter()
        .filter_entry(|entry| !NEVER.iter().any(|never| entry.file_name() == *never));
    for entry in walk {
        let entry = entry.map_err(|error| unreadable(root, error.into()))?;
        if entry.file_type().is_dir() {
            continue;
        }
        if let Ok(name) = entry.path().strip_prefix(root) {
            names.insert(name.to_owned());
        }
        if names.len() > FILES_LIMIT {
            break;
        }
    }
    Ok(names)
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    Problem::could_not_run(format!("`{}` cannot be read", path.display()))
        .hint("check its rights, or leave it out by a .gitignore")
        .because(error)
}

#[cfg(test)]
mod tests;
