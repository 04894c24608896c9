//! The event bus: whoever listens in the account hears of each run's end.
//!
//! Events are hints as every message is; what is told to people comes from the outbox. A function is frozen as soon as
//! it has answered, so what is noted here must be sent by [`Bus::flush`] before that.

use crate::failure::Failure;
use crate::limits::PUT_EVENTS_LIMIT;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde::{Deserialize, Serialize};
use shared::domain::id::RunId;
use shared::ports::{Notice, Observer, PortError, PortResult};
use shared::service::Services;
use std::sync::{Arc, Mutex, PoisonError};

/// Name in errors.
const PORT: &str = "events";
/// `source` of our events.
pub const SOURCE: &str = "fleetest";
/// `detail-type` of the event of a run's end.
pub const RUN_FINISHED: &str = "Run Finished";

/// `detail` of the event of a run's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFinished {
    /// Project.
    pub project: String,
    /// Run.
    pub run: String,
    /// Verdict, in the word that JSON has for it.
    pub verdict: String,
}

/// Notes which runs have ended, and tells the bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    name: String,
    ended: Arc<Mutex<Vec<RunId>>>,
}

impl Observer for Bus {
    /// Nothing but ends is told.
    fn looks(&self) -> bool {
        false
    }

    fn notice(&self, run: RunId, notice: Notice) {
        if notice == Notice::Finished {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        }
    }
}

impl Bus {
    /// The bus of this name or ARN.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into(), ended: Arc::default() }
    }

    /// Tells the bus of the runs that have ended since the last time; how many.
    ///
    /// # Errors
    /// Those of the bus and of the store; what was not told is not told later.
    pub async fn flush(&self, services: &Services) -> PortResult<usize> {
        let ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        let mut entries = Vec::new();
        for run in &ended {
            // One that is gone by now needs no event.
            let Ok(stored) = services.run(*run).await else { continue };
            let Some(judgement) = stored.value.judgement else { continue };
            let detail = RunFinished {
                project: stored.value.origin.project.to_string(),
                run: run.to_string(),
                verdict: judgement.verdict.as_str().to_owned(),
            };
            entries.push(self.entry(&detail)?);
        }
        for batch in entries.chunks(PUT_EVENTS_LIMIT) {
            self.put(batch.to_vec()).await?;
        }
        Ok(entries.len())
    }

    fn entry(&self, detail: &RunFinished) -> PortResult<PutEventsRequestEntry> {
        let text = serde_json::to_string(detail).map_err(|error| {
            let reason = error.to_string();
            PortError::Denied { port: PORT, subject: detail.run.clone(), reason }
        })?;
        let entry = PutEventsRequestEntry::builder().event_bus_name(&self.name);
        Ok(entry.source(SOURCE).detail_type(RUN_FINISHED).detail(text).build())
    }

    async fn put(&self, batch: Vec<PutEventsRequestEntry>) -> PortResult<()> {
        let sent = self.client.put_events().set_entries(Some(batch)).send().await;
        let answer = sent.map_err(|error| Failure::of(&error).into_port(PORT, &self.name))?;
        // An answer that is called a success may hold failures.
        let Some(failed) = answer.entries().iter().find(|entry| entry.error_code().is_some()) else {
            return Ok(());
        };
        let (code, words) =
            (failed.error_code().unwrap_or_default(), failed.error_message().unwrap_or_default());
        Err(Failure::judged(code, words, 400).into_port(PORT, &self.name))
    }
}
