//! A corpus of archives that no one should have made, and the ones that everyone makes.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use shared::domain::id::SourceId;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

const SMALL: Limits = Limits { entries: 50, bytes: 1024 * 1024 * 1024, ratio: 100 };

struct Pack(Builder<Vec<u8>>);

impl Pack {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Adds an entry whose names go into the header as they are.
    fn raw(mut self, kind: EntryType, path: &[u8], target: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.name[..path.len()].copy_from_slice(path);
            gnu.linkname[..target.len()].copy_from_slice(target);
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.raw(EntryType::Regular, path.as_bytes(), b"", content.as_bytes())
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, path.as_bytes(), target.as_bytes(), b"")
    }

    fn hard(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Link, path.as_bytes(), target.as_bytes(), b"")
    }

    fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn about(bytes: &[u8], gzip: bool) -> Archive {
    Archive {
        id: SourceId(1),
        blob: "x".to_owned(),
        sha256: hex::encode(Sha256::digest(bytes)),
        size_bytes: bytes.len() as u64,
        gzip,
    }
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Unpacks inside a folder whose surroundings are watched.
fn unpacked(bytes: &[u8], gzip: bool, limits: Limits) -> (Result<(), ArchiveError>, TempDir) {
    unpacked_as((&about(bytes, gzip), false), bytes, limits)
}

fn unpacked_as(
    (archive, wrapped): (&Archive, bool),
    bytes: &[u8],
    limits: Limits,
) -> (Result<(), ArchiveError>, TempDir) {
    let scratch = TempDir::new().unwrap();
    let dest = scratch.path().join("in/source");
    fs::create_dir(dest.parent().unwrap()).unwrap();
    let result = unpack(bytes, (archive, wrapped), &dest, limits);
    let beside: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().chain(fs::read_dir(dest.parent().unwrap()).unwrap()).collect();
    assert_eq!(beside.len(), 2, "something was written beside the root");
    (result, scratch)
}

fn refusal(pack: Pack) -> String {
    unpacked(&pack.end(), false, SMALL).0.unwrap_err().to_string()
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    for path in ["../x", "/etc/x", "a/../../x", "a/../b", "..", "./../x", "//x", "a/..", ""] {
        let message = refusal(Pack::new().file("good", "").file(path, "evil"));
        assert!(message.contains("path") || message.contains("root"), "{path}: {message}");
    }
    for path in ["/", "../d", "a/../.."] {
        let pack = Pack::new().raw(EntryType::Directory, path.as_bytes(), b"", b"");
        let result = unpacked(&pack.end(), false, SMALL).0;
        assert!(result.is_err(), "{path}");
    }
    let zero = unpacked(
        &Pack::new().raw(EntryType::GNULongName, b"x", b"", b"a\0b\0").file("y", "").end(),
        false,
        SMALL,
    )
    .0;
    assert!(zero.unwrap_err().to_string().contains("zero byte"));
}

#[test]
fn links_that_leave_the_root_are_refused() {
    for (path, target) in [
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../x"),
        ("a/l", "../../x"),
        ("l", "a/../../x"),
        ("l", "a/.."),
        ("a/b/l", "./../../../x"),
        ("l", ""),
    ] {
        let message = refusal(Pack::new().link(path, target));
        assert!(message.contains("is a link"), "{path} -> {target}: {message}");
    }
    // By its text the second link stays inside; by way of the first it would not.
    let chain = Pack::new().file("a/b/x", "").link("a/b/up", "../..").link("m", "a/b/up/..");
    assert!(refusal(chain).contains("`..` inside"));
}

#[test]
fn nothing_is_written_through_a_link() {
    let through = Pack::new().link("l", ".").file("l/x", "evil");
    assert!(refusal(through).contains("no folder"));
    let replaced = Pack::new().link("l", "x").file("l", "evil");
    assert!(refusal(replaced).contains("twice"));
    let folder = Pack::new().link("l", ".").raw(EntryType::Directory, b"l", b"", b"");
    assert!(refusal(folder).contains("no folder"));
}

#[test]
fn hard_links_lead_to_files_of_the_archive_only() {
    for target in ["/etc/passwd", "../x", "missing", "d", "l", "h"] {
        let pack = Pack::new().file("d/x", "").link("l", "d/x").hard("h", target);
        assert!(refusal(pack).contains("hard link"), "{target}");
    }
    let (result, scratch) = unpacked(&Pack::new().file("a", "same").hard("b", "a").end(), false, SMALL);
    result.unwrap();
    assert_eq!(fs::read_to_string(scratch.path().join("in/source/b")).unwrap(), "same");
}

#[test]
fn what_is_no_file_folder_or_link_is_refused() {
    for kind in
        [EntryType::Block, EntryType::Char, EntryType::Fifo, EntryType::GNUSparse, EntryType::new(b'Z')]
    {
        assert!(refusal(Pack::new().raw(kind, b"x", b"", b"")).contains("neither"), "{kind:?}");
    }
}

#[test]
fn duplicates_are_refused_and_folders_may_come_late() {
    assert!(refusal(Pack::new().file("a", "1").file("./a", "2")).contains("twice"));
    assert!(refusal(Pack::new().file("a", "1").file("a/b", "2")).contains("no folder"));
    assert!(refusal(Pack::new().file("a/b", "1").file("a", "2")).contains("twice"));
    let folder = |pack: Pack| pack.raw(EntryType::Directory, b"a/", b"", b"");
    let pack = folder(folder(Pack::new().raw(EntryType::Directory, b"./", b"", b"").file("a/b", "1")));
    unpacked(&pack.end(), false, SMALL).0.unwrap();
}

#[test]
fn too_many_entries_are_too_many_also_as_folders_of_folders() {
    let many = (0..51).fold(Pack::new(), |pack, n| pack.file(&format!("f{n}"), ""));
    assert!(refusal(many).contains("more than 50"));
    let deep = Pack::new().file(&format!("{}x", "a/".repeat(49)), "").file("b/x", "");
    assert!(refusal(deep).contains("more than 50"));
}

#[test]
fn a_bomb_is_stopped_while_it_unpacks() {
    let bomb = compressed(&Pack::new().file("zeros", &"\0".repeat(200 * 1024 * 1024)).end());
    assert!(bomb.len() < 1024 * 1024, "it is one");
    let (result, scratch) = unpacked(&bomb, true, SMALL);
    let Err(ArchiveError::TooLarge { limit_bytes }) = result else { panic!("{result:?}") };
    let written = fs::metadata(scratch.path().join("in/source/zeros")).unwrap().len();
    assert!(written <= limit_bytes && limit_bytes < 200 * 1024 * 1024, "{written}");
    let tight = Limits { bytes: 1000, ..SMALL };
    let (result, _scratch) = unpacked(&Pack::new().file("x", &"y".repeat(5000)).end(), false, tight);
    assert!(matches!(result, Err(ArchiveError::TooLarge { limit_bytes: 1000 })), "{result:?}");
}

#[test]
fn long_names_are_read_and_endless_ones_refused() {
    let long = format!("{}/name", "d".repeat(200));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o755);
    builder.append_data(&mut header, &long, &b"text"[..]).unwrap();
    let (result, scratch) = unpacked(&builder.into_inner().unwrap(), false, SMALL);
    result.unwrap();
    let path = scratch.path().join("in/source").join(&long);
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    let endless = vec![b'x'; 100 * 1024];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
    {
        assert!(
            refusal(Pack::new().raw(kind, b"x", b"", &endless).file("y", "")).contains("64 KiB"),
            "{kind:?}"
        );
    }
    let name = vec![b'x'; 5000];
    assert!(
        refusal(Pack::new().raw(EntryType::GNULongName, b"x", b"", &name).file("y", "")).contains("endless")
    );
    assert!(
        refusal(Pack::new().raw(EntryType::GNULongName, b"x", b"", &name[..300]).file("y", ""))
            .contains("too long")
    );
}

