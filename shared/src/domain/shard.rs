//! A shard's life: wanted, launching, running, and its ends; relaunch after a loss.
//!
//! The document describes the current attempt only. A launch is *intended* (saved) before it is performed, and
//! performing it twice starts one runner. What an older attempt says is refused.

use super::id::{JobNo, LeaseId, RunId, ShardAttempt};
use super::time::Timestamp;
use super::verdict::excerpt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest stored reason of a loss, in bytes.
const PROBLEM_BYTES: usize = 1024;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Life-cycle place of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardStatus {
    /// To be launched, not before `not_before`.
    Wanted,
    /// A launch is intended and perhaps performed; the runner has not come forward.
    Launching,
    /// Its runner has a session and a fresh heartbeat.
    Running,
    /// Its runner ended in order, or was never needed.
    Finished,
    /// Too many of its runners were lost, or none could be started.
    Failed,
}

/// Clocks and limits, in milliseconds; each default is a published number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Heartbeat interval told to runners.
    pub heartbeat_ms: u64,
    /// A runner silent for this long is lost.
    pub lost_after_ms: u64,
    /// A launched runner must come forward within this time.
    pub start_deadline_ms: u64,
    /// Wait before a launch for which there was no room is tried again.
    pub launch_retry_ms: u64,
    /// Launches of one shard, the first included.
    pub launch_limit: u32,
    /// How long a waiting slot sleeps before it asks again, in a job of few slots.
    pub wait_ms: u64,
}

/// Questions of waiting slots per second that a job is to bear. All of them read the same queue: a store that spreads what it
/// holds over machines has it on one.
const QUESTIONS_PER_SECOND: u64 = 100;

impl Clocks {
    /// How long a waiting slot of a job with so many of them sleeps before it asks again, in milliseconds.
    #[must_use]
    pub fn wait_of(&self, slots: u32) -> u64 {
        (u64::from(slots) * 1_000 / QUESTIONS_PER_SECOND)
            .clamp(self.wait_ms, self.heartbeat_ms.max(self.wait_ms))
    }
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            heartbeat_ms: 15_000,
            lost_after_ms: 90_000,
            start_deadline_ms: 8 * 60_000,
            launch_retry_ms: 5_000,
            launch_limit: 5,
            wait_ms: 1_000,
        }
    }
}

/// A shard of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Current attempt.
    pub id: ShardAttempt,
    /// Life-cycle place.
    pub status: ShardStatus,
    /// Not to be launched before.
    pub not_before: Timestamp,
    /// First launch.
    pub started_at: Option<Timestamp>,
    /// While launching: when it must have come forward. While running: when it counts as lost.
    pub deadline: Timestamp,
    /// What the launcher returned for the current attempt.
    pub handle: Option<String>,
    /// The process that exchanged the bootstrap token.
    pub boot_nonce: Option<String>,
    /// Slots of the runner.
    pub slots: u32,
    /// Why the last attempt was lost.
    pub problem: Option<String>,
    /// The lease that each slot was granted last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holding: BTreeMap<u32, LeaseId>,
    /// Whether the current attempt has come for work; its queue counts it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// Attempts that were lost with the host that ran them; they do not count against the limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excused: u32,
    /// How often there was no room for the current attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u32,
    /// Attempts that may still compute although nobody waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_stop: Vec<ToStop>,
}

/// An attempt whose compute must be seen to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToStop {
    /// The attempt.
    pub attempt: u32,
    /// Asking once is enough from then on; before, a launch that is under way may still start it.
    pub until: Timestamp,
}

/// Why a shard refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardRejected {
    /// Another attempt is current, or this one is over: the runner is fenced.
    #[error("this runner is no longer wanted")]
    Fenced,
    /// The bootstrap token was used by another process.
    #[error("the bootstrap token was used already")]
    TokenUsed,
}

impl Shard {
    /// A shard to be launched.
    #[must_use]
    pub fn wanted(run: RunId, job: JobNo, shard: u32, now: Timestamp) -> Self {
        Self {
            id: ShardAttempt { run, job, shard, attempt: 1 },
            status: ShardStatus::Wanted,
            not_before: now,
            started_at: None,
            deadline: Timestamp(0),
            handle: None,
            boot_nonce: None,
            slots: 0,
            problem: None,
            holding: BTreeMap::new(),
            joined: false,
            excused: 0,
            refused: 0,
            to_stop: Vec::new(),
        }
    }

