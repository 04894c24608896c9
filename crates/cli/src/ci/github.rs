//! What GitHub Actions shows of a run: a summary in Markdown, annotations at the lines that failed.
//!
//! Names and messages come from tests, which are hostile: in a workflow command every separator is escaped, in
//! Markdown every character that could mean something, and while test output is printed commands are switched off.

use super::is_commit;
use crate::line::{clean, cut_end};
use crate::progress::terminal::write_plain;
use serde::Deserialize;
use shared::domain::report::CaseRecord;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Most annotations of one run.
pub const ANNOTATIONS: usize = 50;
const NAME_COLUMNS: usize = 300;
const MESSAGE_COLUMNS: usize = 500;

/// Where GitHub Actions takes things from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitHub {
    /// File that the job's summary is appended to.
    pub summary: Option<PathBuf>,
    /// Where the repository is checked out.
    pub workspace: Option<PathBuf>,
    /// File with the event that made the job.
    pub event: Option<PathBuf>,
}

/// An event, as much of it as is read.
#[derive(Debug, Deserialize)]
struct Event {
    pull_request: Change,
}

#[derive(Debug, Deserialize)]
struct Change {
    head: Head,
}

#[derive(Debug, Deserialize)]
struct Head {
    sha: String,
}

/// A case that failed, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedCase {
    /// Name of its job.
    pub job: String,
    /// Its id.
    pub case: String,
    /// How it failed: `failed`, `errored`, `timed_out` or `crashed`.
    pub outcome: String,
    /// Source file, relative to the project.
    pub file: Option<String>,
    /// Line in the file, counted from 1.
    pub line: Option<u32>,
    /// One sentence.
    pub message: String,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// `passed`, `failed`, `errored`, `cancelled` or `timed_out`.
    pub verdict: String,
    /// Id of the run.
    pub run: String,
    /// What happened, in a few words: `2 of 100 tests in 3s`.
    pub sentence: String,
    /// Why it could not be judged, if it could not.
    pub cause: Option<String>,
    /// Of the failed cases at most [`ANNOTATIONS`].
    pub failed: Vec<FailedCase>,
    /// How many failed.
    pub failed_total: u64,
    /// The command that runs the failed ones again.
    pub rerun: Option<String>,
    /// Directory of the project, for the paths of files.
    pub root: Option<PathBuf>,
}

impl FailedCase {
    /// The case of a record, if it failed. The name of its job is not known here.
    #[must_use]
    pub fn of(record: &CaseRecord) -> Option<Self> {
        let last = record.last().filter(|last| last.outcome.is_failure())?;
        Some(Self {
            job: String::new(),
            case: last.case.0.clone(),
            outcome: last.outcome.as_str().to_owned(),
            file: last.file.clone(),
            line: last.line,
            message: last.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        })
    }

    /// The case with its job, if that is to be told.
    fn named(&self) -> String {
        if self.job.is_empty() { self.case.clone() } else { format!("{} ({})", self.case, self.job) }
    }
}

impl GitHub {
    /// The newest commit of the pull request that made the job: what is checked out is usually a merge of it that
    /// nobody else knows. `None` outside of one.
    #[must_use]
    pub fn head_of_change(&self) -> Option<String> {
        let event: Event = serde_json::from_slice(&std::fs::read(self.event.as_ref()?).ok()?).ok()?;
        Some(event.pull_request.head.sha).filter(|sha| is_commit(sha))
    }

    /// Appends to the summary of the job, and gives the annotations as lines to be printed.
    ///
    /// # Errors
    /// The summary cannot be written.
    pub fn tell(&self, told: &Told) -> io::Result<Vec<String>> {
        let prefix = self.prefix(told.root.as_deref());
        if let Some(path) = &self.summary {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(summary(told).as_bytes())?;
        }
        Ok(annotations(told, &prefix))
    }

    /// The project's folder inside the repository, ending in `/`; empty if it is the repository.
    fn prefix(&self, root: Option<&Path>) -> String {
        let inside = root.zip(self.workspace.as_deref()).and_then(|(root, top)| root.strip_prefix(top).ok());
        inside
            .map(|path| path.to_string_lossy().into_owned())
            .filter(|path| !path.is_empty())
            .map(|path| path + "/")
            .unwrap_or_default()
    }
}

/// While this lives, GitHub Actions takes nothing that is printed for a command; outside of it nothing happens.
#[derive(Debug)]
pub struct Muted {
    word: Option<String>,
}

