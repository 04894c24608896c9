//! Lists a project's files for detection, within bounds.

use shared::domain::detect::{
    DEPTH_LIMIT, FILES_LIMIT, Listing, MANIFEST_LIMIT_BYTES, is_folder_listed, is_manifest,
};
use std::io::{self, Read as _};
use std::path::Path;
use walkdir::{DirEntry, WalkDir};

/// Lists the files of a project; hidden folders, virtual environments and built things are left out.
///
/// # Errors
/// If `root` is no directory that can be read.
pub fn scan(root: &Path) -> io::Result<Listing> {
    // WalkDir would report a missing root as one bad entry among others.
    drop(std::fs::read_dir(root)?);
    let mut listing = Listing::default();
    let walk = WalkDir::new(root).max_depth(DEPTH_LIMIT).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(is_wanted).filter_map(Result::ok) {
        if !entry.file_type().is_file() {
            continue;
        }
        if listing.files.len() >= FILES_LIMIT {
            listing.truncated = true;
            break;
        }
        let Some(path) = entry.path().strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        if is_manifest(path) {
            listing.manifests.insert(path.to_owned(), text(entry.path()));
        }
        listing.files.push(path.to_owned());
    }
    Ok(listing)
}

fn is_wanted(entry: &DirEntry) -> bool {
    if entry.depth() == 0 || !entry.file_type().is_dir() {
        return true;
    }
    let name = entry.file_name().to_string_lossy();
    let environment = || entry.path().join("pyvenv.cfg").is_file();
    is_folder_listed(&name) && !environment()
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MANIFEST_LIMIT_BYTES).read_to_end(&mut bytes));
    // A manifest that cannot be read says nothing; the framework will complain about it.
    if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_belongs_to_the_project() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            "Cargo.toml",
            "src/lib.rs",
            "tests/test_a.py",
            ".git/config",
            ".hidden/test_b.py",
            "target/x/Cargo.toml",
            "node_modules/y/test_c.py",
            "myenv/pyvenv.cfg",
            "myenv/lib/test_d.py",
            ".pytest.ini",
            "a/b/Cargo.toml",
        ];
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "text").unwrap();
        }
        let listing = scan(root.path()).unwrap();
        let expect = [".pytest.ini", "Cargo.toml", "a/b/Cargo.toml", "src/lib.rs", "tests/test_a.py"];
        assert_eq!(listing.files, expect);
        assert_eq!(listing.manifests.keys().collect::<Vec<_>>(), [".pytest.ini", "Cargo.toml"]);
        assert!(!listing.truncated);
        assert!(scan(&root.path().join("missing")).is_err());
    }
}
