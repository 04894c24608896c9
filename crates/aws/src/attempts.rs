//! Attempts of one request: pauses between them, and whether one ended without a clear answer.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The first pause is at most this long; each one may be twice as long as the one before.
const FIRST_PAUSE_MS: u64 = 25;
/// No pause is longer.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// Waits for a random time, longer in later rounds.
pub(crate) async fn pause(round: u32) {
    let longest_ms = FIRST_PAUSE_MS.saturating_mul(1 << round.min(10)).min(LONGEST_PAUSE_MS);
    // Without a random source everyone waits equally long, which is worse but not wrong.
    let random = getrandom::u64().unwrap_or(longest_ms);
    tokio::time::sleep(Duration::from_millis(1 + random % longest_ms)).await;
}

/// Remembers whether an attempt of its request may have taken effect without saying so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// Whether there was such an attempt.
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Intercept for Doubt {
    fn name(&self) -> &'static str {
        "Doubt"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Refusals, throttles among them, are below 500: they say that nothing happened.
        if context.response().is_none_or(|response| response.status().as_u16() >= 500) {
            self.0.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}
