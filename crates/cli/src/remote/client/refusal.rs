//! Answers that are no success, and what they mean for the person at the terminal.

use crate::exit::Problem;
use crate::line::clean;
use http_api::api::wire::FieldError;
use serde::Deserialize;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::{Method, Response, StatusCode, header};

/// What a server says that does not know the path at all.
const NO_ROUTE: &str = "there is no such route";
/// Most of an error's body that is read.
const BODY_LIMIT_BYTES: u64 = 256 * 1024;

/// Why a call has no useful answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answered in time.
    #[error("the server at `{base}` cannot be reached")]
    Away {
        /// The server's address.
        base: String,
        /// What happened.
        #[source]
        source: ureq::Error,
    },
    /// The server said no.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
    /// A file that was to be sent cannot be read.
    #[error("`{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// Whether the same call may be answered later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Refused(refusal) => refusal.is_passing(),
            Self::File { .. } => false,
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let what = error.to_string();
        match error {
            ClientError::Away { source, .. } => Self::could_not_run(what)
                .because(source)
                .hint("start one with `fleetest serve`, or set FLEETEST_URL; `fleetest doctor` looks closer"),
            ClientError::File { source, .. } => {
                Self::usage(what).because(source).hint("check its name and its rights")
            }
            ClientError::Refused(refusal) => refusal.into_problem(),
        }
    }
}

/// An answer that says no.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Machine code, if the server gave one.
    pub code: String,
    /// What it said.
    pub detail: String,
    /// Which parts of the request are wrong.
    pub errors: Vec<FieldError>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// Where else the same may be had.
    pub(super) elsewhere: Option<String>,
    call: String,
    request_id: Option<String>,
}

/// A problem document, as much of it as came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    title: String,
    detail: String,
    code: String,
    errors: Vec<FieldError>,
    request_id: Option<String>,
}

impl Refusal {
    /// Reads the answer to a call; one that is no problem document comes from something between us and the server.
    pub(super) fn read(method: &Method, shown: &str, response: Response<ureq::Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after =
            text(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let elsewhere = text(header::LOCATION).filter(|_| parts.status == StatusCode::TEMPORARY_REDIRECT);
        let elsewhere = elsewhere.map(str::to_owned);
        let location = text(header::LOCATION).map(clean);
        let bytes = body.with_config().limit(BODY_LIMIT_BYTES).read_to_vec().unwrap_or_default();
        let document: Document = serde_json::from_slice(&bytes).unwrap_or_default();
        let status = parts.status;
        let detail = match (document.detail.is_empty(), location) {
            (false, _) => clean(&document.detail),
            (true, Some(location)) if status.is_redirection() => {
                format!("the server sends us on to `{location}`, and a key follows no redirection")
            }
            _ if !document.title.is_empty() => clean(&document.title),
            _ => format!("the answer was {status} and says no more"),
        };
        Self {
            status: status.as_u16(),
            code: clean(&document.code),
            detail,
            errors: document.errors,
            retry_after,
            elsewhere,
            call: format!("{method} {shown}"),
            request_id: document.request_id.map(|id| clean(&id)),
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        // A conflict with a time is the answer to a repetition whose first attempt is still at work.
        matches!(self.status, 429 | 502 | 503 | 504) || (self.status == 409 && self.retry_after.is_some())
    }

    fn into_problem(self) -> Problem {
        let mut what = self.detail.clone();
        for FieldError { pointer, detail } in &self.errors {
            let is_said = clean(detail) == self.detail;
            let part = clean(pointer);
            what = match is_said {
                true if part.is_empty() => what,
                true => format!("{what} (`{part}`)"),
                false => format!("{what}; `{part}`: {}", clean(detail)),
            };
        }
        let problem = match self.status {
            300..=428 | 431..=499 => Problem::usage(what),
            _ => Problem::could_not_run(what),
        };
        let problem = match self.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        problem.because(io::Error::other(self.story()))
    }

    fn story(&self) -> String {
        let code = if self.code.is_empty() { String::new() } else { format!(" {}", self.code) };
        let id = self.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
        format!("`{}` was answered {}{code}{id}", self.call, self.status)
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.status {
            400..=499 if self.code.is_empty() => {
                "this is no answer of a Fleetest server; set FLEETEST_URL to the address of one"
            }
            404 if self.detail == NO_ROUTE => {
                "check FLEETEST_URL: nothing more than the address of a server of this version"
            }
            401 => "set FLEETEST_TOKEN to a valid key; `fleetest doctor` tries it",
            403 => "use a key with a higher role or more scopes, or ask someone who has one",
            404 => "check the name; what a key has no role in is not found either",
            409 => "look at it again, it may have changed",
            413 => "make it smaller, or raise the server's limit",
            429 => "wait a little, then try again",
            300..=399 => "set FLEETEST_URL to the address that the server really has",
            500..=599 => "look at the server's log for the request",
            _ => return None,
        })
    }
}
