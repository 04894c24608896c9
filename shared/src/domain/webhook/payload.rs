//! Reading GitHub's payloads: only the few fields that name a commit, and none is believed without a look.

use crate::domain::notify::github::{CHECK_PREFIX, RERUN_ACTION};
use crate::domain::render::one_line;
use serde::{Deserialize, Serialize};

const BRANCH_LIMIT_BYTES: usize = 255;
const LOGIN_CHARS: usize = 100;

/// A commit to be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Whole commit id.
    pub commit: String,
    /// Branch; that of a fork has its owner before it, so that it is never taken for the project's own.
    pub branch: Option<String>,
    /// Number of the pull request.
    pub pull_request: Option<u64>,
    /// Whether it comes from outside of the repository, or may: then someone has to approve it.
    pub fork: bool,
    /// Login of who did it.
    pub sender: String,
    /// Only this suite.
    pub suite: Option<String>,
}

/// What a webhook means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Meaning {
    /// A commit is to be tested.
    Test(Push),
    /// Nothing is to be done.
    Nothing {
        /// Why.
        reason: String,
    },
}

/// Why a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON of the expected shape.
    #[error("the payload of `{event}` is not what GitHub sends: {source}")]
    Shape {
        /// Event.
        event: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It names something that cannot be.
    #[error("the payload of `{event}` names no {what}")]
    Value {
        /// Event.
        event: String,
        /// What is missing or malformed.
        what: &'static str,
    },
}

#[derive(Debug, Deserialize)]
struct PushPayload {
    r#ref: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    sender: Option<Sender>,
}

#[derive(Debug, Deserialize)]
struct Sender {
    login: String,
}

#[derive(Debug, Deserialize)]
struct PullPayload {
    action: String,
    number: u64,
    pull_request: Pull,
    sender: Option<Sender>,
}

#[derive(Debug, Deserialize)]
struct Pull {
    head: Side,
    base: Side,
}

#[derive(Debug, Deserialize)]
struct Side {
    sha: String,
    r#ref: String,
    label: Option<String>,
    /// Absent when the fork was deleted.
    repo: Option<Repo>,
}

#[derive(Debug, Deserialize)]
struct Repo {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct CheckPayload {
    action: String,
    check_run: Option<Check>,
    check_suite: Option<Check>,
    requested_action: Option<RequestedAction>,
    sender: Option<Sender>,
}

#[derive(Debug, Deserialize)]
struct RequestedAction {
    identifier: String,
}

#[derive(Debug, Deserialize)]
struct Check {
    head_sha: String,
    name: Option<String>,
    head_branch: Option<String>,
    check_suite: Option<Parent>,
    #[serde(default)]
    pull_requests: Vec<Numbered>,
}

#[derive(Debug, Deserialize)]
struct Parent {
    head_branch: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    number: u64,
}

/// What a genuine payload means.
///
/// # Errors
/// If it is not what GitHub sends.
pub fn read(event: &str, body: &[u8]) -> Result<Meaning, Unreadable> {
    match event {
        "push" => push(&parse(event, body)?),
        "pull_request" => pull(&parse(event, body)?),
        "check_run" | "check_suite" => check(event, parse(event, body)?),
        "ping" => Ok(nothing("a ping: the webhook works")),
        _ => Ok(nothing("this event starts nothing")),
    }
}

fn parse<'a, T: Deserialize<'a>>(event: &str, body: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|source| Unreadable::Shape { event: event.to_owned(), source })
}

fn nothing(reason: &str) -> Meaning {
    Meaning::Nothing { reason: reason.to_owned() }
}

fn push(payload: &PushPayload) -> Result<Meaning, Unreadable> {
    let Some(branch) = payload.r#ref.strip_prefix("refs/heads/") else {
        return Ok(nothing("only pushes to branches are tested"));
    };
    if payload.deleted || payload.after.bytes().all(|byte| byte == b'0') {
        return Ok(nothing("the branch was deleted"));
    }
    Ok(Meaning::Test(Push {
        commit: commit("push", &payload.after)?,
        branch: Some(branch_name("push", branch)?),
        pull_request: None,
        fork: false,
        sender: login(payload.sender.as_ref()),
        suite: None,
    }))
}

fn pull(payload: &PullPayload) -> Result<Meaning, Unreadable> {
    if !matches!(payload.action.as_str(), "opened" | "synchronize" | "reopened") {
        return Ok(nothing("only opened, reopened and changed pull requests are tested"));
    }
    let (head, base) = (&payload.pull_request.head, &payload.pull_request.base);
    let same = head.repo.as_ref().zip(base.repo.as_ref()).is_some_and(|(head, base)| head.id == base.id);
    let outside = || head.label.clone().unwrap_or_else(|| format!("fork:{}", head.r#ref));
    let branch = if same { head.r#ref.clone() } else { outside() };
    // A label without an owner in it would look like a branch of our own.
    let branch = if same || branch.contains(':') { branch } else { format!("fork:{branch}") };
    Ok(Meaning::Test(Push {
        commit: commit("pull_request", &head.sha)?,
        branch: Some(branch_name("pull_request", &branch)?),
        pull_request: Some(payload.number),
        fork: !same,
        sender: login(payload.sender.as_ref()),
        suite: None,
    }))
}

fn check(event: &str, payload: CheckPayload) -> Result<Meaning, Unreadable> {
    let asked = payload.requested_action.is_some_and(|action| action.identifier == RERUN_ACTION);
    if !(payload.action == "rerequested" || (payload.action == "requested_action" && asked)) {
        return Ok(nothing("only the request to run again is heard"));
    }
    let check = if event == "check_run" { payload.check_run } else { payload.check_suite };
    let check = check.ok_or(Unreadable::Value { event: event.to_owned(), what: "check" })?;
    let job = match (event, check.name.as_deref()) {
        ("check_run", name) => match name.and_then(|name| name.strip_prefix(CHECK_PREFIX)) {
            Some(job) => Some(job.to_owned()),
            None => return Ok(nothing("the check is not one of Fleetest's")),
        },
        _ => None,
    };
    let branch = check.head_branch.or_else(|| check.check_suite.and_then(|suite| suite.head_branch));
    Ok(Meaning::Test(Push {
        commit: commit(event, &check.head_sha)?,
        // GitHub names no branch for commits of forks.
        fork: branch.is_none(),
        branch: branch.map(|branch| branch_name(event, &branch)).transpose()?,
        pull_request: check.pull_requests.first().map(|pull| pull.number),
        sender: login(payload.sender.as_ref()),
        // A check of a run that never came to jobs is called `run`, and no suite is meant by that.
        suite: job.map(|job| suite_of(&job).to_owned()).filter(|suite| suite != "run"),
    }))
}

fn suite_of(job: &str) -> &str {
    job.split_once('[').map_or(job, |(suite, _)| suite)
}

fn commit(event: &str, text: &str) -> Result<String, Unreadable> {
    let whole = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wrong = || Unreadable::Value { event: event.to_owned(), what: "whole commit id" };
    whole.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn branch_name(event: &str, text: &str) -> Result<String, Unreadable> {
    let sound = (1..=BRANCH_LIMIT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    let wrong = || Unreadable::Value { event: event.to_owned(), what: "branch" };
    sound.then(|| text.to_owned()).ok_or_else(wrong)
}

fn login(sender: Option<&Sender>) -> String {
    sender.map_or_else(|| "unknown".to_owned(), |sender| one_line(&sender.login, LOGIN_CHARS))
}
