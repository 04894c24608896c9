//! The runner's side of the link: typed, blocking calls that are repeated until they are answered.
//!
//! It owns connections, time-outs and repetition, and knows nothing of leases or drivers. Every call may be
//! repeated as it is, byte for byte, because the protocol makes each of them harmless to repeat. A call ends
//! early once the runner is told to stop: then a few seconds remain for everything.

pub mod answer;
pub mod backoff;

use crate::session::control::Control;
use answer::{Answer, classify};
use backoff::Backoff;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::wire::link::{
    Ack, ArtifactPiece, ArtifactReply, FinishRequest, HeartbeatReply, HeartbeatRequest, LINK_PREFIX,
    LeaseReply, LogReply, LogRequest, ManifestReply, ManifestRequest, ResultsReply, SessionReply,
    SessionRequest,
};
use shared::wire::percent::encoded;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{Method, Request};

/// Longest time for one attempt at a call.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);
/// Shortest time given to one attempt, however near the deadline is.
const ATTEMPT_FLOOR: Duration = Duration::from_millis(200);
/// An answer larger than this is refused: the coordinator sends batches, not archives.
const ANSWER_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Without any answer for this many heartbeats every lease of this runner has gone to others.
const LOST_AFTER_BEATS: u32 = 6;
/// The least time without an answer after which a runner gives up.
const LOST_FLOOR: Duration = Duration::from_secs(60);
/// Connections kept open; at least one per slot on any sane machine.
const KEPT_CONNECTIONS: usize = 256;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The lease named in the call belongs to others: drop it.
    #[error("the lease is no longer ours")]
    Stale,
    /// This runner has no rights any more: stop work and exit quietly.
    #[error("the coordinator has closed this session: {0}")]
    Fenced(String),
    /// The coordinator does not accept the call; a fault of Fleetest.
    #[error("the coordinator refused a call: {0}")]
    Refused(String),
    /// No answer within the deadline.
    #[error("the coordinator cannot be reached: {0}")]
    Away(String),
}

/// How long a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until this runner must count as lost.
    UntilLost,
    /// Until this moment.
    Until(Instant),
}

impl Patience {
    /// So long from now.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self::Until(Instant::now() + limit)
    }
}

/// A connection pool to one coordinator, usable from any thread.
#[derive(Debug)]
pub struct Link {
    agent: ureq::Agent,
    base: String,
    control: Arc<Control>,
    access: Mutex<Access>,
}

/// What a session grants, and how fresh it is.
struct Access {
    bearer: Option<String>,
    answered_at: Instant,
    lost_after: Duration,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bearer token is a secret.
        f.debug_struct("Access").field("lost_after", &self.lost_after).finish_non_exhaustive()
    }
}

impl Link {
    /// A link to the coordinator at `url` (scheme, host, port and an optional path prefix).
    #[must_use]
    pub fn new(url: &str, direct: bool, control: Arc<Control>) -> Self {
        let mut settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .no_delay(true)
            .max_idle_connections(KEPT_CONNECTIONS)
            .max_idle_connections_per_host(KEPT_CONNECTIONS)
            .user_agent(concat!("fleetest-runner/", env!("CARGO_PKG_VERSION")));
        if direct {
            settings = settings.proxy(None);
        }
        let access = Access { bearer: None, answered_at: Instant::now(), lost_after: LOST_FLOOR };
        Self {
            agent: settings.build().new_agent(),
            base: format!("{}{LINK_PREFIX}", url.trim_end_matches('/')),
            control,
            access: Mutex::new(access),
        }
    }

    /// Opens the session; every later call carries its token.
    ///
    /// # Errors
    /// `Fenced` if the bootstrap token is spent or unknown; else as every call.
    pub fn open_session(
        &self,
        request: &SessionRequest,
        patience: Patience,
    ) -> Result<SessionReply, LinkError> {
        let reply: SessionReply = self.call(&Method::POST, "session", request, patience)?;
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        access.bearer = Some(format!("Bearer {}", reply.session_token));
        access.lost_after = LOST_FLOOR.max(Duration::from_millis(reply.heartbeat_ms) * LOST_AFTER_BEATS);
        Ok(reply)
    }

