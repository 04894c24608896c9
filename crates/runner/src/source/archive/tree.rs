//! What an archive may become below its root.
//!
//! Nothing is trusted to the unpacking library but the shape of single headers: every path is checked here, every
//! folder and file is made here, nothing is written twice, and links are made last. A link may lead upwards only at its
//! beginning, from a folder that is really one: so it cannot leave the root, whatever other links it passes.

use super::{ArchiveError, unwritable};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tar::{Header, PaxExtensions};

/// Largest header of names and attributes.
const NAMES_LIMIT_BYTES: u64 = 64 * 1024;
const PATH_LIMIT_BYTES: usize = 4096;
const PART_LIMIT_BYTES: usize = 255;
const DEPTH_LIMIT: usize = 100;

/// A path inside of the root, in parts.
type Parts = Vec<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Folder,
    File,
    Link,
}

/// Names that belong to the entry after them.
#[derive(Default)]
struct Names {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// What has been made so far.
pub(super) struct Tree {
    root: PathBuf,
    places: BTreeMap<Parts, Place>,
    links: Vec<(Parts, Vec<u8>)>,
    limit: usize,
    wrapped: bool,
}

impl Tree {
    /// Nothing yet, in this folder. In an archive that is `wrapped`, the first part of every path does not count.
    pub(super) fn new(root: PathBuf, limit: usize, wrapped: bool) -> Self {
        Self { root, places: BTreeMap::new(), links: Vec::new(), limit, wrapped }
    }

