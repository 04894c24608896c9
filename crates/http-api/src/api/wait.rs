//! `Prefer: wait=N`: an answer that comes when the run is over, or after N seconds as it then is.

use super::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use shared::domain::id::RunId;
use shared::domain::run::{Run, RunStatus};
use shared::service::Services;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait, in seconds; who wants more gets this much.
pub const WAIT_LIMIT_S: u64 = 60;
const FIRST_LOOK_MS: u64 = 25;
const LAST_LOOK_MS: u64 = 500;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Put into the extensions of a request by a host that gives up sooner: its own longest wait, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPatience(pub u64);

/// How long the caller would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let limit_s = parts.extensions.get().map_or(WAIT_LIMIT_S, |HostPatience(limit_s)| *limit_s);
        Ok(Self(wanted(&parts.headers).map(|wanted_s| wanted_s.min(limit_s))))
    }
}

fn wanted(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // A number that fits nowhere is a long wait.
    digits.then(|| seconds.parse().unwrap_or(WAIT_LIMIT_S).min(WAIT_LIMIT_S))
}

impl Wait {
    /// The run, once it is over or the wait is.
    ///
    /// # Errors
    /// 404 if there is none; 503 if the store does not answer.
    pub async fn for_run(self, services: &Services, id: RunId) -> Result<Run, Problem> {
        let run = services.run(id).await?.value;
        self.for_change(services, run).await
    }

    /// The same, of a run that was just read.
    ///
    /// # Errors
    /// As [`Wait::for_run`].
    pub async fn for_change(self, services: &Services, mut run: Run) -> Result<Run, Problem> {
        let Some(seconds) = self.0 else { return Ok(run) };
        let id = run.id;
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut pause = Duration::from_millis(FIRST_LOOK_MS);
        while run.status != RunStatus::Finished && Instant::now() < end {
            tokio::time::sleep_until(end.min(Instant::now() + pause)).await;
            pause = (pause * 2).min(Duration::from_millis(LAST_LOOK_MS));
            run = services.run(id).await?.value;
        }
        Ok(run)
    }

    /// Says in the answer that the wish was heard.
    #[must_use]
    pub fn applied(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        let value = self.0.and_then(|seconds| HeaderValue::from_str(&format!("wait={seconds}")).ok());
        if let Some(value) = value {
            response.headers_mut().insert(APPLIED, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_bounded() {
        let read =
            |text: &'static str| wanted(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))]));
        assert_eq!(read("wait=10"), Some(10));
        assert_eq!(read("respond-async, Wait = \"5\"; x=1"), Some(5));
        assert_eq!(read("wait=99999999999999999999999"), Some(WAIT_LIMIT_S));
        for unheard in ["", "wait", "wait=", "wait=-1", "wait=+1", "wait=1.5", "waiting=1"] {
            assert_eq!(read(unheard), None, "{unheard}");
        }
    }
}