impl Muted {
    /// Switches commands off, by a word that no test can know.
    #[must_use]
    pub fn begin(github: Option<&GitHub>) -> Self {
        let random = || getrandom::u64().ok();
        let word = github.and_then(|_| Some(format!("{:016x}{:016x}", random()?, random()?)));
        word.iter().for_each(|word| write_plain(&pause(word)));
        Self { word }
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        self.word.iter().for_each(|word| write_plain(&resume(word)));
    }
}

/// The line after which GitHub Actions takes no line for a command until [`resume`] with the same word.
#[must_use]
pub fn pause(word: &str) -> String {
    format!("::stop-commands::{word}")
}

/// The line that ends [`pause`].
#[must_use]
pub fn resume(word: &str) -> String {
    format!("::{word}::")
}

/// One workflow command for each failed case.
#[must_use]
pub fn annotations(told: &Told, prefix: &str) -> Vec<String> {
    told.failed.iter().take(ANNOTATIONS).map(|case| annotation(case, prefix)).collect()
}

fn annotation(case: &FailedCase, prefix: &str) -> String {
    let mut properties = Vec::new();
    if let Some(file) = &case.file {
        properties.push(format!("file={}", property(&format!("{prefix}{file}"))));
        properties.extend(case.line.map(|line| format!("line={line}")));
    }
    properties.push(format!("title={}", property(&format!("{}: {}", case.outcome, case.named()))));
    let message = match case.message.trim() {
        "" => case.outcome.clone(),
        message => message.to_owned(),
    };
    format!("::error {}::{}", properties.join(","), value(&message))
}

fn value(text: &str) -> String {
    let text: Vec<String> = text.lines().take(20).map(clean).collect();
    cut_end(&text.join("\n"), MESSAGE_COLUMNS).replace('%', "%25").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    value(&cut_end(&clean(text), NAME_COLUMNS)).replace(':', "%3A").replace(',', "%2C")
}

/// The summary of the job in Markdown.
#[must_use]
pub fn summary(told: &Told) -> String {
    let mut text = format!("### {} {}\n\n", sign(&told.verdict), markdown(&told.sentence));
    if let Some(cause) = &told.cause {
        text.push_str(&format_line(cause));
    }
    if !told.failed.is_empty() {
        text.push_str("| | Case | Where | Why |\n|---|---|---|---|\n");
        for case in told.failed.iter().take(ANNOTATIONS) {
            text.push_str(&table_row(case));
        }
        text.push('\n');
    }
    let hidden = told.failed_total.saturating_sub(u64::try_from(told.failed.len()).unwrap_or(u64::MAX));
    if hidden > 0 {
        text.push_str(&format_line(&format!("and {hidden} more")));
    }
    if let Some(rerun) = &told.rerun {
        text.push_str(&format_line(&format!("Run what failed again: {rerun}")));
    }
    text.push_str(&format_line(&told.run));
    text
}

fn format_line(text: &str) -> String {
    markdown(text) + "\n\n"
}

fn table_row(case: &FailedCase) -> String {
    let place = match (&case.file, case.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => String::new(),
    };
    let cells = [&case.outcome, &case.named(), &place, &case.message];
    let cells: String = cells.iter().map(|cell| format!(" {} |", markdown(cell))).collect();
    format!("|{cells}\n")
}

fn sign(verdict: &str) -> &'static str {
    match verdict {
        "passed" => "✅ Passed:",
        "failed" => "❌ Failed:",
        "cancelled" => "⏹️ Cancelled:",
        "timed_out" => "⏱️ Timed out:",
        _ => "⚠️ Could not be judged:",
    }
}

