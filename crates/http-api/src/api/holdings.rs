//! What the router holds beside the services: settings, counters, budgets, keys of issuers.

use super::metrics::Metrics;
use super::oidc::Verifier;
use super::rate::Buckets;
use super::settings::ApiSettings;
use super::shown::Shown;
use shared::service::key::KeyMemory;

/// Shared by all requests of a router.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) verifier: Verifier,
    pub(super) settings: ApiSettings,
    pub(super) buckets: Buckets,
    pub(super) metrics: Metrics,
    pub(super) shown: Shown,
    pub(super) keys: KeyMemory,
}

impl Holdings {
    pub(super) fn new(settings: ApiSettings) -> Self {
        Self {
            verifier: Verifier::new(&settings.oidc),
            settings,
            buckets: Buckets::default(),
            metrics: Metrics::default(),
            shown: Shown::default(),
            keys: KeyMemory::default(),
        }
    }
}
