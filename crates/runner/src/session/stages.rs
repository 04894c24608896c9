//! The stages before discovery: source, set-up, and the context that the driver gets.

use super::Session;
use super::control::Phase;
use crate::config::RunnerConfig;
use crate::driver::{CaseFilter, JobContext};
use crate::setup;
use crate::source::{self, Means, SourceError};
use shared::domain::verdict::{Cause, CauseCode};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Session {
    /// Fetches the source, runs the set-up commands and says what the driver may know.
    pub(super) fn prepare(&self, config: &RunnerConfig) -> Result<JobContext, Cause> {
        self.control.enter(Phase::Source);
        let means = Means {
            scratch: self.scratch(),
            environment: &config.git,
            link: &self.link,
            control: &self.control,
        };
        let source = source::provide(&self.grant.source, means).map_err(|error| source_failed(&error))?;
        let root = working_dir(&source, &self.grant.job.suite.working_dir)?;
        let scratch = self.scratch().join("driver");
        std::fs::create_dir(&scratch)
            .map_err(|error| Cause::new(CauseCode::Internal, format!("no scratch directory: {error}")))?;
        let outbox = Arc::clone(&self.outbox);
        let context = JobContext {
            job: self.grant.job.clone(),
            root,
            scratch,
            env: self.environment(),
            slots: self.grant.job.suite.slots.unwrap_or(config.slots).max(1),
            filter: self.case_filter(config)?,
            log: Arc::new(move |name, text| outbox.log(name, text)),
        };
        self.control.enter(Phase::Setup);
        setup::run(&context, &self.control)?;
        Ok(context)
    }

    fn case_filter(&self, config: &RunnerConfig) -> Result<CaseFilter, Cause> {
        match &self.grant.filter {
            None => Ok(Arc::new(|_| true)),
            Some(expression) => (config.filter)(expression).map_err(|problem| {
                let message = format!("the filter `{expression}` cannot be used: {problem}");
                Cause::new(CauseCode::DiscoveryFailed, message)
            }),
        }
    }

    /// What children get on top of the runner's own environment; our own names win over the suite's.
    fn environment(&self) -> BTreeMap<String, String> {
        let grant = &self.grant;
        let mut environment = grant.job.suite.env.clone();
        environment.extend(grant.secrets.clone());
        let matrix = |(dimension, value): (&String, &String)| (matrix_variable(dimension), value.clone());
        environment.extend(grant.job.cell.iter().map(matrix));
        environment.extend([
            ("FLEETEST".to_owned(), "1".to_owned()),
            ("FLEETEST_RUN".to_owned(), grant.run.to_string()),
            ("FLEETEST_JOB".to_owned(), grant.job.name.clone()),
            ("FLEETEST_SHARD".to_owned(), grant.shard.to_string()),
            ("FLEETEST_SHARDS".to_owned(), grant.shards.to_string()),
        ]);
        environment
    }
}

fn matrix_variable(dimension: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("FLEETEST_MATRIX_{}", dimension.chars().map(plain).collect::<String>())
}

fn source_failed(error: &SourceError) -> Cause {
    Cause { code: CauseCode::SourceFailed, message: error.to_string(), detail: error.detail() }
}

/// The suite's directory, which must exist inside the source.
fn working_dir(source: &Path, working_dir: &str) -> Result<PathBuf, Cause> {
    if working_dir.is_empty() {
        return Ok(source.to_owned());
    }
    let failed = |reason: &str| {
        let message = format!("the suite's working directory `{working_dir}` {reason}; check `working_dir`");
        Cause::new(CauseCode::SourceFailed, message)
    };
    let source =
        std::fs::canonicalize(source).map_err(|error| failed(&format!("cannot be used: {error}")))?;
    match std::fs::canonicalize(source.join(working_dir)) {
        Ok(path) if !path.starts_with(&source) => Err(failed("lies outside the source")),
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) | Err(_) => Err(failed("does not exist in the source")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_directory_stays_inside_the_source() {
        let scratch = tempfile::tempdir().unwrap();
        let source = scratch.path().join("source");
        std::fs::create_dir_all(source.join("sub")).unwrap();
        assert!(working_dir(&source, "").unwrap().ends_with("source"));
        assert!(working_dir(&source, "sub").unwrap().ends_with("source/sub"));
        for (dir, reason) in [("nope", "does not exist"), ("..", "outside"), ("/", "outside")] {
            let message = working_dir(&source, dir).unwrap_err().message;
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_dimension_becomes_a_variable() {
        assert_eq!(matrix_variable("python-version"), "FLEETEST_MATRIX_PYTHON_VERSION");
    }
}
