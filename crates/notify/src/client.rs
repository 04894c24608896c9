//! The one outbound HTTP client: guarded, without redirects and proxies, with short limits in time and size.

use crate::guard::{Allow, Blocked, Guard, Lookup, SystemLookup};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

/// Limit for connecting, and for a whole call.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);
/// Largest answer that is read, unless a caller expects a larger one.
pub const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a call came to nothing. No variant shows anything of the URL or of the receiver's answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The guard stopped it.
    #[error("the call was not made: {0}")]
    Blocked(#[from] Blocked),
    /// A header cannot be sent.
    #[error("the header `{0}` cannot be sent")]
    Header(String),
    /// It took too long.
    #[error("there was no answer in time")]
    TimedOut,
    /// Nobody answered, or not in HTTP.
    #[error("the receiver could not be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The answer is too long.
    #[error("the answer has more than {limit_bytes} bytes")]
    TooLong {
        /// So many would have been read.
        limit_bytes: usize,
    },
    /// The answer is no JSON of the wanted shape.
    #[error("the answer is not the JSON that was expected")]
    NotJson(#[source] serde_json::Error),
    /// The answer is not a success.
    #[error("the answer was {0}")]
    Status(u16),
    /// The client itself could not be made.
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// How long the receiver asks to be left alone.
    pub retry_after_ms: Option<u64>,
    /// Body.
    pub body: Vec<u8>,
}

/// A call to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Where to.
    pub url: &'a str,
    /// Headers.
    pub headers: &'a [(String, String)],
    /// JSON body of a `POST`; `None` = a `GET`.
    pub body: Option<&'a str>,
    /// Bearer token.
    pub bearer: Option<&'a str>,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Answer(Response);

impl Answer {
    /// Status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Where it sends the caller instead.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.0.headers().get(LOCATION)?.to_str().ok()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// If it breaks off, or comes too late.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        let chunk = self.0.chunk().await.map_err(|error| why(error.without_url()))?;
        Ok(chunk.map(Vec::from))
    }

    /// The whole answer.
    ///
    /// # Errors
    /// As `next`; `TooLong`.
    pub async fn read(mut self, limit_bytes: usize) -> Result<Reply, CallError> {
        let (status, retry_after_ms) = (self.status(), retry_after(self.0.headers()));
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await? {
            if body.len().saturating_add(bytes.len()) > limit_bytes {
                return Err(CallError::TooLong { limit_bytes });
            }
            body.extend_from_slice(&bytes);
        }
        Ok(Reply { status, retry_after_ms, body })
    }
}

/// The client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    guard: Guard,
}

impl Outbound {
    /// The client, with what the operator lets pass.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(allow: Allow) -> Result<Self, CallError> {
        Self::with_lookup(allow, Arc::new(SystemLookup))
    }

    /// The client, with a look-up of its own.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn with_lookup(allow: Allow, lookup: Arc<dyn Lookup>) -> Result<Self, CallError> {
        // Whoever was first installed the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let guard = Guard::new(allow, lookup);
        let client = Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(LIMIT)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("fleetest/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(CallError::Setup)?;
        Ok(Self { client, guard })
    }

    /// Makes a call, once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(&self, call: Call<'_>) -> Result<Reply, CallError> {
        self.call_up_to(call, ANSWER_LIMIT_BYTES).await
    }

    /// Makes a call, once, whose answer may have so many bytes.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call_up_to(&self, call: Call<'_>, limit_bytes: usize) -> Result<Reply, CallError> {
        self.open(call, LIMIT).await?.read(limit_bytes).await
    }

    /// Makes a call, once, and does not read the answer's body yet, for which there is the same time.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn open(&self, call: Call<'_>, within: Duration) -> Result<Answer, CallError> {
        let url = self.guard.check(call.url)?;
        let request = match call.body {
            Some(body) => {
                let json = (reqwest::header::CONTENT_TYPE, JSON);
                self.client.post(url).header(json.0, json.1).body(body.to_owned())
            }
            None => self.client.get(url),
        };
        let request = request.headers(headers(call.headers)?).timeout(within);
        let request: RequestBuilder = match call.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(|error| why(error.without_url()))?;
        Ok(Answer(response))
    }

    /// Fetches JSON, as the key set of a token issuer.
    ///
    /// # Errors
    /// If there is no answer, no success or no such JSON.
    pub async fn fetch_json<T: DeserializeOwned>(&self, url: &str) -> Result<T, CallError> {
        let reply = self.call(Call { url, headers: &[], body: None, bearer: None }).await?;
        if reply.status != StatusCode::OK.as_u16() {
            return Err(CallError::Status(reply.status));
        }
        serde_json::from_slice(&reply.body).map_err(CallError::NotJson)
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, CallError> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (key, value) = header.ok_or_else(|| CallError::Header(name.clone()))?;
        map.insert(key, value);
    }
    Ok(map)
}

/// What an error of the client stands for: the guard speaks from inside of it.
fn why(error: reqwest::Error) -> CallError {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(blocked) = inner.downcast_ref::<Blocked>() {
            return CallError::Blocked(blocked.clone());
        }
        source = inner.source();
    }
    if error.is_timeout() { CallError::TimedOut } else { CallError::Unreachable(error) }
}

/// Seconds only: a date would ask whose clock is right.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000))
}
