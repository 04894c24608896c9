//! A message on its way: waiting, told, or given up.
//!
//! An attempt is counted before it is made, so that a server that dies in between has made it. Five attempts, with
//! longer and longer pauses; then it has failed, until someone asks for it again.

use super::parcel::Answer;
use super::story::Story;
use super::{Event, Rule};
use crate::domain::id::{EventId, ProjectId, RuleId, RunId, digest_hex};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Attempts, the first one included.
pub const ATTEMPTS: u32 = 5;
/// Pauses after the first, second … attempt, in milliseconds.
const PAUSES_MS: [u64; 4] = [10_000, 60_000, 600_000, 3_600_000];
/// An attempt without an answer is over after this long, in milliseconds.
const ATTEMPT_LIMIT_MS: u64 = 120_000;
/// Longest wait that a receiver may ask for, in milliseconds.
const AFTER_LIMIT_MS: u64 = 3_600_000;
/// Attempts remembered over all redeliveries.
const REMEMBERED: usize = 20;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// To be tried, or tried again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// Given up.
    Failed,
}

impl DeliveryStatus {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// One attempt that has an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the answer came.
    pub at: Timestamp,
    /// Why it was not taken; `None` = it was.
    pub problem: Option<String>,
}

/// A message to one rule about one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Id: derived from the run and the rule.
    pub id: EventId,
    /// The project.
    pub project: ProjectId,
    /// The rule, by which the channel is found when it is sent.
    pub rule: RuleId,
    /// What the rule was called.
    pub rule_name: String,
    /// The kind of its channel.
    pub channel: String,
    /// The run; `None` = a test message.
    pub run: Option<RunId>,
    /// What it tells.
    pub events: BTreeSet<Event>,
    /// What it is about.
    pub story: Story,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts begun since it was asked for last.
    pub tried: u32,
    /// Attempts that have an answer, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it is to be tried next.
    pub next_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The id of what a rule is told of a run that was over at `at`: the same whenever it is asked for. Ids sort by time.
#[must_use]
pub fn delivery_id(at: Timestamp, run: RunId, rule: RuleId) -> EventId {
    EventId(timed_id(at, &format!("delivery {run} {rule}")))
}

/// A number of the form of a UUID of version 7 with the time in it; all the rest is derived from `what`.
#[must_use]
pub fn timed_id(at: Timestamp, what: &str) -> u128 {
    let digest = digest_hex(what);
    let random = u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default();
    let time = u128::from(at.0) << 80;
    let (version, variant) = (0x7_u128 << 76, 0x2_u128 << 62);
    let free = !(0xf_u128 << 76) & !(0x3_u128 << 62) & ((1_u128 << 80) - 1);
    time | version | variant | (random & free)
}

impl Delivery {
    /// A message to be sent at once.
    #[must_use]
    pub fn new(id: EventId, rule: &Rule, events: BTreeSet<Event>, story: Story, now: Timestamp) -> Self {
        Self {
            id,
            project: story.project.clone(),
            rule: rule.id,
            rule_name: rule.name.clone(),
            channel: rule.channel.kind().to_owned(),
            run: story.run,
            events,
            story,
            status: DeliveryStatus::Pending,
            tried: 0,
            attempts: Vec::new(),
            next_at: Some(now),
            created_at: now,
        }
    }

    /// The delivery with one more attempt begun; `None` if it is not its time. One whose last attempt got no answer
    /// is given up by this.
    #[must_use]
    pub fn begun(&self, now: Timestamp) -> Option<Self> {
        let due = self.status == DeliveryStatus::Pending && self.next_at.is_some_and(|at| at <= now);
        if !due {
            return None;
        }
        if self.tried >= ATTEMPTS {
            let reason = "the server stopped during the last attempt".to_owned();
            return Some(self.answered(&Answer::Refused { reason }, now));
        }
        Some(Self { tried: self.tried + 1, next_at: Some(now.plus_ms(ATTEMPT_LIMIT_MS)), ..self.clone() })
    }

    /// The delivery after an attempt.
    #[must_use]
    pub fn answered(&self, answer: &Answer, now: Timestamp) -> Self {
        let mut next = self.clone();
        let problem = match answer {
            Answer::Delivered => {
                next.status = DeliveryStatus::Delivered;
                next.next_at = None;
                None
            }
            Answer::Refused { reason } => {
                next.status = DeliveryStatus::Failed;
                next.next_at = None;
                Some(reason.clone())
            }
            Answer::Later { reason, after_ms } => {
                next.postpone(*after_ms, now);
                Some(reason.clone())
            }
        };
        next.attempts.push(Attempt { at: now, problem });
        let surplus = next.attempts.len().saturating_sub(REMEMBERED);
        next.attempts.drain(..surplus);
        next
    }

    fn postpone(&mut self, after_ms: Option<u64>, now: Timestamp) {
        let place = usize::try_from(self.tried.saturating_sub(1)).unwrap_or(usize::MAX);
        match PAUSES_MS.get(place) {
            Some(pause_ms) => {
                let asked_ms = after_ms.unwrap_or(0).min(AFTER_LIMIT_MS);
                self.next_at = Some(now.plus_ms(asked_ms.max(*pause_ms)));
            }
            None => {
                self.status = DeliveryStatus::Failed;
                self.next_at = None;
            }
        }
    }

    /// The delivery to be sent once more, by request.
    #[must_use]
    pub fn again(&self, now: Timestamp) -> Self {
        Self { status: DeliveryStatus::Pending, tried: 0, next_at: Some(now), ..self.clone() }
    }
}
