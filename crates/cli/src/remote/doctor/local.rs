//! What a local run needs.

use super::Finding;
use std::path::Path;
use std::process::{Command, Stdio};

/// The first version that knows everything that is asked of it.
const GIT_MIN: (u32, u32) = (2, 25);
const PYTHON_MIN: (u32, u32) = (3, 8);
const MIB: u64 = 1024 * 1024;
const DISK_LOW_BYTES: u64 = 2048 * MIB;
const DISK_EMPTY_BYTES: u64 = 100 * MIB;

pub(super) fn look(root: &Path) -> Vec<Finding> {
    vec![git(), python(root), disk(root), state(root)]
}

fn git() -> Finding {
    let advice = "install git 2.25 or newer; directories run without it, repositories do not";
    match printed("git", &["--version"]) {
        None => Finding::warn("git", "there is none", advice),
        Some(text) => judge("git", &text, GIT_MIN, advice),
    }
}

fn python(root: &Path) -> Finding {
    let advice = "pytest suites need Python 3.8 or newer: install it, or activate its environment";
    let own = root.join(".venv/bin/python");
    let own = own.is_file().then(|| own.display().to_string());
    let names = own.iter().map(String::as_str).chain(["python3", "python"]);
    match names.into_iter().find_map(|name| printed(name, &["--version"])) {
        None => Finding::warn("python", "there is none", advice),
        Some(text) => judge("python", &text, PYTHON_MIN, advice),
    }
}

fn judge(subject: &'static str, text: &str, min: (u32, u32), advice: &str) -> Finding {
    match version(text) {
        Some(version) if version >= min => Finding::ok(subject, text),
        Some(_) => Finding::warn(subject, format!("{text} is too old"), advice),
        None => Finding::warn(subject, format!("its version cannot be read from `{text}`"), advice),
    }
}

/// The first two numbers of a version, wherever it stands in the text.
fn version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = word.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn printed(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn disk(root: &Path) -> Finding {
    let shown = root.display();
    match nix::sys::statvfs::statvfs(root) {
        Err(error) => Finding::fail(
            "disk",
            format!("`{shown}` cannot be looked at: {error}"),
            "give an existing directory",
        ),
        Ok(stat) => {
            let free = wide(stat.blocks_available()).saturating_mul(wide(stat.fragment_size()));
            let state = format!("{} MiB free in `{shown}`", free / MIB);
            let advice = "make room: results, logs and set-up need some GiB";
            match free {
                ..DISK_EMPTY_BYTES => Finding::fail("disk", state, advice),
                DISK_EMPTY_BYTES..DISK_LOW_BYTES => Finding::warn("disk", state, advice),
                DISK_LOW_BYTES.. => Finding::ok("disk", state),
            }
        }
    }
}

/// A number that is narrower on some systems.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

/// Whether `.fleetest` can be written to, or made.
fn state(root: &Path) -> Finding {
    let folder = root.join(".fleetest");
    let place = if folder.is_dir() { folder.as_path() } else { root };
    match tempfile::Builder::new().prefix(".fleetest-doctor-").tempfile_in(place) {
        Ok(_) => Finding::ok("state", format!("`{}` can be written to", place.display())),
        Err(error) => Finding::warn(
            "state",
            format!("`{}` cannot be written to: {error}", place.display()),
            "change its owner; without it history is kept in your home, or not at all",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::doctor::Health;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("Python 3.12.3"), Some((3, 12)));
        assert_eq!(version("git version unknown"), None);
        assert_eq!(judge("git", "git version 2.7.4", GIT_MIN, "x").health, Health::Warn);
    }

    #[test]
    fn a_missing_directory_is_found_out() {
        let scratch = tempfile::tempdir().unwrap();
        let health = |root: &Path| look(root).into_iter().map(|finding| finding.health).max();
        assert_eq!(health(&scratch.path().join("gone")), Some(Health::Fail));
        assert_eq!(state(scratch.path()).health, Health::Ok);
    }
}
