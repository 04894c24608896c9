//! Blocking calls of the public API that are repeated until they are answered.
//!
//! Every call may be repeated as it is: reads by their nature, writes because each carries an `Idempotency-Key` that
//! stays the same over its repetitions. The token is sent to the configured server alone: redirects are not followed,
//! and no error shows it.

mod base;
mod call;
mod place;
pub mod refusal;
pub mod route;

use super::settings::{Settings, Token};
use crate::exit::Problem;
use base::{checked_base, is_near};
use call::Call;
pub use call::{Content, Place};
use refusal::{ClientError, Refusal};
use route::Route;
use runner::link::backoff::Backoff;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Method, Request, StatusCode};
use ureq::{AsSendBody, BodyReader};

/// How long a call is repeated.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a server is waited for that never answered: its address may be wrong.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);
/// Longest time for the beginning of an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for one call of small bodies.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Longest time for sending a file.
const UPLOAD_LIMIT: Duration = Duration::from_secs(3600);
/// Longest silence in a streamed answer.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);
/// Headers that say nothing but what the body does.
const OF_THE_BODY: [&str; 2] = ["content-length", "host"];
/// An answer larger than this is refused; logs and reports are streamed instead.
const ANSWER_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A connection pool to one server.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<Token>,
    patience: Duration,
    /// Whether it ever answered.
    reached: AtomicBool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("token", &self.token).finish_non_exhaustive()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as what it should be.
    ///
    /// # Errors
    /// It is something else: the server is of another version, or no Fleetest server.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Problem::could_not_run("the server's answer cannot be understood")
                .hint("check that FLEETEST_URL names a Fleetest server of this version (`fleetest doctor`)")
                .because(error)
        })
    }
}

/// What one attempt came to.
enum Attempt {
    Answered(ureq::http::Response<ureq::Body>),
    Lost(ureq::Error),
}

impl Client {
    /// A client of the configured server.
    ///
    /// # Errors
    /// The address or the token cannot be one.
    pub fn new(settings: &Settings) -> Result<Self, Problem> {
        let base = checked_base(settings.url())?;
        if settings.token.as_ref().is_some_and(|token| !token.is_sendable()) {
            return Err(Problem::usage("FLEETEST_TOKEN contains blanks or characters that no key has")
                .hint("copy the key again, as it was printed when it was made"));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .no_delay(true)
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .user_agent(concat!("fleetest/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let reached = AtomicBool::new(false);
        Ok(Self { agent, base, token: settings.token.clone(), patience: PATIENCE, reached })
    }

    /// The same, giving up after this long.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The server's address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the server is on this machine, as far as its address says.
    #[must_use]
    pub fn is_near(&self) -> bool {
        is_near(&self.base)
    }

    /// Whether calls carry a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Reads.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn get(&self, route: &Route) -> Result<Reply, Problem> {
        Ok(self.try_get(route, None)?)
    }

    /// Reads, unless what is known by this `ETag` is still right: then the status is 304 and the body empty.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn try_get(&self, route: &Route, etag: Option<&str>) -> Result<Reply, ClientError> {
        let address = self.address(route);
        self.whole(&Call { etag, ..Call::new(&Method::GET, &address) })
    }

    /// Writes, with a key of its own that makes repeating it harmless.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn send(&self, method: &Method, route: &Route, body: &impl Serialize) -> Result<Reply, Problem> {
        let bytes = written(body)?;
        self.send_content(method, route, Content::Json(&bytes))
    }

    /// Writes; nothing if the form of the body is refused, as a server does that is older than a part of it.
    ///
    /// # Errors
    /// Not answered, or refused for another reason.
    pub fn offer(&self, route: &Route, body: &impl Serialize) -> Result<Option<Reply>, Problem> {
        match self.write(&Method::POST, route, Content::Json(&written(body)?)) {
            Err(ClientError::Refused(refusal)) if matches!(refusal.status, 400 | 422) => Ok(None),
            answered => Ok(Some(answered?)),
        }
    }

    /// Changes a resource, if it still is what this `ETag` says.
    ///
    /// # Errors
    /// Not answered, or refused: also if somebody else was faster.
    pub fn change(&self, route: &Route, etag: Option<&str>, body: &impl Serialize) -> Result<Reply, Problem> {
        let bytes = written(body)?;
        let (address, key) = (self.address(route), uuid::Uuid::now_v7().to_string());
        let content = Content::Json(&bytes);
        Ok(self.whole(&Call { content, etag, key: Some(&key), ..Call::new(&Method::PATCH, &address) })?)
    }

