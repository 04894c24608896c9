//! Batches of messages: each wake is handled, what failed is given back, what will never be understood is buried.
//!
//! A batch that would run out of time stops early and gives the rest back: a function that is killed gives back
//! nothing, and all of its messages would come again.

use crate::cloud::Cloud;
use crate::start::{Failed, Function};
use async_trait::async_trait;
use aws::sqs::message::Poison;
use aws::sqs::{Opened, Unopened};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::Context;
use lambda_runtime::tracing::{error, info};
use serde_json::Value;
use shared::ports::{Queue as _, Topic, Wake};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout_at};

/// The part of the remaining time that is worked in, in percent.
const WORKED_PERCENT: u32 = 80;
/// A wake that came second to someone else is sent again after this long.
const CONFLICT_MS: u64 = 1_000;
/// A message that failed stays hidden this long for each time that it was received…
const HIDDEN_S: u64 = 10;
/// …and not longer than this.
const HIDDEN_LIMIT_S: u64 = 120;

/// A function that handles the wakes of one topic.
#[derive(Debug)]
pub struct Batch {
    cloud: Cloud,
    topic: Topic,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It comes again after so many seconds.
    Again(u64),
}

/// When work has to stop, from the time at which the platform will stop it.
#[must_use]
pub fn stop_at(context: &Context) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_millis(context.deadline).saturating_sub(now);
    Instant::now() + left * WORKED_PERCENT / 100
}

impl Batch {
    /// A function for one topic.
    #[must_use]
    pub fn new(cloud: Cloud, topic: Topic) -> Self {
        Self { cloud, topic }
    }

    /// Handles a batch until `stop`; the answer names the messages that are to come again.
    pub async fn handle(&self, event: SqsEvent, stop: Instant) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        let mut looked: BTreeMap<Wake, Outcome> = BTreeMap::new();
        for message in &event.records {
            let outcome = match Instant::now() < stop {
                true => self.one(message, stop, &mut looked).await,
                false => Outcome::Again(0),
            };
            if let Outcome::Again(hidden_s) = outcome {
                response.add_failure(message.message_id.clone().unwrap_or_default());
                self.give_back(message, hidden_s).await;
            }
        }
        response
    }

    async fn one(
        &self,
        message: &SqsMessage,
        stop: Instant,
        looked: &mut BTreeMap<Wake, Outcome>,
    ) -> Outcome {
        let text = message.body.as_deref().unwrap_or_default();
        match self.cloud.queue.open(text).await {
            Ok(Opened::Wake(wake)) if wake.topic == self.topic => match looked.get(&wake) {
                Some(outcome) => *outcome,
                None => {
                    let outcome = self.look(wake, hidden_s(message), stop).await;
                    looked.insert(wake, outcome);
                    outcome
                }
            },
            // It came before its time.
            Ok(Opened::SentOn(_)) => Outcome::Done,
            Ok(Opened::Wake(_) | Opened::Text(_)) => self.bury(message, &Poison::Misplaced).await,
            Err(Unopened::Poison(poison)) => self.bury(message, &poison).await,
            Err(Unopened::Port(error)) => {
                say_of_message(message, "a message cannot be opened now", &error);
                Outcome::Again(hidden_s(message))
            }
        }
    }

    async fn look(&self, wake: Wake, hidden_s: u64, stop: Instant) -> Outcome {
        match timeout_at(stop, self.cloud.services.handle(wake)).await {
            Ok(Ok(())) => {
                info!(run = %wake.run, topic = ?wake.topic, "the run was looked at");
                Outcome::Done
            }
            // Someone else is at this run; that is no failure that the message should be counted for.
            Ok(Err(error)) if error.is_conflict() => match self.cloud.queue.send(wake, CONFLICT_MS).await {
                Ok(()) => Outcome::Done,
                Err(_) => Outcome::Again(hidden_s),
            },
            Ok(Err(error)) => {
                say_of_run(wake, &error);
                Outcome::Again(hidden_s)
            }
            Err(_elapsed) => {
                say_of_run(wake, &Failed::Late);
                Outcome::Again(0)
            }
        }
    }

    async fn bury(&self, message: &SqsMessage, poison: &Poison) -> Outcome {
        let text = message.body.as_deref().unwrap_or_default();
        say_of_message(message, "a message goes to the dead letters", poison);
        match self.cloud.queue.bury(self.topic, text, poison).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                say_of_message(message, "a message could not be buried", &error);
                Outcome::Again(hidden_s(message))
            }
        }
    }

    /// Has a message come again sooner than the queue by itself would let it.
    async fn give_back(&self, message: &SqsMessage, hidden_s: u64) {
        let receipt = message.receipt_handle.as_deref().unwrap_or_default();
        // Otherwise it comes later.
        drop(self.cloud.queue.inbox(self.topic).hide(receipt, hidden_s).await);
    }
}

fn say_of_run(wake: Wake, error: &dyn Display) {
    error!(run = %wake.run, topic = ?wake.topic, %error, "the run cannot be looked at");
}

fn say_of_message(message: &SqsMessage, what: &str, error: &dyn Display) {
    error!(message = message.message_id, %error, "{what}");
}

fn receptions(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn hidden_s(message: &SqsMessage) -> u64 {
    (HIDDEN_S * u64::from(receptions(message))).min(HIDDEN_LIMIT_S)
}

#[async_trait]
impl Function for Batch {
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed> {
        let stop = stop_at(&context);
        let event: SqsEvent = serde_json::from_value(event)?;
        Ok(serde_json::to_value(self.handle(event, stop).await)?)
    }
}
