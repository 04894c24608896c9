//! Report files: which of them the command wrote, and reading them.
//!
//! A file counts only if it appeared or changed while the command ran. One that matches and did not change is from
//! another run: it is never counted, and it is a problem, because nobody can tell what it stands for.

use super::judge::Problem;
use crate::glob;
use crate::parse::{ParseReport, ReportCase, junit, tap};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Standard output is kept up to this size to be read as TAP.
const SPOOL_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A report to be read, perhaps more than once.
#[derive(Debug)]
pub(super) struct Report {
    /// Relative to the suite's directory, for messages.
    pub(super) name: String,
    path: PathBuf,
    root: PathBuf,
}

impl Report {
    /// Reads it and hands out its cases, their files relative to the suite's directory.
    pub(super) fn read(&self, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
        self.read_raw(&mut |mut case| {
            if let Some(file) = &mut case.file {
                let inside = Path::new(file.as_str()).strip_prefix(&self.root).ok().and_then(Path::to_str);
                *file = inside.unwrap_or(file).trim_start_matches("./").to_owned();
            }
            each(case);
        })
    }

    fn read_raw(&self, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
        let mut input = match File::open(&self.path) {
            Ok(file) => BufReader::with_capacity(64 * 1024, file),
            Err(error) => return unreadable(&error),
        };
        match input.fill_buf() {
            Ok(head) if looks_like_xml(head) => junit::parse(input, each),
            Ok(_) => {
                let mut read = tap::parse(input, each);
                if !read.is_tap {
                    read.report.fail((1, 1), "this is neither JUnit XML nor TAP");
                } else if let Some(reason) = read.skipped_all
                    && read.report.cases == 0
                {
                    let mut case = ReportCase::passed("", "(all)");
                    case.outcome = shared::domain::outcome::Outcome::Skipped;
                    case.reason = Some(reason);
                    read.report.cases = 1;
                    each(case);
                }
                read.report
            }
            Err(error) => unreadable(&error),
        }
    }
}

fn unreadable(error: &std::io::Error) -> ParseReport {
    let mut report = ParseReport::default();
    report.fail((1, 1), format!("cannot read the file: {error}"));
    report
}

fn looks_like_xml(head: &[u8]) -> bool {
    let marks: [&[u8]; 5] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"];
    let text = head.iter().find(|byte| !byte.is_ascii_whitespace());
    head.is_empty()
        || text == Some(&b'<')
        || marks.iter().any(|mark| head.starts_with(mark))
        || head.windows(10).take(64 * 1024).any(|window| window == b"<testsuite")
}

/// What tells one version of a file from the next.
type Version = (u64, i64, i64, i64, i64, u64);

fn version(meta: &Metadata) -> Version {
    (meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.ino())
}

/// The matching files at one moment.
pub(super) struct Snapshot {
    files: BTreeMap<String, Version>,
}

impl Snapshot {
    pub(super) fn take(root: &Path, globs: &[String]) -> Self {
        let found = glob::find(root, globs);
        let files = found.into_iter().map(|(name, meta)| (name, version(&meta))).collect();
        Self { files }
    }

    /// What was written since the snapshot, and what is wrong with the rest.
    pub(super) fn changes(&self, root: &Path, globs: &[String]) -> (Vec<Report>, Vec<Problem>) {
        let now = Self::take(root, globs);
        let (mut fresh, mut stale) = (Vec::new(), Vec::new());
        for (name, version) in &now.files {
            if self.files.get(name) == Some(version) {
                stale.push(name.as_str());
            } else {
                let (path, root) = (root.join(name), root.to_path_buf());
                fresh.push(Report { name: name.clone(), path, root });
            }
        }
        let mut problems = Vec::new();
        if !stale.is_empty() {
            let listed = stale.iter().take(3).copied().collect::<Vec<_>>().join("`, `");
            problems.push(Problem::report(format!(
                "{} matching report file(s) are older than this run and were not counted (`{listed}`): \
                 remove them before the command, or make the command run its tests although nothing changed",
                stale.len(),
            )));
        }
        if fresh.is_empty() && stale.is_empty() {
            let globs = globs.join("`, `");
            problems.push(Problem::report(format!("the command wrote no file that matches `{globs}`")));
        }
        (fresh, problems)
    }
}

/// Standard output on disk, in case it turns out to be TAP.
pub(super) struct Spool {
    path: PathBuf,
    file: Option<File>,
    size_bytes: u64,
    wanted: bool,
}

impl Spool {
    pub(super) fn new(scratch: &Path, slot: u32, wanted: bool) -> Self {
        let path = scratch.join(format!("stdout-{slot}"));
        let file = if wanted { File::create(&path).ok() } else { None };
        Self { path, file, size_bytes: 0, wanted }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > SPOOL_LIMIT_BYTES {
            self.file = None;
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_err()
        {
            // A full disk costs the TAP reading, not the run: the exit code still counts.
            self.file = None;
        }
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// The output as a report, if it is TAP.
    pub(super) fn report(&self, root: &Path) -> Option<Report> {
        if !self.wanted || self.size_bytes == 0 {
            return None;
        }
        let input = BufReader::with_capacity(64 * 1024, File::open(&self.path).ok()?);
        let mut points = 0_u64;
        let read = tap::parse(input, &mut |_case| points += 1);
        let is_tap = read.is_tap && (points > 0 || read.skipped_all.is_some());
        let (path, root) = (self.path.clone(), root.to_path_buf());
        is_tap.then(|| Report { name: "standard output".to_owned(), path, root })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.wanted {
            let _gone_with_the_scratch_directory_at_last = std::fs::remove_file(&self.path);
        }
    }
}