    /// The loss of the current attempt is no fault of the shard's: its host went away. If it is the shard that brings
    /// the host down, the deadline of its run ends that.
    #[must_use]
    pub fn excuse(mut self) -> Self {
        self.excused += 1;
        self
    }

    /// Whether a runner may exist for it.
    #[must_use]
    pub fn live(&self) -> bool {
        matches!(self.status, ShardStatus::Launching | ShardStatus::Running)
    }

    /// Whether it will never have a runner again.
    #[must_use]
    pub fn over(&self) -> bool {
        matches!(self.status, ShardStatus::Finished | ShardStatus::Failed)
    }

    /// The intent to launch, if it is due: saved before the launcher is called.
    #[must_use]
    pub fn intend_launch(&self, clocks: &Clocks, now: Timestamp) -> Option<Self> {
        if self.status != ShardStatus::Wanted || self.not_before > now {
            return None;
        }
        let mut next = self.clone();
        next.status = ShardStatus::Launching;
        next.started_at = next.started_at.or(Some(now));
        next.deadline = now.plus_ms(clocks.start_deadline_ms);
        next.handle = None;
        Some(next)
    }

    /// After a launch for which there was no room: wanted again, later.
    #[must_use]
    pub fn postpone(&self, clocks: &Clocks, now: Timestamp, reason: &str) -> Self {
        let mut next = self.clone();
        next.status = ShardStatus::Wanted;
        next.not_before = now.plus_ms(clocks.launch_retry_ms);
        next.problem = Some(excerpt(reason, PROBLEM_BYTES));
        next.refused = next.refused.saturating_add(1);
        next
    }

    /// The same without having been tried: it is asked for before those that were refused, so that none keeps another
    /// one waiting for ever.
    #[must_use]
    pub fn put_back(&self, clocks: &Clocks, now: Timestamp, reason: &str) -> Self {
        let mut next = self.postpone(clocks, now, reason);
        next.not_before = Timestamp(next.not_before.0.saturating_sub(1));
        next.refused = self.refused;
        next
    }

    /// A runner comes forward with its bootstrap token.
    ///
    /// # Errors
    /// `Fenced` if it is of another attempt or the attempt is over; `TokenUsed` if another process came first.
    pub fn open_session(
        &self,
        id: ShardAttempt,
        nonce: &str,
        slots: u32,
        clocks: &Clocks,
        now: Timestamp,
    ) -> Result<Self, ShardRejected> {
        // Wanted again after a launch of which no answer came: the runner that comes forward is its proof.
        if self.id != id || self.over() {
            return Err(ShardRejected::Fenced);
        }
        if self.boot_nonce.as_deref().is_some_and(|first| first != nonce) {
            return Err(ShardRejected::TokenUsed);
        }
        let mut next = self.clone();
        next.status = ShardStatus::Running;
        next.boot_nonce = Some(nonce.to_owned());
        next.slots = slots.max(1);
        next.deadline = now.plus_ms(clocks.lost_after_ms);
        Ok(next)
    }

    /// Whether a call of this attempt may be heard.
    ///
    /// # Errors
    /// `Fenced` if not.
    pub fn admit(&self, id: ShardAttempt, nonce: &str) -> Result<(), ShardRejected> {
        let known = self.boot_nonce.as_deref() == Some(nonce);
        if self.id == id && known && self.status == ShardStatus::Running {
            Ok(())
        } else {
            Err(ShardRejected::Fenced)
        }
    }

    /// A sign of life.
    #[must_use]
    pub fn heartbeat(&self, clocks: &Clocks, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.deadline = next.deadline.max(now.plus_ms(clocks.lost_after_ms));
        next
    }

    /// A slot has a new lease, or none; asking is a sign of life too.
    #[must_use]
    pub fn holds(&self, slot: u32, lease: Option<LeaseId>, clocks: &Clocks, now: Timestamp) -> Self {
        let mut next = self.heartbeat(clocks, now);
        next.joined = true;
        match lease {
            Some(lease) => next.holding.insert(slot, lease),
            None => next.holding.remove(&slot),
        };
        next
    }

