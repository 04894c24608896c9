//! The receiving end of the queues.
//!
//! In the cloud an event source receives and deletes; what is here is for opening what it hands over, and for
//! commands and tests that receive themselves.

use super::message::{Body, Poison};
use super::{DEAD_SUFFIX, Outgoing, PORT, SqsQueue};
use crate::failure::Failure;
use crate::limits::{QUEUE_BATCH_LIMIT, RECEIVE_WAIT_LIMIT_S, VISIBILITY_LIMIT_S};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use shared::domain::time::Timestamp;
use shared::ports::{PortError, PortResult, Queue as _, Topic, Wake};
use std::fmt;

/// Longest reason that a dead message carries.
const REASON_CHARS: usize = 500;
/// The attribute of a dead message that says why it is there.
pub const REASON_ATTRIBUTE: &str = "reason";

/// A message that was received and is hidden from other receivers for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its body, still closed.
    pub text: String,
    /// The right to delete it or to hide it longer.
    pub receipt: String,
    /// How often it was received, this time included.
    pub receptions: u32,
    /// When it was sent to this queue, or to the one whose dead letters these are if the queue moved it here by itself.
    pub sent_at: Timestamp,
}

/// The receiving end of one queue.
#[derive(Clone)]
pub struct Inbox {
    client: Client,
    url: String,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What stands in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A wake that is due.
    Wake(Wake),
    /// A wake that came before its time and was sent on.
    SentOn(Wake),
    /// A text, short or claimed.
    Text(String),
}

/// Why a message could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// It never can be: bury it.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// Later it may be: let it come again.
    #[error(transparent)]
    Port(PortError),
}

fn whole(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Inbox {
    /// Receives at most ten messages, waiting for the first, and hides them for `hidden_s`.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn receive(&self, wait_s: u64, hidden_s: u64) -> PortResult<Vec<Received>> {
        let receive = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(whole(u64::try_from(QUEUE_BATCH_LIMIT).unwrap_or(1)))
            .wait_time_seconds(whole(wait_s.min(RECEIVE_WAIT_LIMIT_S)))
            .visibility_timeout(whole(hidden_s.min(VISIBILITY_LIMIT_S)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = receive.send().await.map_err(|error| Failure::of(&error).into_port(PORT, &self.url))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(Received::from).collect())
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn done(&self, message: &Received) -> PortResult<()> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(&message.receipt);
        delete.send().await.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, &self.url))
    }

    /// Hides the message of a receipt for so long from now on; 0 gives it back.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn hide(&self, receipt: &str, hidden_s: u64) -> PortResult<()> {
        let hide = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let sent = hide.visibility_timeout(whole(hidden_s.min(VISIBILITY_LIMIT_S))).send().await;
        sent.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, &self.url))
    }
}

impl From<Message> for Received {
    fn from(message: Message) -> Self {
        let number = |name| message.attributes.as_ref()?.get(&name)?.parse::<u64>().ok();
        let receptions = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
        let sent_at = Timestamp(number(MessageSystemAttributeName::SentTimestamp).unwrap_or(0));
        Self {
            receptions: u32::try_from(receptions).unwrap_or(u32::MAX),
            sent_at,
            text: message.body.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }
}

impl SqsQueue {
    /// Opens a message: redeems its claim, and sends on what came too early.
    ///
    /// # Errors
    /// `Poison` if it will never be understood, `Port` if it may be later.
    pub async fn open(&self, text: &str) -> Result<Opened, Unopened> {
        match Body::decode(text)? {
            Body::Text(text) => Ok(Opened::Text(text)),
            Body::Wake { wake, not_before_ms } => {
                let left_ms = not_before_ms.unwrap_or(0).saturating_sub(self.clock.now().0);
                if left_ms == 0 {
                    return Ok(Opened::Wake(wake));
                }
                self.send(wake, left_ms).await.map_err(Unopened::Port)?;
                Ok(Opened::SentOn(wake))
            }
            Body::Claim(claim) => match self.claims.fetch(&claim.key, None).await {
                Ok(bytes) => Ok(Opened::Text(claim.checked(bytes)?)),
                Err(PortError::NotFound { .. }) => Err(Poison::ClaimGone(claim.key).into()),
                Err(error) => Err(Unopened::Port(error)),
            },
        }
    }

    /// What waits for a topic.
    #[must_use]
    pub fn inbox(&self, topic: Topic) -> Inbox {
        Inbox { client: self.client.clone(), url: self.url(topic).to_owned() }
    }

    /// The dead letters of a topic.
    #[must_use]
    pub fn dead(&self, topic: Topic) -> Inbox {
        Inbox { client: self.client.clone(), url: format!("{}{DEAD_SUFFIX}", self.url(topic)) }
    }

    /// The events that functions could not be given or could not handle.
    #[must_use]
    pub fn dead_events(&self) -> Inbox {
        Inbox { client: self.client.clone(), url: self.urls.events_dead.clone() }
    }

    /// Sends a message to its topic once more, as it was.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn send_again(&self, topic: Topic, message: &Received) -> PortResult<()> {
        let outgoing = Outgoing { text: message.text.clone(), delay_s: 0 };
        self.send_one(self.url(topic), &outgoing).await
    }

    /// Moves a message that will never be understood to the dead-letter queue, with the reason.
    ///
    /// # Errors
    /// Those of the port; the message stays where it is.
    pub async fn bury(&self, topic: Topic, text: &str, poison: &Poison) -> PortResult<()> {
        let Inbox { url, .. } = self.dead(topic);
        let reason: String =
            poison.to_string().chars().filter(|c| !c.is_control()).take(REASON_CHARS).collect();
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let attribute = attribute.map_err(|error| {
            let reason = error.to_string();
            PortError::Denied { port: PORT, subject: url.clone(), reason }
        })?;
        let send = self.client.send_message().queue_url(&url).message_body(text);
        let sent = send.message_attributes(REASON_ATTRIBUTE, attribute).send().await;
        sent.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, &url))
    }
}
