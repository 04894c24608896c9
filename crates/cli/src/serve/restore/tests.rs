//! Archives as they should be, and as they should not.

use super::*;
use crate::args::serve::{BackupArgs, RestoreArgs};
use embedded::files::FileBlobs;
use embedded::system::SystemClock;
use shared::ports::{Blobs as _, Change, Condition, Key, Store as _, Write};
use std::sync::Arc;
use tar::{Builder, Header};
use tempfile::TempDir;

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn config(scratch: &TempDir) -> Config {
    Config { here: scratch.path().to_owned(), ..Config::default() }
}

/// An instance's folder with a document and blobs.
fn instance(scratch: &TempDir) -> PathBuf {
    let dir = scratch.path().join("instance");
    drop(super::super::place::Place::open(&dir).unwrap());
    let store = SqliteStore::open(&dir.join(STORE_FILE), Arc::new(SystemClock::default())).unwrap();
    let change = Change::Put { body: "\"kept\"".to_owned(), expires_at: None, index: None };
    now(store.commit(vec![Write { key: Key::new("p", "s"), condition: Condition::Absent, change }])).unwrap();
    let blobs = FileBlobs::open(dir.join(BLOBS_FOLDER)).unwrap();
    let deep = format!("{}/end", vec!["x".repeat(60); 4].join("/"));
    for key in ["top", "runs/run_1/report.html", &deep] {
        now(blobs.put(key, key.as_bytes().to_vec())).unwrap();
    }
    dir
}

fn backup(scratch: &TempDir, dir: &Path) -> PathBuf {
    let to = scratch.path().join("backup.tar");
    let args = BackupArgs { data: Some(dir.to_owned()), to: to.clone() };
    super::super::backup(&args, &config(scratch)).unwrap();
    to
}

fn restored(scratch: &TempDir, from: &Path) -> anyhow::Result<PathBuf> {
    let dir = scratch.path().join("restored");
    restore(&RestoreArgs { from: from.to_owned(), data: Some(dir.clone()) }, &config(scratch))?;
    Ok(dir)
}

#[test]
fn what_was_kept_comes_back_and_the_rest_does_not() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = instance(&scratch);
    fs::write(dir.join("blobs/runs+/run_1+/+new123"), "half").unwrap();
    let file = backup(&scratch, &dir);
    let back = restored(&scratch, &file).unwrap();
    let store = SqliteStore::open(&back.join(STORE_FILE), Arc::new(SystemClock::default())).unwrap();
    let found = now(store.load(&Key::new("p", "s"), shared::domain::time::Timestamp(0))).unwrap().unwrap();
    assert_eq!((found.body.as_ref(), found.version), ("\"kept\"", 1));
    let blobs = FileBlobs::open(back.join(BLOBS_FOLDER)).unwrap();
    let keys = now(blobs.list("")).unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in &keys {
        assert_eq!(now(blobs.fetch(key, None)).unwrap(), key.as_bytes());
    }
    assert_eq!(fs::read(back.join(KEY_FILE)).unwrap(), fs::read(dir.join(KEY_FILE)).unwrap());
    use std::os::unix::fs::PermissionsExt as _;
    for (path, mode) in [(back.join(KEY_FILE), 0o600), (back.clone(), 0o700), (file, 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn half_a_backup_is_none() {
    let scratch = tempfile::tempdir().unwrap();
    let file = backup(&scratch, &instance(&scratch));
    let whole = fs::read(&file).unwrap();
    for length in (0..whole.len()).step_by(512).filter(|at| whole.len() - at > 2 * 512) {
        let result = unpack(&whole[..length], &scratch.path().join(format!("part-{length}")));
        assert!(result.is_err(), "{length} of {} bytes were taken for all", whole.len());
    }
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(restored(&scratch, &file).is_err());
    let left: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("restore")), "{left:?}");
}

/// An archive with a right beginning and this entry.
fn with(entry: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let about = About { format: FORMAT, version: "0".to_owned(), made_at: String::new() };
    let text = serde_json::to_vec(&about).unwrap();
    let mut header = Header::new_gnu();
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, ABOUT, text.as_slice()).unwrap();
    entry(&mut tar);
    tar.into_inner().unwrap()
}

/// Adds an entry under a name that the library itself would not write.
fn named(tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType) {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(4);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_size(0);
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    tar.append(&header, if header.size().unwrap() == 0 { &b""[..] } else { b"evil" }).unwrap();
}

#[test]
fn nothing_leaves_the_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("a/b/c");
    for name in [
        "../x",
        "/tmp/x",
        "blobs/../../x",
        "blobs/x/../../../x",
        "other",
        "blobs",
        "token.key/x",
        "./../x",
        "blobs/a b",
        "blobs/a\\b",
        "lock",
        "fleetest-backup.json",
    ] {
        let refused = unpack(with(|tar| named(tar, name, EntryType::Regular)).as_slice(), &into);
        assert!(matches!(refused, Err(Refused::Entry(_))), "{name}: {refused:?}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo, EntryType::Directory]
    {
        let refused = unpack(with(|tar| named(tar, "blobs/x", kind)).as_slice(), &into);
        assert!(matches!(refused, Err(Refused::Entry(_))), "{kind:?}: {refused:?}");
    }
    assert!(!into.exists() && fs::read_dir(scratch.path()).unwrap().next().is_none());
}

#[test]
fn twice_the_same_file_and_a_wrong_count_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let twice = with(|tar| (0..2).for_each(|_| named(tar, "blobs/x", EntryType::Regular)));
    assert!(matches!(unpack(twice.as_slice(), &scratch.path().join("a")), Err(Refused::Unwritable(..))));
    let miscounted = with(|tar| {
        let text = serde_json::to_vec(&End { files: 3 }).unwrap();
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, END, text.as_slice()).unwrap();
    });
    assert!(matches!(unpack(miscounted.as_slice(), &scratch.path().join("b")), Err(Refused::CutOff)));
}

#[test]
fn other_files_and_other_formats_are_called_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    for other in [&b""[..], b"no tar", &[0; 1024]] {
        assert!(matches!(unpack(other, scratch.path()), Err(Refused::NoBackup)));
    }
    let mut newer = with(|_| ());
    let at = newer.windows(10).position(|part| part == b"\"format\":1").unwrap();
    newer[at + 9] = b'7';
    assert!(matches!(unpack(newer.as_slice(), scratch.path()), Err(Refused::Format(7))));
}

#[test]
fn a_damaged_store_is_found_out() {
    let scratch = tempfile::tempdir().unwrap();
    let file = backup(&scratch, &instance(&scratch));
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(15).position(|part| part == b"SQLite format 3").unwrap();
    bytes[at + 4_096..at + 8_192].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    let error = restored(&scratch, &file).unwrap_err();
    assert!(format!("{error:#}").contains("store is damaged"), "{error:#}");
}