#[test]
fn extended_headers_name_entries_and_may_not_resize_them() {
    let pack = Pack::new().raw(EntryType::XHeader, b"x", b"", b"19 path=other/name\n").file("short", "text");
    let (result, scratch) = unpacked(&pack.end(), false, SMALL);
    result.unwrap();
    assert!(scratch.path().join("in/source/other/name").is_file());
    for record in [&b"10 size=1\n"[..], b"25 GNU.sparse.realsize=1\n"] {
        let pack = Pack::new().raw(EntryType::XHeader, b"x", b"", record).file("short", "text");
        assert!(refusal(pack).contains("size apart"));
    }
    let evil = Pack::new().raw(EntryType::XHeader, b"x", b"", b"19 path=../../evil\n").file("short", "text");
    assert!(refusal(evil).contains("`..`"));
}

#[test]
fn damage_is_noticed() {
    let whole = Pack::new().file("a", &"x".repeat(5000)).end();
    for (bytes, gzip) in [
        (&whole[..1024], false),
        (&whole[..700], false),
        (&b"not a tar at all"[..], false),
        (&whole[..], true),
    ] {
        let (result, _scratch) = unpacked(bytes, gzip, SMALL);
        assert!(matches!(result, Err(ArchiveError::Unreadable(_))), "{result:?}");
    }
    let packed = compressed(&whole);
    let (result, _scratch) = unpacked(&packed[..packed.len() / 2], true, SMALL);
    assert!(matches!(result, Err(ArchiveError::Unreadable(_))), "{result:?}");
}

