//! What someone asks for when they start a run, and the spec that it becomes.
//!
//! A request, a schedule and a webhook give the same order; all of them are checked here.

use super::address::Reference;
use super::config;
use super::filter::Filter;
use super::id::SourceId;
use super::project::Project;
use super::resolve::{named, timeout_ms};
use super::spec::{Archive, RunSpec, Source, Unresolved};
use serde::{Deserialize, Serialize};

const MS: u64 = 1000;
/// Longest limit of a run, in seconds.
const TIMEOUT_LIMIT_S: u32 = 24 * 60 * 60;
/// Largest priority, either way.
const PRIORITY_LIMIT: u32 = 100;
/// Longest configuration.
const CONFIG_LIMIT_BYTES: usize = 64 * 1024;
/// Longest filter.
const FILTER_LIMIT_BYTES: usize = 4096;
/// Most names of suites.
const SUITES_LIMIT: usize = 100;

/// What is asked for; every part may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOrder {
    /// Branch, tag or commit; without one, the project's default branch.
    pub reference: Option<String>,
    /// An uploaded source instead.
    pub source: Option<SourceId>,
    /// The commit that the uploaded source was made of.
    pub commit: Option<String>,
    /// The branch, if it is not the reference.
    pub branch: Option<String>,
    /// Number of the pull request.
    pub pull_request: Option<u64>,
    /// A `fleetest.toml` to be used instead of the commit's own.
    pub config: Option<String>,
    /// Only these suites.
    pub suites: Vec<String>,
    /// Only cases that match this expression.
    pub filter: Option<String>,
    /// Stop after this many failed cases.
    pub fail_fast: Option<u32>,
    /// Limit for the whole run, in seconds.
    pub timeout_s: Option<u32>,
    /// Runs with a higher number are started first.
    pub priority: i32,
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Wrong {
    /// JSON pointer to the part, with the names of the API.
    pub pointer: &'static str,
    /// What is wrong with it, and what to do.
    pub detail: String,
}

fn wrong(pointer: &'static str, detail: impl Into<String>) -> Wrong {
    Wrong { pointer, detail: detail.into() }
}

impl RunOrder {
    /// The spec of the run. `archive` is the uploaded source, if the order names one.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn spec(&self, project: &Project, archive: Option<Archive>) -> Result<RunSpec, Wrong> {
        self.check()?;
        // A commit may have a configuration of its own; an archive is never looked into.
        let fallback = project.config.as_deref();
        let text = self.config.as_deref().or(fallback.filter(|_| archive.is_some()));
        let config = text.map(|text| config::parse("fleetest.toml", text, None)).transpose();
        let config = config.map_err(|error| wrong("/config", error.to_string()))?.unwrap_or_default();
        let configured = !config.suites.is_empty();
        let suites = if configured {
            named(config.suites.clone(), &self.suites)
                .map_err(|unknown| wrong("/suites", format!("there is no suite `{unknown}`")))?
        } else {
            Vec::new()
        };
        let source = match archive {
            Some(_) if !configured => return Err(wrong("/config", NO_SUITES)),
            Some(archive) => Source::Archive(archive),
            None => self.repository(project, configured)?,
        };
        let asked = self.timeout_s.map(|seconds| u64::from(seconds) * MS);
        Ok(RunSpec {
            project: project.id.clone(),
            commit: self.commit.clone().or_else(|| commit_of(&source)),
            source,
            branch: self.branch.clone(),
            timeout_ms: asked.unwrap_or_else(|| timeout_ms(&config, &suites)),
            suites,
            fail_fast: self.fail_fast.or(config.fail_fast),
            filter: self.filter.clone(),
            chosen: Vec::new(),
        })
    }

    fn repository(&self, project: &Project, configured: bool) -> Result<Source, Wrong> {
        let Some(url) = &project.repository else {
            let detail = format!("`{}` has no repository; give it one, or upload a source", project.id);
            return Err(wrong("/ref", detail));
        };
        let name = self.reference.as_deref().unwrap_or(&project.default_branch);
        let reference = Reference::parse(name).map_err(|error| wrong("/ref", error.to_string()))?;
        if reference.is_commit() && configured {
            return Ok(Source::Git { url: url.clone(), commit: name.to_owned() });
        }
        Ok(Source::Reference(Unresolved {
            url: url.clone(),
            reference: name.to_owned(),
            suites: self.suites.clone(),
            config: self.config.clone().or_else(|| project.config.clone()),
            config_wins: self.config.is_some(),
            timeout_asked: self.timeout_s.is_some(),
        }))
    }

    fn check(&self) -> Result<(), Wrong> {
        if let Some(filter) = &self.filter {
            if filter.len() > FILTER_LIMIT_BYTES {
                return Err(wrong("/filter", format!("a filter has at most {FILTER_LIMIT_BYTES} bytes")));
            }
            Filter::parse(filter).map_err(|error| wrong("/filter", error.to_string()))?;
        }
        if self.config.as_ref().is_some_and(|text| text.len() > CONFIG_LIMIT_BYTES) {
            return Err(wrong("/config", format!("a configuration has at most {CONFIG_LIMIT_BYTES} bytes")));
        }
        if self.suites.len() > SUITES_LIMIT {
            return Err(wrong("/suites", format!("at most {SUITES_LIMIT} suites can be named")));
        }
        if self.fail_fast == Some(0) {
            return Err(wrong("/fail_fast", "with 0 nothing would run; leave it out to run everything"));
        }
        if self.timeout_s.is_some_and(|seconds| !(1..=TIMEOUT_LIMIT_S).contains(&seconds)) {
            return Err(wrong("/timeout_s", format!("a limit is 1 to {TIMEOUT_LIMIT_S} seconds")));
        }
        if self.priority.unsigned_abs() > PRIORITY_LIMIT {
            return Err(wrong("/priority", "a priority is -100 to 100"));
        }
        self.check_names()
    }

    fn check_names(&self) -> Result<(), Wrong> {
        let printable =
            |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
        if self.branch.as_deref().is_some_and(|branch| !printable(branch)) {
            return Err(wrong("/branch", "a branch has 1 to 255 printable characters"));
        }
        match (&self.source, &self.commit) {
            (Some(_), _) if self.reference.is_some() => {
                Err(wrong("/ref", "an uploaded source has no `ref`; give `commit` and `branch` for display"))
            }
            (None, Some(_)) => Err(wrong("/commit", "name the commit as `ref`; `commit` goes with `source`")),
            (Some(_), Some(commit)) if !is_commit_id(commit) => {
                Err(wrong("/commit", "a commit has 7 to 64 hexadecimal digits"))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// Why an archive without a configuration is refused.
const NO_SUITES: &str = "an uploaded source is not looked into: send its `fleetest.toml`, or suites, as `config`, or \
     give the project a default one";

fn is_commit_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn commit_of(source: &Source) -> Option<String> {
    match source {
        Source::Git { commit, .. } => Some(commit.clone()),
        Source::Directory { .. } | Source::Reference(_) | Source::Archive(_) | Source::Snapshot(_) => None,
    }
}