    /// Makes every folder and file of the archive.
    pub(super) fn fill(&mut self, archive: &mut tar::Archive<impl Read>) -> Result<(), ArchiveError> {
        let mut names = Names::default();
        for entry in archive.entries().map_err(ArchiveError::Unreadable)?.raw(true) {
            let mut entry = entry.map_err(ArchiveError::Unreadable)?;
            let header = entry.header().clone();
            let kind = header.entry_type();
            if kind.is_gnu_longname() {
                names.path = Some(long_name(&header, &mut entry)?);
            } else if kind.is_gnu_longlink() {
                names.target = Some(long_name(&header, &mut entry)?);
            } else if kind.is_pax_local_extensions() {
                extended(&header, &mut entry, &mut names)?;
            } else if kind.is_pax_global_extensions() {
                // What it says is meant for every entry; `git archive` writes the commit's id there.
                drop(small(&header, &mut entry)?);
            } else {
                let names = std::mem::take(&mut names);
                let path = names.path.unwrap_or_else(|| header.path_bytes().into_owned());
                let target = names.target.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
                self.take(&path, target.unwrap_or_default(), &header, &mut entry)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        path: &[u8],
        target: Vec<u8>,
        header: &Header,
        content: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let refuse = |reason| ArchiveError::Entry { path: printable(path), reason };
        let (kind, parts) = (header.entry_type(), self.parts(path).map_err(refuse)?);
        if kind.is_dir() {
            return self.folder(&parts).map_err(|trouble| trouble.at(path));
        }
        if parts.is_empty() {
            return Err(refuse("is the root and no folder"));
        }
        if kind.is_symlink() {
            check_target(&parts, &target).map_err(refuse)?;
            self.claim(&parts, Place::Link).map_err(|trouble| trouble.at(path))?;
            self.links.push((parts, target));
            Ok(())
        } else if kind.is_hard_link() {
            let original = self
                .parts(&target)
                .ok()
                .filter(|original| self.places.get(original) == Some(&Place::File) && *original != parts);
            let original =
                original.ok_or_else(|| refuse("is a hard link to something that is no file before it"))?;
            let at = self.claim(&parts, Place::File).map_err(|trouble| trouble.at(path))?;
            fs::hard_link(self.path(&original), &at).map_err(|error| unwritable(&at, error))
        } else if kind.is_file() || kind.is_contiguous() {
            let at = self.claim(&parts, Place::File).map_err(|trouble| trouble.at(path))?;
            write(&at, header, content)
        } else {
            Err(refuse("is neither a file nor a folder nor a link"))
        }
    }

    fn folder(&mut self, parts: &[Vec<u8>]) -> Result<(), Trouble> {
        for depth in 1..=parts.len() {
            let above = parts.get(..depth).unwrap_or_default();
            match self.places.get(above) {
                Some(Place::Folder) => {}
                Some(Place::File | Place::Link) => {
                    return Err(Trouble::Refused("lies below something that is no folder"));
                }
                None => {
                    self.note(above, Place::Folder)?;
                    let path = self.path(above);
                    fs::create_dir(&path).map_err(|error| Trouble::Unwritable(path, error))?;
                }
            }
        }
        Ok(())
    }

    /// The place of a new file or link; its folder is made.
    fn claim(&mut self, parts: &[Vec<u8>], place: Place) -> Result<PathBuf, Trouble> {
        if let Some((_, folder)) = parts.split_last() {
            self.folder(folder)?;
        }
        if self.places.contains_key(parts) {
            return Err(Trouble::Refused("is there twice"));
        }
        self.note(parts, place)?;
        Ok(self.path(parts))
    }

    fn note(&mut self, parts: &[Vec<u8>], place: Place) -> Result<(), Trouble> {
        if self.places.len() >= self.limit {
            return Err(Trouble::TooMany(self.limit));
        }
        self.places.insert(parts.to_vec(), place);
        Ok(())
    }

    /// Makes the links, after everything else.
    pub(super) fn make_links(&self) -> Result<(), ArchiveError> {
        for (parts, target) in &self.links {
            let at = self.path(parts);
            symlink(OsStr::from_bytes(target), &at).map_err(|error| unwritable(&at, error))?;
        }
        // By construction none leaves the root; this would be the place to notice a mistake in that.
        for (parts, _) in &self.links {
            let leads = fs::canonicalize(self.path(parts));
            if leads.is_ok_and(|path| !path.starts_with(&self.root)) {
                return Err(ArchiveError::Entry {
                    path: printable(&parts.join(&b'/')),
                    reason: "leads outside",
                });
            }
        }
        Ok(())
    }

    /// The parts of a path of the archive, as they count here.
    fn parts(&self, path: &[u8]) -> Result<Parts, &'static str> {
        let mut parts = parts(path)?;
        if self.wrapped && !parts.is_empty() {
            parts.remove(0);
        }
        Ok(parts)
    }

    fn path(&self, parts: &[Vec<u8>]) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(parts.iter().map(|part| OsStr::from_bytes(part)));
        path
    }
}

/// What goes wrong at an entry, before its name is added.
enum Trouble {
    Refused(&'static str),
    TooMany(usize),
    Unwritable(PathBuf, io::Error),
}

impl Trouble {
    fn at(self, path: &[u8]) -> ArchiveError {
        match self {
            Self::Refused(reason) => ArchiveError::Entry { path: printable(path), reason },
            Self::TooMany(limit) => ArchiveError::TooMany { limit },
            Self::Unwritable(path, error) => unwritable(&path, error),
        }
    }
}

fn write(at: &Path, header: &Header, content: &mut impl Read) -> Result<(), ArchiveError> {
    let runs = header.mode().is_ok_and(|mode| mode & 0o111 != 0);
    let mode = if runs { 0o755 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(at);
    let file = file.as_mut().map_err(|error| unwritable(at, io::Error::from(error.kind())))?;
    let size = header.entry_size().map_err(ArchiveError::Unreadable)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut written = 0_u64;
    loop {
        let count = content.read(&mut buffer).map_err(ArchiveError::Unreadable)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        file.write_all(bytes).map_err(|error| unwritable(at, error))?;
        written += u64::try_from(count).unwrap_or(u64::MAX);
    }
    if written == size { Ok(()) } else { Err(ArchiveError::Unreadable(ErrorKind::UnexpectedEof.into())) }
}

/// A header's content, which must be small.
fn small(header: &Header, content: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    if header.entry_size().map_err(ArchiveError::Unreadable)? > NAMES_LIMIT_BYTES {
        let path = printable(&header.path_bytes());
        return Err(ArchiveError::Entry { path, reason: "has names or attributes of more than 64 KiB" });
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(ArchiveError::Unreadable)?;
    Ok(bytes)
}

fn long_name(header: &Header, content: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut name = small(header, content)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn extended(header: &Header, content: &mut impl Read, names: &mut Names) -> Result<(), ArchiveError> {
    let bytes = small(header, content)?;
    for extension in PaxExtensions::new(&bytes) {
        let extension = extension.map_err(ArchiveError::Unreadable)?;
        match extension.key_bytes() {
            b"path" => names.path = Some(extension.value_bytes().to_vec()),
            b"linkpath" => names.target = Some(extension.value_bytes().to_vec()),
            // Two answers to how long an entry is are one too many.
            key if key == b"size" || key.starts_with(b"GNU.sparse.") => {
                let path = printable(names.path.as_deref().unwrap_or(b"(unnamed)"));
                return Err(ArchiveError::Entry {
                    path,
                    reason: "has a size apart from its header, or holes",
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parts of a path; none for the root itself.
fn parts(path: &[u8]) -> Result<Parts, &'static str> {
    if path.is_empty() || path.len() > PATH_LIMIT_BYTES {
        return Err("has an empty or endless path");
    }
    if path.contains(&0) {
        return Err("has a zero byte in its path");
    }
    if path.starts_with(b"/") {
        return Err("has an absolute path");
    }
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.contains(&b"..".as_slice()) {
        return Err("has `..` in its path");
    }
    if parts.len() > DEPTH_LIMIT || parts.iter().any(|part| part.len() > PART_LIMIT_BYTES) {
        return Err("lies too deep or has too long a name");
    }
    Ok(parts.into_iter().map(<[u8]>::to_vec).collect())
}

/// Whether a symbolic link stays inside: up only at its beginning, and not above the root.
fn check_target(link: &[Vec<u8>], target: &[u8]) -> Result<(), &'static str> {
    if target.is_empty() || target.len() > PATH_LIMIT_BYTES || target.contains(&0) {
        return Err("is a link to nowhere");
    }
    if target.starts_with(b"/") {
        return Err("is a link to an absolute path");
    }
    let mut parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).peekable();
    let mut up = 0;
    while parts.next_if(|part| *part == b"..").is_some() {
        up += 1;
    }
    if up >= link.len() {
        return Err("is a link that leaves the root");
    }
    if parts.any(|part| part == b"..") { Err("is a link with `..` inside of its target") } else { Ok(()) }
}

fn printable(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}
