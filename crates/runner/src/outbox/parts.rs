//! The events of one lease on their way out: numbered parts without gaps.
//!
//! Pure but for the spill file. A part is *frozen* before it is first sent and stays the same, number and
//! content, until it is acknowledged; so a repeated part is always the same part. Events leave in the order
//! in which they came.

use super::spill::Spill;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::id::LeaseId;
use shared::wire::link::CHUNK_LIMIT_BYTES;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Room in a part for the events, leaving some for what is around them.
pub const PART_ROOM_BYTES: usize = CHUNK_LIMIT_BYTES - 8 * 1024;
/// So many waiting bytes are worth a call.
pub const PART_WANTED_BYTES: usize = 256 * 1024;
/// No event waits longer than this for company.
pub const PART_WAIT: Duration = Duration::from_millis(200);

/// One part as it is sent: serialises as the wire's `ResultsRequest`, its events being serialised once only.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// The lease.
    pub lease: LeaseId,
    /// Its fencing epoch.
    pub epoch: u64,
    /// Number of this part, counted from 0.
    pub part: u32,
    /// Events.
    pub events: Vec<Box<RawValue>>,
}

/// The coordinator expects a part that this runner has already thrown away, or has not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {sent} was sent and the coordinator expects part {expected} next")]
pub struct Gap {
    sent: u32,
    expected: u32,
}

/// The outgoing events of one lease.
#[derive(Debug)]
pub struct Parts {
    lease: LeaseId,
    epoch: u64,
    next: u32,
    frozen: Option<Arc<Part>>,
    waiting: VecDeque<Box<RawValue>>,
    waiting_bytes: usize,
    oldest: Option<Instant>,
    spill: Option<Spill>,
    damage: Option<String>,
}

impl Parts {
    /// Nothing sent, nothing waiting.
    #[must_use]
    pub fn new(lease: LeaseId, epoch: u64) -> Self {
        Self {
            lease,
            epoch,
            next: 0,
            frozen: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            oldest: None,
            spill: None,
            damage: None,
        }
    }

    /// Takes an event. Beyond `memory_limit` it goes to a file at `spill`; if that fails, it stays in memory,
    /// because losing it would be worse. Says whether the sender has something new to think about.
    pub fn push(&mut self, event: Box<RawValue>, now: Instant, memory_limit: usize, spill: &Path) -> bool {
        let was_due_at = self.due_at();
        if self.spill.is_none() && self.waiting_bytes + event.get().len() > memory_limit {
            self.spill = Spill::create(spill).ok();
        }
        if self.spill.as_mut().is_none_or(|file| file.push(&event).is_err()) {
            // Order matters more than the limit: what is in the file comes back before this one.
            while self.spill.is_some() {
                self.unspill();
            }
            self.waiting_bytes += event.get().len();
            self.waiting.push_back(event);
        }
        self.oldest.get_or_insert(now);
        self.due_at() != was_due_at
    }

