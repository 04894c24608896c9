//! From a process's beginning to its end: set up once, then one event after the other.

use crate::cloud::{Cloud, OpenError, Tokens};
use crate::metrics::{self, Outcome};
use async_trait::async_trait;
use lambda_runtime::tracing::{Instrument as _, error, info_span, warn};
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn, tracing};
use serde_json::Value;
use shared::ports::PortError;
use shared::service::ServiceError;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

/// What a function does with an event.
#[async_trait]
pub trait Function: Send + Sync {
    /// Handles one event; the answer is what the platform expects of this kind of function.
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed>;

    /// Whether whoever sent the event asked us to wait, so that the time of this answer is theirs.
    fn waited(&self, _answer: &Value) -> bool {
        false
    }
}

/// Why an event could not be handled. The platform tries again, then keeps the event with this as the reason.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It is not one that this function understands.
    #[error("the event is not understood: {0}")]
    Event(String),
    /// A use-case failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The outside failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The time was not enough for everything.
    #[error("stopped before the time of the function was over; the next event goes on")]
    Late,
}

impl Failed {
    fn name(&self) -> &'static str {
        match self {
            Self::Event(_) => "Event",
            Self::Service(_) => "Service",
            Self::Port(_) => "Port",
            Self::Late => "Late",
        }
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Self::Event(error.to_string())
    }
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self { error_type: failed.name().to_owned(), error_message: failed.to_string() }
    }
}

/// Makes a function out of its cloud.
pub type Make = fn(Cloud) -> Result<Box<dyn Function>, OpenError>;

/// Runs a function until the platform ends its process.
///
/// Nothing here is generic, so that all of it is compiled with this library and not once more with each function.
///
/// # Errors
/// It cannot begin; the reason is in the log, too.
pub fn run(name: &'static str, tokens: Tokens, make: Make) -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing::init_default_subscriber();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = begin(tokens, make).await;
        let one = begun.inspect_err(|error| error!(function = name, %error, "cannot begin"))?;
        let one = Arc::new(one);
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
            let one = Arc::clone(&one);
            // The trace goes on by itself: the SDK sends its id with every request that it makes meanwhile.
            let trace = event.context.xray_trace_id.as_deref().unwrap_or_default();
            let span = info_span!("event", function = name, request_id = %event.context.request_id, trace);
            async move { handle(&one.0, one.1.as_ref(), event).await }.instrument(span)
        }))
        .await
    })
}

async fn begin(tokens: Tokens, make: Make) -> Result<(Cloud, Box<dyn Function>), OpenError> {
    let cloud = Cloud::from_environment(tokens).await?;
    Ok((cloud.clone(), make(cloud)?))
}

async fn handle(cloud: &Cloud, function: &dyn Function, event: LambdaEvent<Value>) -> Result<Value, Failed> {
    let (before, begun) = (cloud.connection.counts().so_far(), Instant::now());
    let name = event.context.env_config.function_name.clone();
    let answer = function.call(event.payload, event.context).await;
    // The process is frozen as soon as it has answered, so what it still has to say is said now.
    if let Err(error) = cloud.bus.flush(&cloud.services).await {
        warn!(%error, "the ends of runs were not told to the event bus");
    }
    let waited = answer.as_ref().is_ok_and(|answer| function.waited(answer));
    let outcome = Outcome { done: answer.is_ok(), took: (!waited).then(|| begun.elapsed()) };
    metrics::print(&name, &before, &cloud.connection.counts().so_far(), outcome, cloud.services.clock.now());
    answer.inspect_err(|error| error!(%error, "the event failed"))
}