/// The text as Markdown that shows it letter by letter, on one line.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut shown = String::new();
    for c in cut_end(clean(text).trim(), MESSAGE_COLUMNS).chars() {
        match c {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            c if c.is_ascii_punctuation() => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn case(name: &str, message: &str) -> FailedCase {
        FailedCase {
            job: "unit".to_owned(),
            case: name.to_owned(),
            outcome: "failed".to_owned(),
            file: Some("tests/test_a.py".to_owned()),
            line: Some(7),
            message: message.to_owned(),
        }
    }

    fn told(failed: Vec<FailedCase>) -> Told {
        Told {
            verdict: "failed".to_owned(),
            run: "run_1".to_owned(),
            sentence: "2 of 100 tests in 3s".to_owned(),
            failed_total: u64::try_from(failed.len()).unwrap(),
            failed,
            rerun: Some("fleetest rerun run_1 --failed".to_owned()),
            ..Told::default()
        }
    }

    #[test]
    fn a_failed_run_is_told() {
        let mut told = told(vec![case("tests/test_a.py::test_b[1-2]", "assert 1 == 2\nwhere 1 = f()")]);
        told.failed_total = 3;
        insta::assert_snapshot!(format!("{}\n{}", summary(&told), annotations(&told, "api/").join("\n")));
    }

    #[test]
    fn hostile_names_command_nothing() {
        let name = "x\n::set-env name=PATH::/evil\r::error::, file=y:z%0A::add-mask::q\u{1b}[2J";
        let lines = annotations(&told(vec![case(name, name)]), "");
        assert_eq!(lines.len(), 1);
        let (properties, message) = lines[0].strip_prefix("::error ").unwrap().split_once("::").unwrap();
        assert_eq!(properties.split(',').count(), 3, "no property was added: {properties}");
        assert!(!lines[0].contains(['\n', '\r', '\u{1b}']));
        assert!(message.contains("%250A"), "an escape of theirs is no escape of ours: {message}");
    }

    #[test]
    fn hostile_names_mark_nothing_up() {
        let name =
            "a|b\n# big <script>x</script> [y](javascript:z) ![i](https://e.org/i) `q` *s* &lt; www.e.org";
        let text = summary(&told(vec![case(name, name)]));
        insta::assert_snapshot!(text);
        assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 1);
        assert!(!text.contains("<script>") && !text.contains("](j") && !text.contains("https://"));
    }

    #[test]
    fn at_most_fifty_are_annotated() {
        let told = told((0..80).map(|n| case(&n.to_string(), "")).collect());
        assert_eq!(annotations(&told, "").len(), ANNOTATIONS);
        assert_eq!(summary(&told).lines().filter(|line| line.starts_with("| failed |")).count(), ANNOTATIONS);
    }

    #[test]
    fn the_event_names_the_commit_of_a_change() {
        let scratch = tempfile::tempdir().unwrap();
        let event = scratch.path().join("event.json");
        let github = GitHub { event: Some(event.clone()), ..GitHub::default() };
        assert_eq!(github.head_of_change(), None, "there is no event");
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let change =
            |sha: &str| format!(r#"{{"number": 1, "pull_request": {{"head": {{"sha": "{sha}"}}}}}}"#);
        for (text, expected) in
            [(change(sha), Some(sha)), (change("main"), None), (r#"{"ref": "x"}"#.to_owned(), None)]
        {
            std::fs::write(&event, text).unwrap();
            assert_eq!(github.head_of_change().as_deref(), expected);
        }
    }

    #[test]
    fn the_summary_is_appended_and_paths_start_at_the_repository() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("summary.md");
        std::fs::write(&path, "before\n").unwrap();
        let github = GitHub {
            summary: Some(path.clone()),
            workspace: Some(PathBuf::from("/w/repo")),
            ..GitHub::default()
        };
        let mut told = told(vec![case("t", "m")]);
        told.root = Some(PathBuf::from("/w/repo/api"));
        let lines = github.tell(&told).unwrap();
        assert!(lines[0].starts_with("::error file=api/tests/test_a.py,line=7,"), "{lines:?}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("before\n### "));
        told.root = Some(PathBuf::from("/elsewhere"));
        assert!(github.tell(&told).unwrap()[0].starts_with("::error file=tests/"));
    }

    proptest! {
        #[test]
        fn a_command_is_always_one_line_of_three_properties(name in any::<String>(), message in any::<String>()) {
            let line = annotation(&case(&name, &message), "");
            prop_assert!(!line.contains(['\n', '\r']));
            let (properties, _) = line.strip_prefix("::error ").unwrap().split_once("::").unwrap();
            prop_assert_eq!(properties.split(',').count(), 3);
        }

        #[test]
        fn markdown_has_no_bare_punctuation(text in any::<String>()) {
            let shown = markdown(&text);
            let mut escaped = false;
            for c in shown.chars() {
                prop_assert!(escaped || !"|`*_[]()#!~\n".contains(c), "{}", shown);
                escaped = c == '\\' && !escaped;
            }
        }
    }
}
