//! The guard of outgoing calls: what a URL may be, and to which addresses its name may lead.
//!
//! A name is resolved once, by the client itself, and what does not pass is thrown away before anything connects: there
//! is no second look-up that could answer differently. Addresses in URLs are judged the same way.

use crate::address::{Kind, kind};
use async_trait::async_trait;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the operator lets pass besides the public internet by `https`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// This machine and private networks, by `http` or `https`, at any port. Metadata services stay forbidden.
    pub private: bool,
    /// `http` at port 80.
    pub plain: bool,
    /// Hosts, as they stand in URLs: a name or an address, by `http` or `https`, at any port, wherever it leads.
    pub hosts: BTreeSet<String>,
}

impl Allow {
    fn host(&self, host: &str) -> bool {
        self.hosts.contains(host.trim_end_matches('.'))
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.host(host)
            || match kind(address) {
                Kind::Public => true,
                Kind::Private => self.private,
                Kind::Forbidden => false,
            }
    }
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// It is no URL.
    #[error("the URL cannot be read")]
    NoUrl,
    /// It has a user or a password in it.
    #[error("the URL has a user in it")]
    User,
    /// Neither `https` nor an allowed `http`.
    #[error("the URL must begin with https")]
    Scheme,
    /// A port that is not open to calls.
    #[error("calls go to port 443 only")]
    Port,
    /// The address, or every address of the name, is not of the public internet.
    #[error("the address is not of the public internet")]
    Address,
}

/// Looks names up.
#[async_trait]
pub trait Lookup: Debug + Send + Sync {
    /// The addresses of a name.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The look-up of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The guard.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Arc<Allow>,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    /// A guard.
    #[must_use]
    pub fn new(allow: Allow, lookup: Arc<dyn Lookup>) -> Self {
        Self { allow: Arc::new(allow), lookup }
    }

    /// The URL of a call that may be tried; a name in it is judged when it is resolved.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, text: &str) -> Result<Url, Blocked> {
        let url = Url::parse(text).map_err(|_unreadable| Blocked::NoUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::User);
        }
        let host = url.host_str().ok_or(Blocked::NoUrl)?.to_owned();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if address.is_some_and(|address| !self.allow.address(&host, address)) {
            return Err(Blocked::Address);
        }
        let free = self.allow.private || self.allow.host(&host);
        match (url.scheme(), url.port_or_known_default()) {
            ("https" | "http", _) if free => Ok(url),
            ("https", Some(443)) => Ok(url),
            ("http", Some(80)) if self.allow.plain => Ok(url),
            ("https", _) => Err(Blocked::Port),
            ("http", _) if self.allow.plain => Err(Blocked::Port),
            _ => Err(Blocked::Scheme),
        }
    }

    async fn addresses(
        &self,
        name: &str,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.lookup.addresses(name).await?;
        let passed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| self.allow.address(name, *address))
            .map(|address| SocketAddr::new(address, 0))
            .collect();
        if passed.is_empty() { Err(Blocked::Address.into()) } else { Ok(passed) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