    /// Whether the current attempt is past its deadline.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> bool {
        self.live() && self.deadline < now
    }

    /// After its runner was lost: the next attempt, or failed if it had enough.
    #[must_use]
    pub fn lost(&self, clocks: &Clocks, now: Timestamp, reason: &str) -> Self {
        let mut next = self.clone();
        next.problem = Some(excerpt(reason, PROBLEM_BYTES));
        next.boot_nonce = None;
        next.handle = None;
        next.slots = 0;
        next.holding.clear();
        next.joined = false;
        if self.id.attempt >= clocks.launch_limit + self.excused {
            next.status = ShardStatus::Failed;
        } else {
            next.status = ShardStatus::Wanted;
            next.id.attempt += 1;
            next.refused = 0;
            next.not_before = now;
        }
        next
    }

    /// Its runner ended in order, or is not needed any more.
    #[must_use]
    pub fn finished(&self) -> Self {
        let mut next = self.clone();
        next.status = ShardStatus::Finished;
        next
    }

    /// Remembers that the compute of `of`, the shard as it was, is to be seen gone.
    #[must_use]
    pub fn stopping(mut self, of: &Self, now: Timestamp) -> Self {
        let starting = of.status == ShardStatus::Launching && of.handle.is_none();
        let until = if starting { of.deadline } else { now };
        if of.started_at.is_some() && self.to_stop.iter().all(|other| other.attempt != of.id.attempt) {
            self.to_stop.push(ToStop { attempt: of.id.attempt, until });
        }
        self
    }

    /// Forgets an attempt whose compute is gone for sure.
    #[must_use]
    pub fn stopped(mut self, attempt: u32) -> Self {
        self.to_stop.retain(|other| other.attempt != attempt);
        self
    }

    /// Whether no compute of it can be left.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.over() && self.to_stop.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_waiting_slots_ask_less_often() {
        let clocks = Clocks::default();
        let waits = [0, 1, 100, 101, 1_000, 100_000].map(|slots| clocks.wait_of(slots));
        assert_eq!(waits, [1_000, 1_000, 1_000, 1_010, 10_000, 15_000]);
        let hasty = Clocks { heartbeat_ms: 100, ..clocks };
        assert_eq!(hasty.wait_of(1_000), 1_000);
    }

    const NOW: Timestamp = Timestamp(1_000);

    fn running() -> Shard {
        let clocks = Clocks::default();
        let shard = Shard::wanted(RunId(1), JobNo(1), 1, NOW).intend_launch(&clocks, NOW).unwrap();
        shard.open_session(shard.id, "a", 2, &clocks, NOW).unwrap()
    }

    #[test]
    fn the_bootstrap_token_is_good_for_one_process() {
        let shard = running();
        let clocks = Clocks::default();
        assert_eq!(shard.open_session(shard.id, "b", 2, &clocks, NOW), Err(ShardRejected::TokenUsed));
        assert!(shard.open_session(shard.id, "a", 2, &clocks, NOW).is_ok());
    }

    #[test]
    fn a_lost_attempt_is_fenced_and_replaced_a_bounded_number_of_times() {
        let clocks = Clocks::default();
        let mut shard = running();
        let first = shard.id;
        for launches in 2..=clocks.launch_limit {
            shard = shard.lost(&clocks, NOW, "gone");
            assert_eq!((shard.status, shard.id.attempt), (ShardStatus::Wanted, launches));
            shard = shard.intend_launch(&clocks, NOW).unwrap();
        }
        assert_eq!(shard.admit(first, "a"), Err(ShardRejected::Fenced));
        assert_eq!(shard.lost(&clocks, NOW, "gone").status, ShardStatus::Failed);
    }

    #[test]
    fn what_was_lost_with_the_host_does_not_count_against_the_limit() {
        let clocks = Clocks { launch_limit: 1, ..Clocks::default() };
        let mut shard = running();
        for attempt in 2..=50 {
            shard = shard.excuse().lost(&clocks, NOW, "the host is gone");
            assert_eq!((shard.status, shard.id.attempt), (ShardStatus::Wanted, attempt));
        }
        assert_eq!(shard.lost(&clocks, NOW, "its own end").status, ShardStatus::Failed);
    }

    #[test]
    fn silence_past_the_deadline_is_loss_and_a_heartbeat_moves_it() {
        let clocks = Clocks::default();
        let shard = running();
        let late = NOW.plus_ms(clocks.lost_after_ms + 1);
        assert!(shard.overdue(late));
        assert!(!shard.heartbeat(&clocks, NOW.plus_ms(10)).overdue(late));
    }
}
