//! The text files of the repository. Build outputs, environments and state of tools are left out.

use anyhow::{Context as _, Result};
use std::path::Path;
use walkdir::WalkDir;

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// Content.
    pub(super) text: String,
}

const SKIPPED: &[&str] =
    &["target", ".git", ".fleetest", ".venv", "__pycache__", "node_modules", ".pytest_cache", ".hypothesis"];

/// Every text file below `root`, in order. Files that are not UTF-8 are no text.
pub(super) fn files(root: &Path) -> Result<Vec<File>> {
    let walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let wanted = walk.filter_entry(|entry| !SKIPPED.iter().any(|name| entry.file_name() == *name));
    let mut found = Vec::new();
    for entry in wanted {
        let entry = entry.context("could not list the repository")?;
        if !entry.file_type().is_file() || entry.file_name() == "Cargo.lock" {
            continue;
        }
        let bytes = std::fs::read(entry.path())
            .with_context(|| format!("could not read `{}`", entry.path().display()))?;
        let path =
            entry.path().strip_prefix(root).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
        if let Ok(text) = String::from_utf8(bytes) {
            found.push(File { path, text });
        }
    }
    Ok(found)
}
