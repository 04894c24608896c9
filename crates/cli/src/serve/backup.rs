//! `fleetest backup`: everything that an instance keeps, in one tar file, while it serves.
//!
//! Documents first, then blobs. Documents refer only to blobs that were there before them, and no blob changes; so a
//! blob that comes later is one too many, which is harmless, and none is missing as long as nobody deletes any.
//! Deleting is held off meanwhile; the pieces of reports that go away when they are joined are no loss, because a run
//! whose report was not whole is reported anew.

use super::folder;
use super::place::{KEY_FILE, keep_blobs, private_scratch};
use crate::args::serve::BackupArgs;
use crate::config::Config;
use crate::engine::ground::{BLOBS_FOLDER, STORE_FILE};
use crate::exit::{Exit, Problem};
use crate::progress::terminal::write_lines;
use crate::project::state::cannot_write;
use crate::run::{ink, wall_clock};
use embedded::sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use tar::{Builder, Header};

/// First entry: what the file is.
pub(super) const ABOUT: &str = "fleetest-backup.json";
/// Last entry: that nothing is missing.
pub(super) const END: &str = "end.json";
/// Version of the format.
pub(super) const FORMAT: u32 = 1;
/// What names of files that are still being written begin with; no blob's does.
const UNFINISHED: &str = "+";

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// Version of the format.
    pub(super) format: u32,
    /// Version of the program that wrote it.
    pub(super) version: String,
    /// When (RFC 3339).
    pub(super) made_at: String,
}

/// What a backup ends with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// Entries between the first and the last.
    pub(super) files: u64,
}

/// Writes a backup.
///
/// # Errors
/// There is nothing to back up, or it cannot be written.
pub fn backup(args: &BackupArgs, config: &Config) -> anyhow::Result<Exit> {
    let dir = folder(args.data.as_deref(), config);
    let to = config.here.join(&args.to);
    if !dir.join(STORE_FILE).is_file() {
        return Err(Problem::usage(format!("`{}` is no folder of `fleetest serve`", dir.display()))
            .hint("name the folder with `--data`")
            .into());
    }
    if fs::symlink_metadata(&to).is_ok() {
        return Err(Problem::usage(format!("`{}` exists already", to.display()))
            .hint("name another file; a backup replaces nothing")
            .into());
    }
    let files = write(&dir, &to)?;
    let size = fs::metadata(&to).map_or(0, |meta| meta.len());
    let told = format!("`{}`: {files} files, {size} bytes; it holds the instance's secrets", to.display());
    write_lines(ink(crate::args::Colour::Auto, config), &crate::run::note_lines(&[told]));
    Ok(Exit::Passed)
}

fn write(dir: &Path, to: &Path) -> anyhow::Result<u64> {
    let failed = |error| cannot_write(to, error);
    let parent = to.parent().unwrap_or(Path::new("."));
    let scratch = private_scratch(".fleetest-backup-").tempdir_in(parent).map_err(failed)?;
    let part = scratch.path().join("part.tar");
    let _keeping = keep_blobs(dir).map_err(|error| cannot_write(dir, error))?;
    let store = scratch.path().join(STORE_FILE);
    SqliteStore::snapshot(&dir.join(STORE_FILE), &store)
        .map_err(|error| Problem::could_not_run("the store cannot be copied").because(error))?;
    let files = archive(dir, &store, &part).map_err(failed)?;
    // A file that is there by now is somebody else's.
    fs::hard_link(&part, to).or_else(|_no_links| fs::rename(&part, to)).map_err(failed)?;
    Ok(files)
}

/// Writes the archive; returns the number of files in it.
fn archive(dir: &Path, store: &Path, part: &Path) -> io::Result<u64> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options().write(true).create_new(true).mode(0o600).open(part)?;
    let mut tar = Builder::new(io::BufWriter::with_capacity(256 * 1024, file));
    let about = About {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: wall_clock().rfc3339(),
    };
    append_text(&mut tar, ABOUT, &serde_json::to_vec(&about)?)?;
    tar.append_file(KEY_FILE, &mut File::open(dir.join(KEY_FILE))?)?;
    tar.append_file(STORE_FILE, &mut File::open(store)?)?;
    let mut files = 2;
    append_folder(&mut tar, &dir.join(BLOBS_FOLDER), Path::new(BLOBS_FOLDER), &mut files)?;
    append_text(&mut tar, END, &serde_json::to_vec(&End { files })?)?;
    let mut buffered = tar.into_inner()?;
    buffered.flush()?;
    buffered.get_ref().sync_all()?;
    Ok(files)
}

type Tar = Builder<io::BufWriter<File>>;

fn append_text(tar: &mut Tar, name: &str, text: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
    tar.append_data(&mut header, name, text)
}

/// Adds everything below a folder; what goes away meanwhile is left out.
fn append_folder(tar: &mut Tar, folder: &Path, name: &Path, files: &mut u64) -> io::Result<()> {
    let Some(entries) = present(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            append_folder(tar, &path, &name, files)?;
        } else if let Some(mut file) = present(File::open(&path))? {
            tar.append_file(&name, &mut file)?;
            *files += 1;
        }
    }
    Ok(())
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