    /// Puts the manifest.
    ///
    /// # Errors
    /// As every call.
    pub fn put_manifest(&self, request: &ManifestRequest) -> Result<ManifestReply, LinkError> {
        self.call(&Method::PUT, "manifest", request, Patience::UntilLost)
    }

    /// Closes one lease and asks for the next. `request` serialises as the wire's `LeaseRequest`.
    ///
    /// # Errors
    /// `Stale` if the lease that it closes is gone; else as every call.
    pub fn lease(&self, request: &impl Serialize) -> Result<LeaseReply, LinkError> {
        self.call(&Method::POST, "lease", request, Patience::UntilLost)
    }

    /// Sends one part of a lease's results. `request` serialises as the wire's `ResultsRequest`.
    ///
    /// # Errors
    /// `Stale` if the lease is gone; else as every call.
    pub fn results(&self, request: &impl Serialize) -> Result<ResultsReply, LinkError> {
        self.call(&Method::POST, "results", request, Patience::UntilLost)
    }

    /// Sends a piece of a log.
    ///
    /// # Errors
    /// As every call.
    pub fn log(&self, request: &LogRequest) -> Result<LogReply, LinkError> {
        self.call(&Method::POST, "logs", request, Patience::UntilLost)
    }

    /// Says that the runner lives, and hears what it should do.
    ///
    /// # Errors
    /// As every call.
    pub fn heartbeat(&self, request: &HeartbeatRequest) -> Result<HeartbeatReply, LinkError> {
        self.call(&Method::POST, "heartbeat", request, Patience::UntilLost)
    }

    /// Gives leases back. `request` serialises as the wire's `ReleaseRequest`.
    ///
    /// # Errors
    /// As every call.
    pub fn release(&self, request: &impl Serialize, patience: Patience) -> Result<Ack, LinkError> {
        self.call(&Method::POST, "release", request, patience)
    }

    /// Says how the runner ended.
    ///
    /// # Errors
    /// As every call.
    pub fn finish(&self, request: &FinishRequest, patience: Patience) -> Result<Ack, LinkError> {
        self.call(&Method::POST, "finish", request, patience)
    }

    /// A piece of the uploaded source, from an offset on.
    ///
    /// # Errors
    /// As every call.
    pub fn source(&self, offset: u64) -> Result<Vec<u8>, LinkError> {
        self.ask(&Method::GET, &format!("source?offset={offset}"), None, Patience::UntilLost)
    }

    /// Sends a piece of a file that is kept.
    ///
    /// # Errors
    /// `Refused` if it cannot be kept; else as every call.
    pub fn artifact(&self, piece: &ArtifactPiece, bytes: &[u8]) -> Result<ArtifactReply, LinkError> {
        let path = encoded(&piece.path);
        let name = format!("artifact?path={path}&offset={}&end={}", piece.offset, piece.end);
        let answer = self.ask(&Method::PUT, &name, Some(bytes), Patience::UntilLost)?;
        serde_json::from_slice(&answer).map_err(|error| LinkError::Refused(format!("`artifact`: {error}")))
    }

    fn call<Q: Serialize, R: DeserializeOwned>(
        &self,
        method: &Method,
        name: &str,
        request: &Q,
        patience: Patience,
    ) -> Result<R, LinkError> {
        let refused = |error: serde_json::Error| LinkError::Refused(format!("`{name}`: {error}"));
        let body = serde_json::to_vec(request).map_err(refused)?;
        let bytes = self.ask(method, name, Some(&body), patience)?;
        serde_json::from_slice(&bytes).map_err(refused)
    }

