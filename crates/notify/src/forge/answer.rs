//! What GitHub's answers mean: a value, nothing, try again, or never.

use super::{away, denied};
use crate::client::{CallError, Reply};
use serde::Deserialize;
use shared::ports::{PortError, PortResult};

/// So much of what GitHub complains of is shown.
const SHOWN_CHARS: usize = 200;

/// What GitHub said to a question that it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// What was asked for.
    This(Vec<u8>),
    /// There is no such thing, or no such repository, or it is not shown to us.
    Nothing,
    /// The repository is there and has no such thing.
    NothingInside,
}

/// An error as GitHub words it.
#[derive(Debug, Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    message: String,
}

/// What a reply about the repository at `url` means.
pub(super) fn judge(url: &str, reply: Reply, with_token: bool) -> PortResult<Said> {
    let status = reply.status;
    let complaint: Complaint = match status {
        200 => return Ok(Said::This(reply.body)),
        404 => return Ok(Said::Nothing),
        // It is empty, or the id is none that it could have.
        409 | 422 => return Ok(Said::NothingInside),
        _ => serde_json::from_slice(&reply.body).unwrap_or_default(),
    };
    let is_limit = reply.retry_after_ms.is_some() || complaint.message.to_lowercase().contains("rate limit");
    Err(match status {
        301 | 302 | 307 | 308 => {
            denied(url, "it was renamed or moved; give the project its new address".to_owned())
        }
        401 if with_token => denied(
            url,
            "GitHub does not take this installation's token: it is wrong or has expired".to_owned(),
        ),
        429 => limited(url, with_token),
        403 if is_limit => limited(url, with_token),
        408 | 500..=599 => away(url, format!("GitHub answered {status}")),
        _ => denied(url, format!("GitHub answered {status}{}", shown(&complaint.message))),
    })
}

fn limited(url: &str, with_token: bool) -> PortError {
    let advice = match with_token {
        true => "5,000 requests an hour for the user of this installation's token",
        false => "60 requests an hour without a token; a token raises it to 5,000",
    };
    away(url, format!("GitHub's rate limit is used up ({advice})"))
}

/// A complaint as it can be printed.
fn shown(message: &str) -> String {
    let clean: String = message.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    if clean.is_empty() { clean } else { format!(": {clean}") }
}

/// What a call without a usable answer means.
pub(super) fn failed(url: &str, error: &CallError) -> PortError {
    let reason = if matches!(error, CallError::NotJson(_)) {
        "what answers is not GitHub's API; check the address of the API in this installation".to_owned()
    } else {
        format!("GitHub cannot be asked: {error}")
    };
    match error {
        CallError::TimedOut | CallError::Unreachable(_) | CallError::Setup(_) => away(url, reason),
        CallError::Blocked(_)
        | CallError::Header(_)
        | CallError::TooLong { .. }
        | CallError::NotJson(_)
        | CallError::Status(_) => denied(url, reason),
    }
}
