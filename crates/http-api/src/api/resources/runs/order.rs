//! From the body of a request to the spec of a run.

use crate::api::problem::Problem;
use crate::api::wire::NewRunBody;
use shared::domain::config;
use shared::domain::filter::Filter;
use shared::domain::project::Project;
use shared::domain::spec::{JOB_TIMEOUT_MS, RunSpec, Source, SuiteSpec};

const MS: u64 = 1000;
const REASON_CHARS: usize = 500;

/// A text of people, cut to what a list can show.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON_CHARS).collect()
}

/// What the run is to do.
///
/// # Errors
/// 422 at the part of the body that is wrong.
pub(in crate::api) fn spec(project: &Project, body: &NewRunBody) -> Result<RunSpec, Problem> {
    let text = body.config.as_deref().or(project.config.as_deref());
    let config = text
        .map(|text| config::parse("fleetest.toml", text, None))
        .transpose()
        .map_err(|error| Problem::invalid("/config", error.to_string()))?
        .unwrap_or_default();
    if let Some(filter) = &body.filter {
        Filter::parse(filter).map_err(|error| Problem::invalid("/filter", error.to_string()))?;
    }
    let suites = chosen(config.suites, &body.suites)?;
    let limits: u64 = suites.iter().map(|suite| suite.timeout_ms).sum();
    let asked = body.timeout_s.map(|seconds| u64::from(seconds) * MS);
    Ok(RunSpec {
        project: project.id.clone(),
        source: source(project, body)?,
        commit: body.commit.clone(),
        branch: body.branch.clone(),
        suites,
        fail_fast: body.fail_fast.or(config.fail_fast),
        filter: body.filter.clone(),
        chosen: Vec::new(),
        timeout_ms: asked.or(config.timeout_ms).unwrap_or_else(|| limits.max(JOB_TIMEOUT_MS)),
    })
}

fn chosen(mut suites: Vec<SuiteSpec>, names: &[String]) -> Result<Vec<SuiteSpec>, Problem> {
    if let Some(unknown) = names.iter().find(|name| suites.iter().all(|suite| suite.name != **name)) {
        return Err(Problem::invalid("/suites", format!("there is no suite `{unknown}`")));
    }
    suites.retain(|suite| names.is_empty() || names.contains(&suite.name));
    Ok(suites)
}

fn source(project: &Project, body: &NewRunBody) -> Result<Source, Problem> {
    let Some(url) = &project.repository else {
        return Err(Problem::invalid("/ref", format!("`{}` has no repository; give it one", project.id)));
    };
    let commit = body.r#ref.clone().unwrap_or_else(|| project.default_branch.clone());
    Ok(Source::Git { url: url.clone(), commit })
}
