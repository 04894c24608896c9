//! `Queue` on SQS: one queue per topic.
//!
//! Standard queues: at least once, unordered, which is what the port says. Delays are rounded up to seconds; one that
//! is longer than a queue can hold travels with the message, and whoever opens it too early sends it on. A message
//! longer than [`CLAIM_ABOVE_BYTES`] is left with the blobs, and a claim is sent instead. What cannot be understood
//! goes to the dead-letter queue at once, with the reason: a queue's own redrive would only try it again.

mod inbox;
pub mod message;

use crate::attempts;
use crate::config::QueueUrls;
use crate::failure::{Failure, Kind};
use crate::limits::{CLAIM_ABOVE_BYTES, DELAY_LIMIT_S, MESSAGE_LIMIT_BYTES, QUEUE_BATCH_LIMIT};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use message::{Body, Claim};
use shared::ports::{Blobs, Clock, PortError, PortResult, Queue, Topic, Wake};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use inbox::{Inbox, Opened, REASON_ATTRIBUTE, Received, Unopened};

/// Name of the port in errors.
const PORT: &str = "queue";
/// The dead-letter queue of a queue has its name and this.
pub const DEAD_SUFFIX: &str = "-dead";
/// How often entries of a batch are sent that the queue could not take.
const BATCH_ATTEMPTS: u32 = 4;

/// The queues of all topics.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    urls: QueueUrls,
    claims: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// A message as it is sent.
#[derive(Debug, Clone)]
struct Outgoing {
    text: String,
    delay_s: i32,
}

impl SqsQueue {
    /// The queues at `urls`; long messages are left with `claims`.
    #[must_use]
    pub fn new(client: Client, urls: QueueUrls, claims: Arc<dyn Blobs>, clock: Arc<dyn Clock>) -> Self {
        Self { client, urls, claims, clock }
    }

    fn url(&self, topic: Topic) -> &str {
        match topic {
            Topic::Plan => &self.urls.plan,
            Topic::Launch => &self.urls.launch,
            Topic::Aggregate => &self.urls.aggregate,
        }
    }

    /// Sends several wakes with as few requests as the queues allow.
    ///
    /// # Errors
    /// Those of the port; some of the wakes may have been sent.
    pub async fn send_all(&self, wakes: &[(Wake, u64)]) -> PortResult<()> {
        let mut by_topic: BTreeMap<Topic, Vec<Outgoing>> = BTreeMap::new();
        for (wake, delay_ms) in wakes {
            by_topic.entry(wake.topic).or_default().push(self.outgoing_wake(*wake, *delay_ms)?);
        }
        for (topic, all) in by_topic {
            for batch in batches(all) {
                self.send_batch(self.url(topic), batch).await?;
            }
        }
        Ok(())
    }

    /// Sends a text of any length to the queue of a topic.
    ///
    /// # Errors
    /// Those of the port, and of the blobs.
    pub async fn send_text(&self, topic: Topic, text: &str) -> PortResult<()> {
        let body = if text.len() > CLAIM_ABOVE_BYTES {
            let claim = Claim::of(text);
            self.claims.put(&claim.key, text.as_bytes().to_vec()).await?;
            Body::Claim(claim)
        } else {
            Body::Text(text.to_owned())
        };
        let text = body.encoded()?;
        self.send_one(self.url(topic), &Outgoing { text, delay_s: 0 }).await
    }

    fn outgoing_wake(&self, wake: Wake, delay_ms: u64) -> PortResult<Outgoing> {
        let wanted_s = delay_ms.div_ceil(1000);
        let delay_s = wanted_s.min(DELAY_LIMIT_S);
        let not_before_ms = (wanted_s > DELAY_LIMIT_S).then(|| self.clock.now().plus_ms(delay_ms).0);
        let text = Body::Wake { wake, not_before_ms }.encoded()?;
        Ok(Outgoing { text, delay_s: i32::try_from(delay_s).unwrap_or(i32::MAX) })
    }

    async fn send_one(&self, url: &str, outgoing: &Outgoing) -> PortResult<()> {
        let send = self.client.send_message().queue_url(url).message_body(&outgoing.text);
        let sent = send.delay_seconds(outgoing.delay_s).send().await;
        sent.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, url))
    }

    /// Sends one batch, and again what the queue could not take of it.
    async fn send_batch(&self, url: &str, batch: Vec<Outgoing>) -> PortResult<()> {
        let mut left: BTreeMap<String, Outgoing> =
            batch.into_iter().enumerate().map(|(place, outgoing)| (place.to_string(), outgoing)).collect();
        for round in 0..BATCH_ATTEMPTS {
            let entries =
                left.iter().map(|(id, outgoing)| entry(url, id, outgoing)).collect::<Result<_, _>>()?;
            let sent =
                self.client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
            let answer = sent.map_err(|error| Failure::of(&error).into_port(PORT, url))?;
            if let Some(fault) = answer.failed.iter().find(|entry| entry.sender_fault) {
                let message = fault.message.clone().unwrap_or_default();
                return Err(Failure::judged(&fault.code, &message, 400).into_port(PORT, url));
            }
            for done in &answer.successful {
                left.remove(&done.id);
            }
            if left.is_empty() {
                return Ok(());
            }
            attempts::pause(round).await;
        }
        let reason = format!("{} messages were not taken in {BATCH_ATTEMPTS} attempts", left.len());
        Err(PortError::Unavailable { port: PORT, subject: url.to_owned(), reason })
    }
}

fn entry(url: &str, id: &str, outgoing: &Outgoing) -> PortResult<SendMessageBatchRequestEntry> {
    let entry = SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(&outgoing.text)
        .delay_seconds(outgoing.delay_s)
        .build();
    entry.map_err(|error| {
        let (code, message) = ("entry not built".to_owned(), error.to_string());
        Failure { kind: Kind::Invalid, code, message }.into_port(PORT, url)
    })
}

/// Batches that are neither too many messages nor too many bytes.
fn batches(all: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut bytes = 0;
    for outgoing in all {
        let size_bytes = outgoing.text.len();
        match batches.last_mut() {
            Some(last) if last.len() < QUEUE_BATCH_LIMIT && bytes + size_bytes <= MESSAGE_LIMIT_BYTES => {
                bytes += size_bytes;
                last.push(outgoing);
            }
            Some(_) | None => {
                bytes = size_bytes;
                batches.push(vec![outgoing]);
            }
        }
    }
    batches
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        let outgoing = self.outgoing_wake(wake, delay_ms)?;
        self.send_one(self.url(wake.topic), &outgoing).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(size_bytes: usize) -> Outgoing {
        Outgoing { text: "x".repeat(size_bytes), delay_s: 0 }
    }

    fn cut(sizes: &[usize]) -> Vec<usize> {
        batches(sizes.iter().map(|size| of_bytes(*size)).collect()).iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_hold_ten_messages_and_256_kibibytes() {
        assert_eq!(cut(&[]), Vec::<usize>::new());
        assert_eq!(cut(&[1; QUEUE_BATCH_LIMIT]), [10]);
        assert_eq!(cut(&[1; QUEUE_BATCH_LIMIT + 1]), [10, 1]);
        let half = MESSAGE_LIMIT_BYTES / 2;
        assert_eq!(cut(&[half, half, half]), [2, 1]);
        assert_eq!(cut(&[half, half + 1, 1]), [1, 2]);
    }
}
