//! How many requests went to AWS, by service and operation.
//!
//! Every attempt counts, repeated ones too, because every attempt is paid. The counter is a hook of the SDK, so no
//! adapter can forget it.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests by service and operation (`DynamoDB`, `GetItem`).
pub type Counted = BTreeMap<(String, String), u64>;

/// The counters that the clients of one connection share.
#[derive(Debug, Clone, Default)]
pub struct RequestCounts {
    counted: Arc<Mutex<Counted>>,
}

impl RequestCounts {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was sent so far.
    #[must_use]
    pub fn so_far(&self) -> Counted {
        self.lock().clone()
    }

    /// What was sent so far to one service, as the SDK names it.
    #[must_use]
    pub fn of(&self, service: &str) -> u64 {
        self.lock().iter().filter(|((name, _), _)| name == service).map(|(_, count)| count).sum()
    }

    /// What was sent so far altogether.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().values().sum()
    }

    fn add(&self, service: &str, operation: &str) {
        *self.lock().entry((service.to_owned(), operation.to_owned())).or_default() += 1;
    }
}

impl Intercept for RequestCounts {
    fn name(&self) -> &'static str {
        "RequestCounts"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match config.load::<Metadata>() {
            Some(metadata) => self.add(metadata.service(), metadata.name()),
            None => self.add("unknown", "unknown"),
        }
        Ok(())
    }
}
