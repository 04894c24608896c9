//! Requests that may be sent twice and are done once.
//!
//! A claim is a document with a deadline: whoever crashed while it held one blocks the key no longer than that. The
//! seed stays the same for every holder, so that what is named by it is made once even across a crash.

use super::repository::{load, text};
use super::{DECISIONS, ServiceResult, Services};
use crate::domain::id::digest_hex;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, DOCUMENT_LIMIT_BYTES, Key, PortError, Write};
use serde::{Deserialize, Serialize};

/// How long an answer is kept.
pub const KEPT_MS: u64 = 24 * 3600 * 1000;
/// How long a request may be at work before another one takes over.
pub const HELD_MS: u64 = 90_000;
/// Longest text of an answer that is kept: escaped as JSON it must still be a document.
pub const REPLY_LIMIT_BYTES: usize = DOCUMENT_LIMIT_BYTES / 3;

/// An answer, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers worth repeating: name and value.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// What is stored under a subject and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// Digest of the request.
    fingerprint: String,
    /// 32 hexadecimal digits.
    seed: String,
    /// Until when someone is at work on it; `None` = done.
    busy_until: Option<Timestamp>,
    /// The answer, if it could be kept.
    reply: Option<Reply>,
    ends_at: Timestamp,
}

/// The right to do the request.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The same number for everyone who ever holds this claim.
    pub seed: u128,
    key: Key,
    version: u64,
    record: Record,
}

/// Whether a request is to be done.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Do it, then settle or drop the ticket.
    Yours(Ticket),
    /// Someone is at work on it, for this long at most.
    Busy {
        /// Milliseconds.
        for_ms: u64,
    },
    /// The key was used for another request.
    Mismatch,
    /// It was done before; the answer, if it was kept.
    Done(Option<Reply>),
}

fn record_key(subject: &str, name: &str) -> Key {
    Key::new(format!("idem#{subject}"), digest_hex(name))
}

impl Services {
    /// Claims the request that `subject` calls `name` and that reads as `fingerprint`.
    ///
    /// # Errors
    /// Port errors.
    pub async fn claim(&self, subject: &str, name: &str, fingerprint: &str) -> ServiceResult<Claim> {
        let key = record_key(subject, name);
        for _ in 0..DECISIONS {
            let now = self.clock.now();
            let found = load::<Record>(self.store.as_ref(), &key, now).await?;
            let busy_until = Some(now.plus_ms(HELD_MS));
            let (record, condition, version) = match found {
                Some(found) if found.value.fingerprint != fingerprint => return Ok(Claim::Mismatch),
                Some(found) => match found.value.busy_until {
                    None => return Ok(Claim::Done(found.value.reply)),
                    Some(until) if until > now => return Ok(Claim::Busy { for_ms: until.since_ms(now) }),
                    Some(_) => {
                        let record = Record { busy_until, ..found.value };
                        (record, Condition::Version(found.version), found.version + 1)
                    }
                },
                None => {
                    let seed = format!("{:032x}", self.ids.uuid());
                    let ends_at = now.plus_ms(KEPT_MS);
                    let fingerprint = fingerprint.to_owned();
                    let record = Record { fingerprint, seed, busy_until, reply: None, ends_at };
                    (record, Condition::Absent, 1)
                }
            };
            match self.store.commit(vec![put(&key, condition, &record)?]).await {
                Ok(()) => return Ok(Claim::Yours(ticket(key, version, record))),
                Err(PortError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PortError::Conflict { port: "store", subject: key.to_string() }.into())
    }

    /// Keeps the answer of a request that was done; `None` if it cannot be kept.
    ///
    /// # Errors
    /// Port errors; `Conflict` if someone else took over.
    pub async fn settle(&self, ticket: Ticket, reply: Option<Reply>) -> ServiceResult<()> {
        let record = Record { busy_until: None, reply, ..ticket.record };
        let write = put(&ticket.key, Condition::Version(ticket.version), &record)?;
        Ok(self.store.commit(vec![write]).await?)
    }

    /// Leaves a claim to whoever comes next: it is unknown what the request changed.
    ///
    /// # Errors
    /// Port errors; `Conflict` if someone else took over.
    pub async fn yield_claim(&self, ticket: Ticket) -> ServiceResult<()> {
        let record = Record { busy_until: Some(self.clock.now()), ..ticket.record };
        let write = put(&ticket.key, Condition::Version(ticket.version), &record)?;
        Ok(self.store.commit(vec![write]).await?)
    }

    /// Gives a claim back: the request changed nothing and may be sent again.
    ///
    /// # Errors
    /// Port errors; `Conflict` if someone else took over.
    pub async fn unclaim(&self, ticket: Ticket) -> ServiceResult<()> {
        let condition = Condition::Version(ticket.version);
        Ok(self.store.commit(vec![Write { key: ticket.key, condition, change: Change::Delete }]).await?)
    }
}

fn ticket(key: Key, version: u64, record: Record) -> Ticket {
    // The digits were written by us; a broken number would only cost the derived name.
    let seed = u128::from_str_radix(&record.seed, 16).unwrap_or_default();
    Ticket { seed, key, version, record }
}

fn put(key: &Key, condition: Condition, record: &Record) -> Result<Write, PortError> {
    let body = text(record, key)?;
    let change = Change::Put { body, expires_at: Some(record.ends_at), index: None };
    Ok(Write { key: key.clone(), condition, change })
}