    /// When the waiting events should go; a moment in the past means at once. A frozen part is not waiting:
    /// someone is sending it.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let oldest = self.oldest?;
        let enough = self.waiting_bytes >= PART_WANTED_BYTES || self.spill.is_some();
        Some(if enough { oldest } else { oldest + PART_WAIT })
    }

    /// The part to send now: the frozen one as it was, else as many events as fit; `None` if nothing waits.
    pub fn freeze(&mut self) -> Option<Arc<Part>> {
        if self.frozen.is_none() && self.oldest.is_some() {
            self.frozen = Some(self.cut());
        }
        self.frozen.clone()
    }

    /// The last part, if everything that waits fits into one; it may be empty, since it also closes the lease.
    pub fn freeze_last(&mut self) -> Option<Arc<Part>> {
        if self.frozen.is_none() {
            self.frozen = Some(self.cut());
        }
        (self.waiting.is_empty() && self.spill.is_none()).then(|| self.frozen.clone()).flatten()
    }

    /// The coordinator has taken the frozen part and expects `expected` next.
    ///
    /// # Errors
    /// `Gap` if that is not what follows; the lease cannot be reported any more.
    pub fn accepted(&mut self, expected: u32) -> Result<(), Gap> {
        if self.frozen.take().is_none() {
            return Ok(());
        }
        let sent = self.next;
        self.next += 1;
        if expected == self.next { Ok(()) } else { Err(Gap { sent, expected }) }
    }

    /// Why events of this lease are gone for good, if they are: its results must not be trusted any more.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn cut(&mut self) -> Arc<Part> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        loop {
            if self.waiting.is_empty() {
                self.unspill();
            }
            let Some(size) = self.waiting.front().map(|event| event.get().len()) else { break };
            if bytes + size + 1 > PART_ROOM_BYTES && !events.is_empty() {
                break;
            }
            bytes += size + 1;
            self.waiting_bytes = self.waiting_bytes.saturating_sub(size);
            events.extend(self.waiting.pop_front());
        }
        if self.waiting.is_empty() && self.spill.is_none() {
            self.oldest = None;
        }
        Arc::new(Part { lease: self.lease, epoch: self.epoch, part: self.next, events })
    }

    /// Brings the next piece of the spill file into memory; an exhausted file goes away.
    fn unspill(&mut self) {
        let Some(file) = &mut self.spill else { return };
        match file.take(PART_ROOM_BYTES) {
            Ok(events) => {
                self.waiting_bytes += events.iter().map(|event| event.get().len()).sum::<usize>();
                self.waiting.extend(events);
            }
            Err(error) => self.damage = Some(error.to_string()),
        }
        if self.damage.is_some() || self.spill.as_ref().is_some_and(Spill::is_empty) {
            self.spill = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::wire::link::ResultsRequest;

    fn event(entry: u32, size: usize) -> Box<RawValue> {
        let text = format!(
            r#"{{"event":"aborted","entry":{entry},"suspect":null,"reason":"{}"}}"#,
            "x".repeat(size)
        );
        RawValue::from_string(text).unwrap()
    }

    fn entries(part: &Part) -> Vec<u32> {
        let text = serde_json::to_string(part).unwrap();
        assert!(part.events.len() == 1 || text.len() <= CHUNK_LIMIT_BYTES, "{} bytes", text.len());
        let wire: ResultsRequest = serde_json::from_str(&text).unwrap();
        assert_eq!(wire.part, part.part);
        wire.events.iter().map(shared::domain::unit::UnitEvent::entry).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_event_leaves_once_in_order_in_parts_without_gaps(
            steps in proptest::collection::vec((0usize..400_000, any::<bool>()), 1..40),
            memory_limit in prop_oneof![Just(0usize), Just(300_000), Just(usize::MAX)],
        ) {
            let scratch = tempfile::tempdir().unwrap();
            let now = Instant::now();
            let mut parts = Parts::new(LeaseId(1), 7);
            let (mut received, mut expected_part) = (Vec::new(), 0);
            let mut take = |parts: &mut Parts| {
                let Some(part) = parts.freeze() else { return false };
                let again = parts.freeze().unwrap();
                assert_eq!(entries(&part), entries(&again), "a frozen part changed");
                assert_eq!(part.part, expected_part);
                expected_part += 1;
                received.extend(entries(&part));
                parts.accepted(expected_part).unwrap();
                true
            };
            let count = u32::try_from(steps.len()).unwrap();
            for (number, (size, send)) in (0..).zip(steps) {
                parts.push(event(number, size), now, memory_limit, &scratch.path().join("spill"));
                if send {
                    take(&mut parts);
                }
            }
            while take(&mut parts) {}
            prop_assert_eq!(received, (0..count).collect::<Vec<_>>());
            prop_assert_eq!(parts.memory_bytes(), 0);
            prop_assert_eq!(parts.due_at(), None);
        }
    }

    #[test]
    fn a_part_is_due_when_old_or_large_enough() {
        let (now, nowhere) = (Instant::now(), Path::new("/nonexistent/spill"));
        let mut parts = Parts::new(LeaseId(1), 1);
        assert!(parts.push(event(1, 10), now, usize::MAX, nowhere), "the first event sets the alarm");
        assert_eq!(parts.due_at(), Some(now + PART_WAIT));
        assert!(!parts.push(event(2, 10), now + PART_WAIT / 2, usize::MAX, nowhere));
        assert_eq!(parts.due_at(), Some(now + PART_WAIT), "the oldest event counts");
        assert!(parts.push(event(3, PART_WANTED_BYTES), now, usize::MAX, nowhere));
        assert_eq!(parts.due_at(), Some(now));
    }

    #[test]
    fn the_last_part_may_be_empty_but_never_leaves_anything_behind() {
        let (now, nowhere) = (Instant::now(), Path::new("/nonexistent/spill"));
        let mut parts = Parts::new(LeaseId(1), 1);
        assert_eq!(parts.freeze_last().map(|part| part.events.len()), Some(0));
        let mut parts = Parts::new(LeaseId(1), 1);
        for number in 0..3 {
            parts.push(event(number, 600_000), now, usize::MAX, nowhere);
        }
        for expected in 1..=2 {
            assert!(parts.freeze_last().is_none(), "two parts must go before");
            parts.accepted(expected).unwrap();
        }
        assert_eq!(parts.freeze_last().map(|part| (part.part, entries(&part))), Some((2, vec![2])));
    }

    #[test]
    fn a_spill_that_cannot_be_written_keeps_events_in_memory() {
        let mut parts = Parts::new(LeaseId(1), 1);
        parts.push(event(1, 10), Instant::now(), 0, Path::new("/nonexistent/spill"));
        assert_eq!(parts.freeze().map(|part| entries(&part)), Some(vec![1]));
    }

    #[test]
    fn a_gap_is_noticed() {
        let mut parts = Parts::new(LeaseId(1), 1);
        parts.freeze_last();
        assert_eq!(parts.accepted(3), Err(Gap { sent: 0, expected: 3 }));
    }
}