    /// Writes a body of any kind; a file is read anew for each repetition.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn send_content(
        &self,
        method: &Method,
        route: &Route,
        content: Content<'_>,
    ) -> Result<Reply, Problem> {
        Ok(self.write(method, route, content)?)
    }

    fn write(&self, method: &Method, route: &Route, content: Content<'_>) -> Result<Reply, ClientError> {
        let (address, key) = (self.address(route), uuid::Uuid::now_v7().to_string());
        self.whole(&Call { content, key: Some(&key), ..Call::new(method, &address) })
    }

    /// Reads an answer of any length piece by piece.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn stream(&self, route: &Route) -> Result<(HeaderMap, BodyReader<'static>), ClientError> {
        let address = self.address(route);
        let response = match self.repeat(&Call::new(&Method::GET, &address)) {
            // What is long may lie elsewhere. The key does not go there.
            Err(ClientError::Refused(refusal)) => match self.elsewhere(&refusal) {
                Some(place) => self.repeat(&Call { ours: false, ..Call::new(&Method::GET, place) })?,
                None => return Err(ClientError::Refused(refusal)),
            },
            answered => answered?,
        };
        let (parts, body) = response.into_parts();
        Ok((parts.headers, body.into_reader()))
    }

    /// Where a server says that something lies; never in the clear if the server itself is not.
    fn elsewhere<'a>(&self, refusal: &'a Refusal) -> Option<&'a str> {
        refusal.elsewhere.as_deref().filter(|place| self.may_go_to(place))
    }

    fn address(&self, route: &Route) -> String {
        format!("{}{route}", self.base)
    }

    fn whole(&self, call: &Call<'_>) -> Result<Reply, ClientError> {
        let begun = Instant::now();
        loop {
            let (parts, mut body) = self.repeat(call)?.into_parts();
            match body.with_config().limit(ANSWER_LIMIT_BYTES).read_to_vec() {
                Ok(body) => {
                    return Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body });
                }
                // An answer that was cut off is as good as none.
                Err(_) if begun.elapsed() < self.patience => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(self.away(error)),
            }
        }
    }

    /// Repeats the call until it is answered with a success or a final refusal.
    fn repeat(&self, call: &Call<'_>) -> Result<ureq::http::Response<ureq::Body>, ClientError> {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            let attempt = self.attempt(call)?;
            self.reached.fetch_or(matches!(attempt, Attempt::Answered(_)), Ordering::Relaxed);
            let (wait, error) = match attempt {
                Attempt::Answered(response) if is_success(response.status()) => return Ok(response),
                Attempt::Answered(response) => {
                    let refusal = Refusal::read(call.method, &self.shown(call), response);
                    // A store has no words of ours: that two puts met, or that it is at fault itself, passes.
                    let passes = call.elsewhere && matches!(refusal.status, 408 | 409 | 500);
                    if !passes && !refusal.is_passing() {
                        return Err(ClientError::Refused(Box::new(refusal)));
                    }
                    (refusal.retry_after, ClientError::Refused(Box::new(refusal)))
                }
                Attempt::Lost(error) => (None, self.away(error)),
            };
            let wait = backoff.next_wait(getrandom::u64().unwrap_or(u64::MAX / 3), wait);
            if begun.elapsed() + wait >= self.patience_now() {
                return Err(error);
            }
            std::thread::sleep(wait);
        }
    }

    fn patience_now(&self) -> Duration {
        let reached = self.reached.load(Ordering::Relaxed);
        if reached { self.patience } else { self.patience.min(FIRST_PATIENCE) }
    }

    fn attempt(&self, call: &Call<'_>) -> Result<Attempt, ClientError> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.address)
            .header("accept", "application/json, */*");
        if let (Some(token), true) = (&self.token, call.ours) {
            request = request.header("authorization", token.bearer());
        }
        // What is known spares a read and guards a write.
        let condition = if call.method == Method::GET { "if-none-match" } else { "if-match" };
        let headers = [(condition, call.etag), ("idempotency-key", call.key)];
        for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request = request.header(name, value);
        }
        for (name, value) in call.headers {
            if !OF_THE_BODY.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                request = request.header(name, value);
            }
        }
        let answered = match call.content {
            Content::Empty => self.exchange(request, (), CALL_LIMIT),
            Content::Json(bytes) => {
                self.exchange(request.header("content-type", "application/json"), bytes, CALL_LIMIT)
            }
            Content::File(path, media_type) => {
                let file = open(path)?;
                self.exchange(request.header("content-type", media_type), file, UPLOAD_LIMIT)
            }
        };
        match answered {
            Ok(response) => Ok(Attempt::Answered(response)),
            // What cannot even be sent will not get better; everything else may be the network.
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Tls(_))) => {
                Err(self.away(error))
            }
            Err(error) => Ok(Attempt::Lost(error)),
        }
    }

    fn exchange(
        &self,
        request: ureq::http::request::Builder,
        body: impl AsSendBody,
        sending: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request.body(body)?)
            .timeout_send_body(Some(sending))
            .timeout_per_read(Some(SILENCE_LIMIT))
            .build();
        self.agent.run(request)
    }

    /// What of the address may be shown: an address that gives a right by itself may not.
    fn shown(&self, call: &Call<'_>) -> String {
        if call.ours { call.address.replacen(&self.base, "", 1) } else { "the upload".to_owned() }
    }

    fn away(&self, source: ureq::Error) -> ClientError {
        ClientError::Away { base: self.base.clone(), source }
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body)
        .map_err(|error| Problem::could_not_run("the request cannot be written down").because(error))
}

fn is_success(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

fn open(path: &Path) -> Result<File, ClientError> {
    File::open(path).map_err(|source| ClientError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