#[test]
fn set_user_bits_are_dropped() {
    let mut header = Header::new_ustar();
    header.set_path("s").unwrap();
    header.set_mode(0o6777);
    header.set_size(0);
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, &b""[..]).unwrap();
    let (result, scratch) = unpacked(&builder.into_inner().unwrap(), false, SMALL);
    result.unwrap();
    let mode = fs::metadata(scratch.path().join("in/source/s")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0);
}

#[test]
fn what_the_tar_command_packs_comes_out_the_same() {
    let scratch = TempDir::new().unwrap();
    let work = scratch.path().join("work");
    fs::create_dir_all(work.join("deep/er")).unwrap();
    fs::write(work.join("deep/er/file"), "text").unwrap();
    fs::write(work.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(work.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../tool", work.join("deep/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", work.join("dangling")).unwrap();
    for format in ["gnu", "pax", "ustar"] {
        let output = Command::new("tar")
            .arg("-C")
            .arg(&work)
            .args(["--format", format, "-czf", "-", "."])
            .output()
            .unwrap();
        assert!(output.status.success());
        let (result, out) = unpacked(&output.stdout, true, SMALL);
        result.unwrap();
        let root = out.path().join("in/source");
        assert_eq!(fs::read_to_string(root.join("deep/er/file")).unwrap(), "text");
        assert_eq!(fs::read_to_string(root.join("deep/link")).unwrap(), "#!/bin/sh\n");
        assert_eq!(fs::read_link(root.join("dangling")).unwrap(), Path::new("nowhere"));
        assert_eq!(fs::metadata(root.join("tool")).unwrap().permissions().mode() & 0o111, 0o111);
    }
}

#[test]
fn the_folder_around_a_forges_archive_does_not_count() {
    let scratch = TempDir::new().unwrap();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(scratch.path()).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    git(&["init", "-q"]);
    fs::create_dir(scratch.path().join("deep")).unwrap();
    fs::write(scratch.path().join("deep/file"), "text").unwrap();
    std::os::unix::fs::symlink("deep/file", scratch.path().join("link")).unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    let packed = git(&["archive", "--format=tar.gz", "--prefix=acme-click-0123456/", "HEAD"]);
    let (result, out) = unpacked_as((&about(&packed, true), true), &packed, SMALL);
    result.unwrap();
    assert_eq!(fs::read_to_string(out.path().join("in/source/link")).unwrap(), "text");
    // What would leave the folder that counts is refused, also where it stays below the one around it.
    for pack in [
        Pack::new().link("top/l", "../x"),
        Pack::new().file("top/../x", ""),
        Pack::new().file("x", ""),
        Pack::new().file("one/x", "").file("other/x", ""),
        Pack::new().file("top/x", "").hard("top/h", "x"),
    ] {
        let bytes = pack.end();
        let (result, _scratch) = unpacked_as((&about(&bytes, false), true), &bytes, SMALL);
        assert!(matches!(result, Err(ArchiveError::Entry { .. })), "{result:?}");
    }
}

#[test]
fn pieces_are_joined_and_compared_with_the_digest() {
    let bytes = Pack::new().file("a", &"x".repeat(5000)).end();
    let serve = |bytes: Vec<u8>| {
        move |offset: u64| -> Result<Vec<u8>, LinkError> {
            let rest = &bytes[usize::try_from(offset).unwrap()..];
            Ok(rest[..rest.len().min(1000)].to_vec())
        }
    };
    let scratch = TempDir::new().unwrap();
    let source =
        provide((&about(&bytes, false), false), scratch.path(), &serve(bytes.clone()), &|| false).unwrap();
    assert_eq!(fs::read_to_string(source.join("a")).unwrap().len(), 5000);
    assert!(!scratch.path().join("source.tar").exists());
    let mut bent = bytes.clone();
    bent[600] ^= 1;
    for other in [bent, bytes[..2000].to_vec()] {
        let scratch = TempDir::new().unwrap();
        let error =
            provide((&about(&bytes, false), false), scratch.path(), &serve(other), &|| false).unwrap_err();
        assert!(matches!(error, SourceError::Archive(ArchiveError::Altered(_))), "{error}");
        assert!(!scratch.path().join("source").exists(), "nothing is unpacked");
    }
}
