//! Key sets of identity providers, fetched from the address that the operator wrote down.
//!
//! The host that the settings name may lie in a private network; another one, as an issuer's own configuration names
//! it, is held to the rules of every outgoing call.

use async_trait::async_trait;
use axum::http::Uri;
use http_api::api::oidc::{JwksSource, JwksUnavailable};
use notify::client::{CallError, Outbound};
use notify::guard::Allow;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// Why keys could not be fetched from an address.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// No address.
    #[error("`{0}` is no address like `https://login.example.org`")]
    NoAddress(String),
    /// Keys that anyone on the way could exchange.
    #[error("`{0}` must begin with `https`: whoever is on the way could put keys of their own in")]
    Plain(String),
    /// There is no client.
    #[error("calls cannot be made")]
    Client(#[source] CallError),
}

/// A client that may also call the host of this address.
fn outbound(address: &str) -> Result<Outbound, SourceError> {
    let unreadable = || SourceError::NoAddress(address.to_owned());
    let uri: Uri = address.parse().map_err(|_unreadable| unreadable())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(unreadable)?;
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_here => {}
        _ => return Err(SourceError::Plain(address.to_owned())),
    }
    let allow = Allow { hosts: BTreeSet::from([host.to_owned()]), ..Allow::default() };
    Outbound::new(allow).map_err(SourceError::Client)
}

fn unavailable(error: &CallError) -> JwksUnavailable {
    JwksUnavailable(error.to_string())
}

/// A key set at a fixed address.
pub(super) struct KeySetUrl {
    url: String,
    outbound: Outbound,
}

impl KeySetUrl {
    /// Keys from `url`.
    ///
    /// # Errors
    /// If it cannot be called.
    pub(super) fn new(url: String) -> Result<Self, SourceError> {
        let outbound = outbound(&url)?;
        Ok(Self { url, outbound })
    }
}

impl fmt::Debug for KeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetUrl").field("url", &self.url).finish_non_exhaustive()
    }
}

#[async_trait]
impl JwksSource for KeySetUrl {
    async fn fetch(&self) -> Result<String, JwksUnavailable> {
        let set: Value = self.outbound.fetch_json(&self.url).await.map_err(|error| unavailable(&error))?;
        Ok(set.to_string())
    }
}

/// A key set where the issuer's own configuration (OpenID Connect Discovery 1.0) says that it is.
pub(super) struct Discovered {
    issuer: String,
    outbound: Outbound,
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

impl Discovered {
    /// Keys of `issuer`.
    ///
    /// # Errors
    /// If it cannot be called.
    pub(super) fn new(issuer: String) -> Result<Self, SourceError> {
        let outbound = outbound(&issuer)?;
        Ok(Self { issuer, outbound })
    }
}

impl fmt::Debug for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovered").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[async_trait]
impl JwksSource for Discovered {
    async fn fetch(&self) -> Result<String, JwksUnavailable> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let found: Configuration =
            self.outbound.fetch_json(&address).await.map_err(|error| unavailable(&error))?;
        if found.issuer != self.issuer {
            return Err(JwksUnavailable(format!("`{address}` speaks of the issuer `{}`", found.issuer)));
        }
        let set: Value =
            self.outbound.fetch_json(&found.jwks_uri).await.map_err(|error| unavailable(&error))?;
        Ok(set.to_string())
    }
}
