//! Repositories in the cloud: every function knows which addresses can be looked up, those that plan look them up.
//!
//! Functions have no git. The client of GitHub's API is linked where [`with_repositories`] is called and nowhere else,
//! and made when the first repository is asked for: most events ask for none.

use crate::cloud::Cloud;
use async_trait::async_trait;
use aws::config::Github;
use aws::connection::Connection;
use aws::secrets;
use lambda_runtime::tracing::warn;
use notify::client::Outbound;
use notify::forge::{GithubForge, check_address};
use notify::guard::Allow;
use shared::domain::detect::Listing;
use shared::ports::forge::{Forge, NoForge, Resolved, Snapshot};
use shared::ports::{PortError, PortResult};
use shared::service::Services;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A forge that knows addresses only: what it lets pass, a function that plans can look up.
#[derive(Debug)]
pub struct Addresses {
    hosts: BTreeMap<String, String>,
    has_token: bool,
}

impl Addresses {
    /// The addresses of a configuration.
    #[must_use]
    pub fn of(github: &Github) -> Self {
        let hosts = BTreeMap::from([(github.host.clone(), github.api_url.clone())]);
        Self { hosts, has_token: github.token_secret.is_some() }
    }
}

#[async_trait]
impl Forge for Addresses {
    fn check(&self, url: &str) -> PortResult<()> {
        check_address(&self.hosts, url)
    }

    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved> {
        NoForge.resolve(url, reference).await
    }

    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>> {
        NoForge.file(url, commit, path).await
    }

    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing> {
        NoForge.listing(url, commit).await
    }

    fn sees_private(&self) -> bool {
        self.has_token
    }
}

/// The same cloud, whose services look repositories up.
#[must_use]
pub fn with_repositories(cloud: Cloud) -> Cloud {
    let forge = Repositories {
        addresses: Addresses::of(&cloud.config.github),
        token_secret: cloud.config.github.token_secret.clone(),
        is_emulated: cloud.config.account.endpoint.is_some(),
        connection: cloud.connection.clone(),
        opened: OnceCell::new(),
    };
    let services = Services { forge: Arc::new(forge), ..cloud.services.as_ref().clone() };
    Cloud { services: Arc::new(services), ..cloud }
}

#[derive(Debug)]
struct Repositories {
    addresses: Addresses,
    token_secret: Option<String>,
    is_emulated: bool,
    connection: Connection,
    opened: OnceCell<GithubForge>,
}

impl Repositories {
    /// The forge for a repository whose address is one that can be looked up.
    async fn github(&self, url: &str) -> PortResult<&GithubForge> {
        self.check(url)?;
        self.opened.get_or_try_init(|| self.open(url)).await
    }

    async fn open(&self, url: &str) -> PortResult<GithubForge> {
        let token = match &self.token_secret {
            Some(id) => {
                let read = secrets::token_text(&self.connection.secrets_manager(), id).await;
                Some(read.map_err(|error| without_token(url, &error))?)
            }
            None => None,
        };
        // Beside an emulator, GitHub may be a fake on this machine.
        let allow = Allow { private: self.is_emulated, ..Allow::default() };
        let outbound = Outbound::new(allow).map_err(|error| PortError::Denied {
            port: "forge",
            subject: url.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(GithubForge::new(outbound, self.addresses.hosts.clone(), token))
    }
}

/// What it means for a run that the token cannot be read. Names of secrets are for the log.
fn without_token(url: &str, error: &PortError) -> PortError {
    warn!(%error, "the token for repositories cannot be read");
    let (port, subject) = ("forge", url.to_owned());
    let reason =
        "this installation's token for repositories cannot be read; the log of the function says why";
    let reason = reason.to_owned();
    match error {
        PortError::Unavailable { .. } | PortError::Conflict { .. } => {
            PortError::Unavailable { port, subject, reason }
        }
        PortError::NotFound { .. }
        | PortError::AlreadyExists { .. }
        | PortError::Denied { .. }
        | PortError::Corrupt { .. } => PortError::Denied { port, subject, reason },
    }
}

#[async_trait]
impl Forge for Repositories {
    fn check(&self, url: &str) -> PortResult<()> {
        self.addresses.check(url)
    }

    async fn resolve(&self, url: &str, reference: &str) -> PortResult<Resolved> {
        self.github(url).await?.resolve(url, reference).await
    }

    async fn file(&self, url: &str, commit: &str, path: &str) -> PortResult<Option<String>> {
        self.github(url).await?.file(url, commit, path).await
    }

    async fn listing(&self, url: &str, commit: &str) -> PortResult<Listing> {
        self.github(url).await?.listing(url, commit).await
    }

    fn sees_private(&self) -> bool {
        self.addresses.sees_private()
    }

    async fn snapshot(&self, url: &str, commit: &str) -> PortResult<Option<Box<dyn Snapshot>>> {
        self.github(url).await?.snapshot(url, commit).await
    }
}
