//! What an HTTP answer means for the runner; pure.
//!
//! The only place that knows status codes. An answer that is neither success nor a known refusal is a reason
//! to try again, because a proxy in between may speak for a coordinator that is only restarting.

use shared::wire::link::Problem;
use std::time::Duration;

/// How much of an unexpected body is shown.
const SHOWN_CHARS: usize = 200;

/// The meaning of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It worked.
    Accepted,
    /// The lease named in the call is no longer ours.
    Stale,
    /// This runner has no rights any more.
    Fenced(String),
    /// The call itself is wrong; repeating it cannot help.
    Refused(String),
    /// It may work later.
    Later {
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
        /// One human sentence.
        reason: String,
    },
}

/// Reads an answer from its status, its `Retry-After` header and its body.
#[must_use]
pub fn classify(status: u16, retry_after: Option<&str>, body: &[u8]) -> Answer {
    match status {
        200..=299 => Answer::Accepted,
        409 if code_of(body).as_deref() == Some("stale_lease") => Answer::Stale,
        401 | 403 | 404 | 410 => Answer::Fenced(describe(status, body)),
        408 | 425 | 429 | 500..=599 => Answer::Later {
            retry_after: retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
            reason: describe(status, body),
        },
        _ => Answer::Refused(describe(status, body)),
    }
}

fn code_of(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.code)
}

fn describe(status: u16, body: &[u8]) -> String {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return format!("{} (HTTP {status}, `{}`)", problem.detail, problem.code);
    }
    let text: String =
        String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    format!("HTTP {status} `{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str, status: u16) -> Vec<u8> {
        let problem = Problem { code: code.into(), status, title: "t".into(), detail: "because".into() };
        serde_json::to_vec(&problem).unwrap()
    }

    #[test]
    fn each_status_has_one_meaning() {
        let kind = |status, code| match classify(status, None, &problem(code, status)) {
            Answer::Accepted => "accepted",
            Answer::Stale => "stale",
            Answer::Fenced(_) => "fenced",
            Answer::Refused(_) => "refused",
            Answer::Later { .. } => "later",
        };
        let table = [
            (200, "", "accepted"),
            (202, "", "accepted"),
            (302, "", "refused"),
            (400, "invalid", "refused"),
            (401, "unauthorised", "fenced"),
            (403, "unauthorised", "fenced"),
            (404, "gone", "fenced"),
            (410, "gone", "fenced"),
            (408, "", "later"),
            (409, "stale_lease", "stale"),
            (409, "conflict", "refused"),
            (413, "invalid", "refused"),
            (422, "invalid", "refused"),
            (429, "unavailable", "later"),
            (500, "", "later"),
            (503, "unavailable", "later"),
        ];
        for (status, code, expected) in table {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_foreign_body_is_shown_short_and_clean() {
        let body = format!("<html>\u{1b}[31m{}", "x".repeat(1000));
        let Answer::Refused(text) = classify(418, None, body.as_bytes()) else { panic!("not refused") };
        assert!(text.starts_with("HTTP 418 `<html>[31mxxx") && text.len() < 250, "{text}");
    }

    #[test]
    fn retry_after_is_read_in_seconds_only() {
        let wait = |header| {
            let Answer::Later { retry_after, .. } = classify(503, Some(header), b"") else {
                panic!("not later")
            };
            retry_after
        };
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
