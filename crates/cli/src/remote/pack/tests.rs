//! Packing real trees.

use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::process::Command;

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(identity).args(args);
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(inherited);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn bytes(packed: &Packed) -> Vec<u8> {
    fs::read(packed.archive.path()).unwrap()
}

/// Name to mode and content, or the target of a link.
fn content(packed: &Packed) -> BTreeMap<String, String> {
    let bytes = bytes(packed);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut all = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), u64::from(MTIME_S));
        let name = entry.path().unwrap().display().to_string();
        let shown = match entry.link_name().unwrap() {
            Some(target) => format!("-> {}", target.display()),
            None => {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                format!("{:o} {text}", entry.header().mode().unwrap())
            }
        };
        all.insert(name, shown);
    }
    all
}

#[test]
fn a_repository_is_packed_as_git_sees_it() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    git(root, &["init", "-q"]);
    let long = format!("deep/{}/x", "n".repeat(150));
    for (name, text) in
        [("tracked", "1"), ("gone", "2"), (".gitignore", "ignored\n"), (&*long, "long"), ("ü\n", "odd")]
    {
        write(root, name, text);
    }
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "x"]);
    fs::remove_file(root.join("gone")).unwrap();
    write(root, "tracked", "changed");
    write(root, "ignored", "no");
    write(root, "sub/untracked.sh", "#!/bin/sh");
    write(root, ".fleetest/store", "no");
    fs::set_permissions(root.join("sub/untracked.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("../tracked", root.join("sub/inside")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("../../outside", root.join("sub/escape")).unwrap();
    let packed = pack(root, TREE_LIMIT_BYTES).unwrap();
    let expected = BTreeMap::from(
        [
            (".gitignore", "644 ignored\n"),
            ("dangling", "-> nowhere"),
            (&*long, "644 long"),
            ("sub/inside", "-> ../tracked"),
            ("sub/untracked.sh", "755 #!/bin/sh"),
            ("tracked", "644 changed"),
            ("ü\n", "644 odd"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned())),
    );
    assert_eq!(content(&packed), expected);
    assert_eq!(packed.left_out, [PathBuf::from("absolute"), PathBuf::from("sub/escape")]);
    assert_eq!(packed.files, expected.len());
}

#[test]
fn a_link_through_a_link_does_not_lead_out() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("tree");
    write(&root, "a/b/file", "1");
    write(scratch.path(), "secret", "2");
    symlink("a/b", root.join("short")).unwrap();
    // As it is written it stays in the tree; as it is, it does not.
    symlink("short/../../../secret", root.join("sly")).unwrap();
    let packed = pack(&root, TREE_LIMIT_BYTES).unwrap();
    assert_eq!(packed.left_out, [PathBuf::from("sly")]);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let tree = || {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["b", "a/z", "a/b", "c"] {
            write(scratch.path(), name, name);
        }
        write(scratch.path(), ".git/config", "no");
        scratch
    };
    let (one, other) = (tree(), tree());
    File::open(other.path().join("b")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let (one, other) =
        (pack(one.path(), TREE_LIMIT_BYTES).unwrap(), pack(other.path(), TREE_LIMIT_BYTES).unwrap());
    assert_eq!(bytes(&one), bytes(&other));
    assert_eq!(content(&one).len(), 4);
}

#[test]
fn too_much_is_refused_with_the_largest_file_named() {
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), "small", "1");
    write(scratch.path(), "big/model.bin", "12345678");
    let problem = pack(scratch.path(), 8).unwrap_err();
    assert_eq!(problem.exit().code(), 2);
    assert!(problem.to_string().contains("too large"), "{problem}");
    assert!(problem.next_step().unwrap().contains("big/model.bin"));
    assert!(pack(scratch.path(), 9).is_ok());
}
