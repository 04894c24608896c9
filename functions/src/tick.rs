//! What happens by the clock: the sweep, retention, schedules, notifications.

use crate::batch::stop_at;
use crate::cloud::Cloud;
use crate::redrive::redrive;
use crate::start::{Failed, Function};
use async_trait::async_trait;
use aws::events::{RUN_FINISHED, SOURCE};
use lambda_runtime::Context;
use lambda_runtime::tracing::info;
use serde::Deserialize;
use serde_json::Value;
use shared::service::ServiceResult;
use shared::service::notify::Notices;
use std::future::Future;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Runs that one tick forgets; with more, the next one goes on.
const RETAINED_RUNS: usize = 50;

/// What a schedule of the platform says.
#[derive(Debug, Deserialize)]
struct Tick {
    tick: String,
}

impl Tick {
    fn read(event: &Value) -> Result<String, Failed> {
        Ok(Self::deserialize(event)?.tick)
    }

    fn unknown(tick: &str) -> Failed {
        Failed::Event(format!("`{tick}` is no tick of this function"))
    }
}

/// Of the time of a sweep, so much is for beginning to look at runs.
const SWEPT_PERCENT: u32 = 75;

/// Work that may take longer than there is time for.
async fn until<T>(stop: Instant, work: impl Future<Output = ServiceResult<T>>) -> Result<T, Failed> {
    match timeout_at(stop, work).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(Failed::Late),
    }
}

/// The function that looks at everything that is open, and forgets what is over; it also redrives dead letters.
#[derive(Debug)]
pub struct Sweep(pub Cloud);

#[async_trait]
impl Function for Sweep {
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed> {
        let (stop, services) = (stop_at(&context), &self.0.services);
        match Tick::read(&event)?.as_str() {
            "sweep" => {
                // The rest of the time is for the run that is being looked at then.
                let begun = Instant::now();
                let soft = begun + stop.saturating_duration_since(begun) * SWEPT_PERCENT / 100;
                let is_time = || Instant::now() < soft;
                let all = Box::pin(until(stop, services.sweep_while(&is_time))).await?;
                if !all {
                    info!("there was no time for every run; the next tick goes on");
                }
            }
            "retain" => {
                let work = async {
                    services.forget_sources(services.clock.now()).await?;
                    services.retain(RETAINED_RUNS).await
                };
                let forgotten = until(stop, work).await?;
                info!(runs = forgotten.len(), "runs were forgotten");
            }
            // Said by a person, who reads the answer.
            "redrive" => {
                let redriven = redrive(&self.0, &context, stop).await?;
                info!(?redriven, "dead letters were handled again");
                return Ok(serde_json::to_value(redriven)?);
            }
            other => return Err(Tick::unknown(other)),
        }
        Ok(Value::Null)
    }
}

/// The function that fires schedules.
#[derive(Debug)]
pub struct Schedules(pub Cloud);

#[async_trait]
impl Function for Schedules {
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed> {
        let services = &self.0.services;
        match Tick::read(&event)?.as_str() {
            "schedule" => {
                let runs = until(stop_at(&context), services.fire_due(services.clock.now())).await?;
                for run in runs {
                    info!(%run, "a schedule was fired");
                }
            }
            other => return Err(Tick::unknown(other)),
        }
        Ok(Value::Null)
    }
}

/// The function that tells people: of a run when it ends, and of what is due again.
#[derive(Debug)]
pub struct Tell(pub Arc<Notices>);

#[derive(Debug, Deserialize)]
struct Told {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
}

#[async_trait]
impl Function for Tell {
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed> {
        if let Ok(told) = Told::deserialize(&event) {
            if told.source != SOURCE || told.kind != RUN_FINISHED {
                info!(source = told.source, "an event of somebody else");
                return Ok(Value::Null);
            }
        } else {
            match Tick::read(&event)?.as_str() {
                "notify" => {}
                other => return Err(Tick::unknown(other)),
            }
        }
        let stop = stop_at(&context);
        let mut sent = 0;
        // One step sends what is due now; with something sent, there may be more.
        loop {
            let count = until(stop, notify::outbox::step(&self.0)).await?;
            sent += count;
            if count == 0 || Instant::now() >= stop {
                break;
            }
        }
        info!(sent, "what was due was sent");
        Ok(Value::Null)
    }
}
