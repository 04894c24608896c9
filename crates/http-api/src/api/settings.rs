//! What the host of the public API decides once.

use super::oidc::OidcSettings;
use std::collections::BTreeSet;
use std::fmt;

/// How many requests a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per minute in the long run; at least 1.
    pub per_minute: u32,
    /// Requests at once, after a quiet time; at least 1.
    pub burst: u32,
}

/// Settings of the public API.
#[derive(Clone)]
pub struct ApiSettings {
    /// Limit per caller and process; `None` = none.
    pub rate: Option<RateLimit>,
    /// Bearer token of `/metrics`; without one there is no such route.
    pub metrics_token: Option<String>,
    /// Identity providers whose tokens are believed.
    pub oidc: OidcSettings,
    /// Subjects (`oidc:issuer#subject`) that are admin of everything.
    pub admins: BTreeSet<String>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            rate: Some(RateLimit { per_minute: 600, burst: 600 }),
            metrics_token: None,
            oidc: OidcSettings::default(),
            admins: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for ApiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiSettings")
            .field("rate", &self.rate)
            .field("oidc", &self.oidc)
            .field("admins", &self.admins)
            .finish_non_exhaustive()
    }
}
