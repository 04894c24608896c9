//! `fleetest.toml`: from text to suites, strictly, with every problem reported at once.
//!
//! Nothing is guessed and nothing is skipped: an unknown key, a wrong type or an impossible number is a problem with
//! its place and what to do about it. What comes out can be run; finding the file and detecting a framework are the
//! caller's work.

mod duration;
mod expand;
mod needs;
mod place;
mod reader;
mod schema;
mod suite;

pub use duration::{DurationError, parse_duration_ms};
pub use expand::{ExpandError, MAX_JOBS, expand, jobs};
pub use schema::schema_json;
pub use suite::SUITE_KEYS;

use super::spec::{Framework, SuiteSpec};
use reader::{Reader, ordered};
use std::fmt;
use suite::ReadSuite;
use toml::de::DeTable;

/// Keys outside of suites.
pub const RUN_KEYS: [&str; 3] = ["fail_fast", "suite", "timeout"];
/// The usual name of the file.
pub const FILE_NAME: &str = "fleetest.toml";

/// A parsed configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Suites in the order of the file; none = detect.
    pub suites: Vec<SuiteSpec>,
    /// Limit for the whole run, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Stop after this many final failures.
    pub fail_fast: Option<u32>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What and why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Everything that is wrong with a file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file's name, as it is printed.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let Problem { line, column, message, hint } = problem;
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{line}:{column}: {message} ({hint})", self.file)?;
        }
        Ok(())
    }
}

/// Parses the text of `file`. A suite that names no framework gets the one that was `detected` for the project.
///
/// # Errors
/// With all problems of the file.
pub fn parse(file: &str, text: &str, detected: Option<Framework>) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.problem(
            error.span().unwrap_or_default(),
            error.message().trim().replace('\n', ", "),
            "the file must be valid TOML",
        );
    }
    let mut config = Config::default();
    // What the TOML parser made of a broken file is not worth complaints of its own.
    if errors.is_empty() {
        config = read(&mut reader, document.get_ref(), detected);
    }
    match reader.into_problems() {
        problems if problems.is_empty() => Ok(config),
        problems => Err(ConfigError { file: file.to_owned(), problems }),
    }
}

fn read(reader: &mut Reader<'_>, document: &DeTable<'_>, detected: Option<Framework>) -> Config {
    let mut config = Config::default();
    let mut suites = Vec::new();
    for (key, value) in ordered(document) {
        match key.get_ref().as_ref() {
            "timeout" => config.timeout_ms = reader.duration_ms("timeout", value),
            "fail_fast" => config.fail_fast = reader.number("fail_fast", value, 1..=1_000_000),
            "suite" => match value.get_ref().as_table() {
                Some(tables) => suites = suite::read_all(reader, tables, detected),
                None => {
                    let message = format!("`suite` must hold tables, not {}", reader::kind(value.get_ref()));
                    reader.problem(
                        value.span(),
                        message,
                        "write `[suite.NAME]` and the suite's keys below it",
                    );
                }
            },
            unknown => reader.unknown_key(key.span(), unknown, &RUN_KEYS),
        }
    }
    needs::check(reader, &suites);
    check_jobs(reader, &suites);
    config.suites = suites.into_iter().map(|read| read.spec).collect();
    config
}

/// What only the expanded jobs show: how many there are, and paths made of matrix values.
fn check_jobs(reader: &mut Reader<'_>, suites: &[ReadSuite]) {
    let specs: Vec<SuiteSpec> = suites.iter().map(|read| read.spec.clone()).collect();
    let last = suites.last().map(|read| read.at.clone()).unwrap_or_default();
    match expand(&specs) {
        Err(error) => reader.problem(last, error.to_string(), error.hint()),
        Ok(jobs) => {
            for (job, path) in jobs.iter().flat_map(|job| job.suite.paths.iter().map(move |path| (job, path)))
            {
                let written = specs.iter().any(|spec| spec.paths.contains(path));
                if let (false, Some(reason)) = (written, reader::path_problem(path)) {
                    let read = suites.iter().find(|read| read.spec.name == job.suite.name);
                    let at = read.and_then(|read| read.key_at("paths")).unwrap_or_default();
                    let message = format!("`paths` of job `{}` becomes `{path}`, which {reason}", job.name);
                    reader.problem(at, message, "change the matrix value or the path");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
