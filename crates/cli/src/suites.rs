//! The suites of a project: from its `fleetest.toml`, or found by looking at its files.

use crate::exit::Problem;
use runner::scan::scan;
use shared::domain::config;
use shared::domain::detect::detect;
use shared::domain::spec::SuiteSpec;
use std::fs;
use std::io;
use std::path::Path;

/// Name of the configuration file, in the root of the source.
pub const FILE: &str = "fleetest.toml";

/// Suites, and how they were found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The suites.
    pub suites: Vec<SuiteSpec>,
    /// Limit for the whole run from the configuration, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Limit of failures from the configuration.
    pub fail_fast: Option<u32>,
    /// What was detected and why; empty if configured.
    pub reasons: Vec<String>,
}

/// Finds the suites of the source in `root`.
///
/// # Errors
/// A broken configuration (usage), or nothing found at all.
pub fn find(root: &Path) -> Result<Found, Problem> {
    let path = root.join(FILE);
    let configured = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Problem::usage(format!("`{}` cannot be read", path.display())).because(error));
        }
    };
    let needs_detection = configured.as_deref().is_none_or(|text| config::parse(FILE, text, None).is_err());
    let detected = if needs_detection { Some(look(root)?) } else { None };
    let framework = detected.as_ref().and_then(|found| match found.suites.as_slice() {
        [only] => Some(only.framework),
        _ => None,
    });
    let Some(text) = configured else {
        let found = detected.unwrap_or_default();
        return if found.suites.is_empty() { Err(nothing(root)) } else { Ok(found) };
    };
    let config = config::parse(FILE, &text, framework).map_err(|error| Problem::usage(error.to_string()))?;
    let mut found = Found { timeout_ms: config.timeout_ms, fail_fast: config.fail_fast, ..Found::default() };
    if config.suites.is_empty() {
        let detected = detected.map_or_else(|| look(root), Ok)?;
        if detected.suites.is_empty() {
            return Err(nothing(root));
        }
        found.suites = detected.suites;
        found.reasons = detected.reasons;
    } else {
        found.suites = config.suites;
    }
    Ok(found)
}

/// What the files say; nothing recognised is an empty answer here.
fn look(root: &Path) -> Result<Found, Problem> {
    let listing = scan(root).map_err(|error| {
        Problem::could_not_run(format!("`{}` cannot be listed", root.display())).because(error)
    })?;
    let mut found = Found::default();
    for detected in detect(&listing.files, &listing.manifests).unwrap_or_default() {
        found.reasons.push(format!("detected {}: {}", detected.suite.name, detected.because));
        found.suites.push(detected.suite);
    }
    Ok(found)
}

fn nothing(root: &Path) -> Problem {
    let listing = scan(root).unwrap_or_default();
    match detect(&listing.files, &listing.manifests) {
        Err(error) => Problem::no_tests(error.to_string()),
        Ok(_) => Problem::no_tests(format!("`{}` has no tests", root.display())),
    }
}