    fn ask(
        &self,
        method: &Method,
        name: &str,
        body: Option<&[u8]>,
        patience: Patience,
    ) -> Result<Vec<u8>, LinkError> {
        let mut backoff = Backoff::default();
        loop {
            let (answer, bytes) = self.attempt(method, name, body, self.deadline(patience));
            let (retry_after, reason) = match answer {
                Answer::Accepted => {
                    self.access.lock().unwrap_or_else(PoisonError::into_inner).answered_at = Instant::now();
                    return Ok(bytes);
                }
                Answer::Stale => return Err(LinkError::Stale),
                Answer::Fenced(reason) => return Err(LinkError::Fenced(reason)),
                Answer::Refused(reason) => return Err(LinkError::Refused(format!("`{name}`: {reason}"))),
                Answer::Later { retry_after, reason } => (retry_after, reason),
            };
            let again_at = Instant::now() + backoff.next_wait(random(), retry_after);
            self.control.pause_call(again_at);
            if Instant::now().max(again_at) >= self.deadline(patience) {
                return Err(LinkError::Away(reason));
            }
        }
    }

    /// One attempt: the meaning of its answer, and the body.
    fn attempt(
        &self,
        method: &Method,
        name: &str,
        body: Option<&[u8]>,
        deadline: Instant,
    ) -> (Answer, Vec<u8>) {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.exchange(method, name, body, left.clamp(ATTEMPT_FLOOR, ATTEMPT_LIMIT)) {
            Ok((status, retry_after, bytes)) => (classify(status, retry_after.as_deref(), &bytes), bytes),
            // What ureq cannot even start will not get better; everything else may be the network.
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl)) => {
                (Answer::Refused(error.to_string()), Vec::new())
            }
            Err(error) => (Answer::Later { retry_after: None, reason: error.to_string() }, Vec::new()),
        }
    }

    fn exchange(
        &self,
        method: &Method,
        name: &str,
        body: Option<&[u8]>,
        limit: Duration,
    ) -> Result<(u16, Option<String>, Vec<u8>), ureq::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{name}", self.base))
            .header("content-type", "application/json");
        if let Some(bearer) = &self.access.lock().unwrap_or_else(PoisonError::into_inner).bearer {
            request = request.header("authorization", bearer);
        }
        let limit = Some(limit);
        let agent = &self.agent;
        let mut response = match body {
            Some(body) => {
                agent.run(agent.configure_request(request.body(body)?).timeout_global(limit).build())
            }
            None => agent.run(agent.configure_request(request.body(())?).timeout_global(limit).build()),
        }?;
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = response.body_mut().with_config().limit(ANSWER_LIMIT_BYTES).read_to_vec()?;
        Ok((response.status().as_u16(), retry_after, bytes))
    }

    fn deadline(&self, patience: Patience) -> Instant {
        let deadline = match patience {
            Patience::Until(deadline) => deadline,
            Patience::UntilLost => {
                let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
                access.answered_at + access.lost_after
            }
        };
        self.control.stop_deadline().map_or(deadline, |stop| stop.min(deadline))
    }
}

/// A uniform number; without the operating system's randomness the jitter is lost, not the retry.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::control::{STOP_GRACE, Stop};
    use std::net::TcpListener;

    /// The address of a port on which nobody listens any more.
    fn deserted() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn finish(link: &Link, patience: Patience) -> Result<Ack, LinkError> {
        link.finish(&FinishRequest { end: shared::wire::link::RunnerEnd::Done }, patience)
    }

    #[test]
    fn a_call_ends_at_its_deadline_with_the_reason() {
        let link = Link::new(&deserted(), true, Arc::default());
        let limit = Duration::from_millis(100);
        let begin = Instant::now();
        let error = finish(&link, Patience::within(limit)).unwrap_err();
        assert!(matches!(&error, LinkError::Away(reason) if !reason.is_empty()), "{error:?}");
        assert!(begin.elapsed() < LOST_FLOOR / 2);
    }

    #[test]
    fn a_stop_cuts_every_call_short() {
        let control = Arc::new(Control::default());
        let link = Link::new(&deserted(), true, Arc::clone(&control));
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| finish(&link, Patience::UntilLost));
            control.request(Stop::Cancelled);
            assert!(matches!(calling.join().unwrap(), Err(LinkError::Away(_))));
        });
        assert!(begin.elapsed() < STOP_GRACE * 4, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_address_that_is_none_is_not_tried_for_long() {
        let link = Link::new("http://exa mple", true, Arc::default());
        assert!(matches!(finish(&link, Patience::UntilLost), Err(LinkError::Refused(_))));
    }
}
