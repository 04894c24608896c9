//! GitHub: one check run and one commit status for each job, under a name that is the same in every run.
//!
//! A check that is required before merging must never be green by accident: everything but `passed` is a conclusion
//! that blocks.

use super::GithubReport;
use super::parcel::{CallAuth, HttpCall, Parcel, Unsendable};
use super::rule::GithubPlace;
use super::story::{CASES_LIMIT, CaseLine, JobLine, Told, counts_text};
use crate::domain::outcome::Counts;
use crate::domain::render::one_line;
use crate::domain::secret::Secret;
use crate::domain::verdict::Verdict;
use serde_json::{Value, json};

const API: &str = "https://api.github.com";
/// What the name of every check begins with.
pub const CHECK_PREFIX: &str = "fleetest / ";
/// Identifier of the button that starts the run again.
pub const RERUN_ACTION: &str = "rerun";
const DESCRIPTION_CHARS: usize = 140;
const PATH_BYTES: usize = 1024;

pub(super) fn parcel(place: &GithubPlace, told: &Told) -> Result<Parcel, Unsendable> {
    if told.story.run.is_none() {
        return Err(Unsendable("GitHub is told about commits only; start a run instead".to_owned()));
    }
    let commit = told.story.commit.as_deref().filter(|commit| is_commit(commit));
    let commit = commit.ok_or_else(|| Unsendable("the run has no full commit id to write to".to_owned()))?;
    let jobs = jobs(told);
    let mut calls = Vec::new();
    if matches!(place.report, GithubReport::Checks | GithubReport::Both) {
        calls.extend(jobs.iter().map(|job| call(place, "check-runs", &check(told, job, commit))));
    }
    if matches!(place.report, GithubReport::Statuses | GithubReport::Both) {
        let path = format!("statuses/{commit}");
        calls.extend(jobs.iter().map(|job| call(place, &path, &status(told, job))));
    }
    Ok(Parcel::Calls(calls))
}

/// Whether a text is a whole commit id.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The jobs of the run; a run that never came to jobs is told about as a whole.
fn jobs(told: &Told) -> Vec<JobLine> {
    if !told.story.jobs.is_empty() {
        return told.story.jobs.clone();
    }
    let whole = JobLine {
        name: "run".to_owned(),
        verdict: told.story.verdict,
        cause: told.story.cause.clone(),
        counts: Counts::default(),
    };
    vec![whole]
}

fn call(place: &GithubPlace, path: &str, body: &Value) -> HttpCall {
    let GithubPlace { owner, repo, .. } = place;
    let api_url = place.api_url.as_deref().unwrap_or(API).trim_end_matches('/').to_owned();
    let url = Secret::new(format!("{api_url}/repos/{owner}/{repo}/{path}"));
    let auth = match &place.token {
        Some(token) => CallAuth::Bearer(token.clone()),
        None => CallAuth::GithubApp { api_url, owner: owner.clone(), repo: repo.clone() },
    };
    let headers = [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    HttpCall { url, headers, auth, body: body.to_string() }
}

fn name(job: &JobLine) -> String {
    format!("{CHECK_PREFIX}{}", job.name)
}

fn title(job: &JobLine) -> String {
    match (&job.cause, job.verdict) {
        (Some(cause), Verdict::Errored | Verdict::TimedOut | Verdict::Cancelled) => cause.clone(),
        _ => counts_text(&job.counts),
    }
}

fn check(told: &Told, job: &JobLine, commit: &str) -> Value {
    let failed: Vec<&CaseLine> = told.story.failures.iter().filter(|case| case.job == job.name).collect();
    let annotations: Vec<Value> =
        failed.iter().filter_map(|case| annotation(case)).take(CASES_LIMIT).collect();
    let mut body = json!({
        "name": name(job),
        "head_sha": commit,
        "external_id": told.story.run,
        "status": "completed",
        "started_at": told.story.queued_at.rfc3339(),
        "completed_at": told.story.finished_at.rfc3339(),
        "conclusion": conclusion(job.verdict),
        "output": {
            "title": one_line(&title(job), DESCRIPTION_CHARS),
            "summary": summary(job, &failed),
            "annotations": annotations,
        },
        "actions": [{
            "label": "Run again", "description": "Tests the same commit again", "identifier": RERUN_ACTION,
        }],
    });
    if let (Some(link), Some(fields)) = (&told.link, body.as_object_mut()) {
        fields.insert("details_url".to_owned(), json!(link));
    }
    body
}

fn conclusion(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "success",
        Verdict::Failed | Verdict::Errored => "failure",
        Verdict::TimedOut => "timed_out",
        Verdict::Cancelled => "cancelled",
    }
}

/// Markdown in which everything of tests stands in one fenced block.
fn summary(job: &JobLine, failed: &[&CaseLine]) -> String {
    let mut lines = vec![counts_text(&job.counts)];
    lines.extend(job.cause.clone());
    for case in failed {
        lines.push(format!("{}: {}", case.outcome, case.case));
        lines.extend((!case.message.is_empty()).then(|| format!("    {}", case.message)));
    }
    let inside = lines.join("\n");
    let fence = "`".repeat(longest_ticks(&inside).max(2) + 1);
    format!("{fence}text\n{inside}\n{fence}\n")
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn annotation(case: &CaseLine) -> Option<Value> {
    let inside = |file: &&String| {
        !file.starts_with('/') && file.len() <= PATH_BYTES && file.split('/').all(|part| part != "..")
    };
    let file = case.file.as_ref().filter(inside)?;
    let line = case.line.unwrap_or(1).max(1);
    let message = if case.message.is_empty() { case.outcome.as_str() } else { &case.message };
    Some(json!({
        "path": file,
        "start_line": line,
        "end_line": line,
        "annotation_level": "failure",
        "title": case.case,
        "message": message,
    }))
}

fn status(told: &Told, job: &JobLine) -> Value {
    let state = match job.verdict {
        Verdict::Passed => "success",
        Verdict::Failed => "failure",
        Verdict::Errored | Verdict::TimedOut | Verdict::Cancelled => "error",
    };
    let mut body = json!({
        "state": state, "context": name(job), "description": one_line(&title(job), DESCRIPTION_CHARS),
    });
    if let (Some(link), Some(fields)) = (&told.link, body.as_object_mut()) {
        fields.insert("target_url".to_owned(), json!(link));
    }
    body
}
