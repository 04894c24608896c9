//! `fleetest restore`: an empty folder filled from a backup, whole or not at all.
//!
//! A backup is taken for hostile: nothing in it leaves the folder, links and devices are refused, and so is whatever
//! is not named as backups name things. The folder appears under its name only when everything is in it and checked.

use super::backup::{ABOUT, About, END, End, FORMAT};
use super::folder;
use super::place::{KEY_FILE, make_private, private_scratch};
use crate::args::serve::RestoreArgs;
use crate::config::Config;
use crate::engine::ground::{BLOBS_FOLDER, STORE_FILE};
use crate::exit::{Exit, Problem};
use crate::progress::terminal::write_lines;
use crate::project::state::cannot_write;
use crate::run::{ink, note_lines};
use embedded::sqlite::SqliteStore;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Longest text entry.
const TEXT_LIMIT_BYTES: u64 = 64 * 1024;

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it is no backup of fleetest")]
    NoBackup,
    #[error("it has format {0}, this fleetest knows {FORMAT}; use the release that wrote it, or a newer one")]
    Format(u32),
    #[error("its entry `{0}` is no plain file of a backup")]
    Entry(String),
    #[error("it is cut off: its end is missing")]
    CutOff,
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("`{0}` cannot be written")]
    Unwritable(PathBuf, #[source] io::Error),
    #[error("its store is damaged")]
    Store(#[source] shared::ports::PortError),
}

/// Restores a backup.
///
/// # Errors
/// The folder is not empty, or the backup is refused.
pub fn restore(args: &RestoreArgs, config: &Config) -> anyhow::Result<Exit> {
    let dir = folder(args.data.as_deref(), config);
    let from = config.here.join(&args.from);
    let file = File::open(&from)
        .map_err(|error| Problem::usage(format!("`{}` cannot be read", from.display())).because(error))?;
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(Problem::usage(format!("`{}` is not empty", dir.display()))
            .hint("a backup is restored into an empty folder; name another one with `--data`")
            .into());
    }
    let parent = dir.parent().unwrap_or(Path::new("."));
    let failed = |error| cannot_write(&dir, error);
    make_private(parent).map_err(failed)?;
    let staging = private_scratch(".fleetest-restore-").tempdir_in(parent).map_err(failed)?;
    let files = unpack(BufReader::new(file), staging.path()).map_err(|error| {
        Problem::could_not_run(format!("`{}` is not restored", from.display())).because(error)
    })?;
    fs::rename(staging.path(), &dir).map_err(failed)?;
    let told =
        format!("`{}` is filled with {files} files; `fleetest serve` goes on from there", dir.display());
    write_lines(ink(crate::args::Colour::Auto, config), &note_lines(&[told]));
    Ok(Exit::Passed)
}

/// Fills a folder; returns the number of files.
fn unpack(source: impl Read, into: &Path) -> Result<u64, Refused> {
    let mut archive = Archive::new(source);
    let mut entries = archive.entries().map_err(Refused::Unreadable)?;
    let first = entries.next().and_then(Result::ok).ok_or(Refused::NoBackup)?;
    check_about(first)?;
    for (files, entry) in (0_u64..).zip(entries) {
        let mut entry = entry.map_err(Refused::Unreadable)?;
        let path = place_of(&entry)?;
        if path == Path::new(END) {
            let end: End = text(entry).ok_or(Refused::CutOff)?;
            if end.files != files {
                return Err(Refused::CutOff);
            }
            SqliteStore::check(&into.join(STORE_FILE)).map_err(Refused::Store)?;
            return Ok(files);
        }
        write(&mut entry, &into.join(&path))?;
    }
    Err(Refused::CutOff)
}

fn check_about(entry: Entry<'_, impl Read>) -> Result<(), Refused> {
    if entry.path().ok().as_deref() != Some(Path::new(ABOUT)) {
        return Err(Refused::NoBackup);
    }
    let about: About = text(entry).ok_or(Refused::NoBackup)?;
    if about.format == FORMAT { Ok(()) } else { Err(Refused::Format(about.format)) }
}

fn text<T: serde::de::DeserializeOwned>(entry: Entry<'_, impl Read>) -> Option<T> {
    let mut text = String::new();
    entry.take(TEXT_LIMIT_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Where an entry belongs, if it may be anywhere.
fn place_of(entry: &Entry<'_, impl Read>) -> Result<PathBuf, Refused> {
    let path = entry.path().map_err(Refused::Unreadable)?.into_owned();
    let refused = || Refused::Entry(path.display().to_string());
    if entry.header().entry_type() != EntryType::Regular {
        return Err(refused());
    }
    let mut parts = Vec::new();
    for part in path.components() {
        let Component::Normal(part) = part else { return Err(refused()) };
        parts.push(part.to_str().filter(|part| is_plain(part)).ok_or_else(refused)?);
    }
    match parts.as_slice() {
        [KEY_FILE | STORE_FILE | END] => Ok(path),
        [BLOBS_FOLDER, _, ..] => Ok(path),
        _ => Err(refused()),
    }
}

fn is_plain(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-' | b'+'))
}

fn write(entry: &mut impl Read, path: &Path) -> Result<(), Refused> {
    let unwritable = |error| Refused::Unwritable(path.to_owned(), error);
    if let Some(parent) = path.parent() {
        make_private(parent).map_err(unwritable)?;
    }
    // Not twice the same, not over a link.
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    io::copy(entry, &mut file).map(drop).map_err(unwritable)
}

#[cfg(test)]
mod tests;
