//! The receiving end of the queues.
//!
//! In the cloud an event source receives and deletes; what is here is for opening what it hands over, and for
//! commands and tests that receive themselves.

use super::message::{Body, Poison};
use super::{DEAD_SUFFIX, PORT, SqsQueue};
use crate::failure::Failure;
use crate::limits::{QUEUE_BATCH_LIMIT, RECEIVE_WAIT_LIMIT_S, VISIBILITY_LIMIT_S};
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName};
use shared::ports::{PortError, PortResult, Queue as _, Topic, Wake};

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

    /// Receives at most ten messages, waiting for the first, and hides them for `hidden_s`.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn receive(&self, topic: Topic, wait_s: u64, hidden_s: u64) -> PortResult<Vec<Received>> {
        let url = self.url(topic);
        let receive = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(whole(u64::try_from(QUEUE_BATCH_LIMIT).unwrap_or(1)))
            .wait_time_seconds(whole(wait_s.min(RECEIVE_WAIT_LIMIT_S)))
            .visibility_timeout(whole(hidden_s.min(VISIBILITY_LIMIT_S)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = receive.send().await.map_err(|error| Failure::of(&error).into_port(PORT, url))?;
        let received = answer.messages.unwrap_or_default().into_iter().map(|message| {
            let count = message
                .attributes
                .as_ref()
                .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .and_then(|count| count.parse().ok());
            Received {
                text: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
                receptions: count.unwrap_or(1),
            }
        });
        Ok(received.collect())
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn done(&self, topic: Topic, message: &Received) -> PortResult<()> {
        let url = self.url(topic);
        let sent = self.client.delete_message().queue_url(url).receipt_handle(&message.receipt).send().await;
        sent.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, url))
    }

    /// Hides a received message for so long from now on; 0 gives it back.
    ///
    /// # Errors
    /// Those of the port.
    pub async fn hide(&self, topic: Topic, message: &Received, hidden_s: u64) -> PortResult<()> {
        let url = self.url(topic);
        let hidden_s = whole(hidden_s.min(VISIBILITY_LIMIT_S));
        let hide = self.client.change_message_visibility().queue_url(url).receipt_handle(&message.receipt);
        let sent = hide.visibility_timeout(hidden_s).send().await;
        sent.map(drop).map_err(|error| Failure::of(&error).into_port(PORT, url))
    }

    /// Moves a message that will never be understood to the dead-letter queue, with the reason.
    ///
    /// # Errors
    /// Those of the port; the message stays where it is.
    pub async fn bury(&self, topic: Topic, text: &str, poison: &Poison) -> PortResult<()> {
        let url = format!("{}{DEAD_SUFFIX}", self.url(topic));
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
