//! Random leases, results, aborts and losses against a naive model that keeps one list of cases and places.
//!
//! The project behind it is simple: unit `u` has the cases `u::0 … u::n`, collection always finds them all, and each
//! attempt comes to what the script says. Whatever happens in between, every case ends exactly once.

use super::accept::{Acceptance, Known};
use super::close::{Ending, Leftover};
use super::grant::{Ask, Grant};
use super::lease::{Lease, LeaseStatus, Progress};
use super::{Policy, Queue, Rejected};
use crate::domain::case::{CaseId, CaseResult};
use crate::domain::id::{JobNo, RunId, ShardAttempt};
use crate::domain::outcome::Outcome;
use crate::domain::proof::Ledger;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, LeasedEntry, UnitEvent};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1);

#[derive(Debug, Clone)]
enum Move {
    Grant {
        shard: u32,
        slots: u32,
    },
    /// The lease in this place of the open ones does its next thing.
    Work {
        lease: usize,
        dice: u8,
    },
    /// It is completed as far as it can be.
    Close {
        lease: usize,
    },
    End {
        lease: usize,
        how: u8,
    },
    /// Its last part comes again, or an old lease speaks.
    Echo {
        lease: usize,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (1u32..4, 1u32..6).prop_map(|(shard, slots)| Move::Grant { shard, slots }),
        8 => (0usize..8, any::<u8>()).prop_map(|(lease, dice)| Move::Work { lease, dice }),
        3 => (0usize..8).prop_map(|lease| Move::Close { lease }),
        1 => (0usize..8, 0u8..3).prop_map(|(lease, how)| Move::End { lease, how }),
        1 => (0usize..8).prop_map(|lease| Move::Echo { lease }),
    ];
    prop::collection::vec(one, 0..160)
}

/// A lease with everything it ever said.
#[derive(Debug, Clone)]
struct Spoken {
    lease: Lease,
    parts: Vec<Vec<UnitEvent>>,
}

#[derive(Debug)]
struct Model {
    queue: Queue,
    bodies: Vec<Entry>,
    cases_per_unit: BTreeMap<String, u32>,
    open: Vec<Spoken>,
    over: Vec<Spoken>,
    asked: u32,
}

impl Model {
    fn new(units: &[u32], policy: Policy) -> Self {
        let names: Vec<String> = (0..units.len()).map(|unit| format!("u{unit}")).collect();
        let bodies: Vec<Entry> = names.iter().map(|name| Entry::whole(name, 100)).collect();
        let count = u32::try_from(bodies.len()).unwrap();
        Self {
            queue: Queue::new(count, 100 * u64::from(count), policy),
            bodies,
            cases_per_unit: names.into_iter().zip(units.iter().copied()).collect(),
            open: Vec::new(),
            over: Vec::new(),
            asked: 0,
        }
    }

    fn body(&self, index: u32) -> Entry {
        self.bodies[index as usize].clone()
    }

    fn grant(&mut self, shard: u32, slots: u32) {
        self.asked += 1;
        let window: Vec<LeasedEntry> = self
            .queue
            .free
            .iter()
            .take(super::grant::WINDOW)
            .map(|index| LeasedEntry { index, entry: self.body(index) })
            .collect();
        let ask = Ask {
            holder: ShardAttempt { run: RunId(1), job: JobNo(1), shard, attempt: 1 },
            slot: 1,
            request_id: self.asked.to_string(),
            shards: slots,
            overhead_ms: 1,
            now: NOW,
        };
        match self.queue.grant(&window, &ask) {
            Some(Grant { queue, lease, entries }) => {
                assert!(!entries.is_empty());
                assert_eq!(lease.epoch, self.queue.epoch + 1);
                assert!(entries.iter().all(|leased| self.queue.free.contains(leased.index)));
                let alone = entries.iter().filter(|leased| leased.entry.alone).count();
                assert!(alone == 0 || alone == entries.len(), "alone and beside others in one batch");
                self.queue = queue;
                self.open.push(Spoken { lease, parts: Vec::new() });
            }
            None => assert!(self.queue.free.is_empty() || self.queue.stopped.is_some()),
        }
    }

    fn announced(&self, lease: &Lease, index: u32) -> Vec<CaseId> {
        let held = lease.entries.iter().find(|held| held.index == index).unwrap();
        let all = (0..self.cases_per_unit[&held.unit]).map(|case| CaseId(format!("{}::{case}", held.unit)));
        let body = self.body(index);
        let chosen = body.selection.compile();
        all.filter(|case| chosen.keeps(case)).collect()
    }

    fn leftover(spoken: &Spoken, index: u32) -> Leftover {
        let mut leftover = Leftover::default();
        for event in spoken.parts.iter().flatten().filter(|event| event.entry() == index) {
            leftover.note(event);
        }
        leftover
    }

    /// What a right runner may say next about its first unfinished entry.
    fn next_event(&self, spoken: &Spoken, dice: u8) -> Option<UnitEvent> {
        let done = |progress| matches!(progress, Progress::Finished | Progress::Aborted);
        let held = spoken.lease.entries.iter().find(|held| !done(held.progress))?;
        let entry = held.index;
        if held.progress == Progress::Waiting {
            return Some(UnitEvent::Started { entry, slot: 1, at: NOW });
        }
        let leftover = Self::leftover(spoken, entry);
        let rest = |cases: Vec<CaseId>| cases.into_iter().find(|case| !leftover.done.contains(case));
        let next = rest(self.announced(&spoken.lease, entry));
        if dice.is_multiple_of(16) {
            let suspect = leftover.suspect.clone().filter(|_| held.careful);
            return Some(UnitEvent::Aborted { entry, suspect, reason: "signal".to_owned() });
        }
        if held.progress == Progress::Started {
            let cases = self.announced(&spoken.lease, entry);
            return Some(UnitEvent::Announced { entry, cases, deselected: 0, more: false });
        }
        if dice % 16 == 7 {
            return Some(UnitEvent::Yielded { entry, slots: u32::from(dice / 16), overhead_us: 1, at: NOW });
        }
        let Some(case) = next else {
            return Some(UnitEvent::Finished { entry, overhead_us: 1, at: NOW });
        };
        if held.careful && leftover.suspect.as_ref() != Some(&case) {
            return Some(UnitEvent::CaseStarted { entry, case });
        }
        let outcome = match dice % 5 {
            0 => Outcome::Failed,
            1 => Outcome::Crashed,
            _ => Outcome::Passed,
        };
        Some(UnitEvent::Case { entry, result: Box::new(result(case, held.attempt, outcome)) })
    }

    fn known(&self, spoken: &Spoken) -> Known {
        let indexes: Vec<u32> = spoken.lease.entries.iter().map(|held| held.index).collect();
        Known {
            bodies: indexes.iter().map(|index| (*index, self.body(*index))).collect(),
            leftovers: indexes.iter().map(|index| (*index, Self::leftover(spoken, *index))).collect(),
        }
    }

    fn say(&mut self, at: usize, events: Vec<UnitEvent>, closing: bool) {
        let spoken = self.open[at].clone();
        let place = (spoken.lease.epoch, spoken.lease.next_part);
        let known = self.known(&spoken);
        let accepted = match self.queue.accept(&spoken.lease, place, &events, &known, closing) {
            Ok(Acceptance::New(accepted)) => *accepted,
            other => panic!("{events:?} was met with {other:?}"),
        };
        self.queue = accepted.queue;
        self.bodies.extend(accepted.appended);
        self.open[at].lease = accepted.lease;
        self.open[at].parts.push(events);
        if closing {
            let spoken = self.open.remove(at);
            assert_eq!(spoken.lease.status, LeaseStatus::Completed);
            self.over.push(spoken);
        }
    }

    fn work(&mut self, at: usize, dice: u8) {
        if let Some(event) = self.next_event(&self.open[at], dice) {
            self.say(at, vec![event], false);
        }
    }

    fn close(&mut self, at: usize) {
        if self.next_event(&self.open[at], 1).is_none() {
            self.say(at, Vec::new(), true);
            return;
        }
        let (lease, place) =
            (&self.open[at].lease, (self.open[at].lease.epoch, self.open[at].lease.next_part));
        let refused = self.queue.accept(lease, place, &[], &Known::default(), true);
        assert!(matches!(refused, Err(Rejected::Malformed { .. })), "{refused:?}");
    }

    fn end(&mut self, at: usize, ending: Ending) {
        let spoken = self.open.remove(at);
        let known = self.known(&spoken);
        let ended = self.queue.end(&spoken.lease, ending, &known, "gone", NOW).unwrap();
        let again = self.queue.end(&ended.lease, ending, &known, "gone", NOW);
        assert_eq!(again.err(), Some(Rejected::StaleLease));
        self.queue = ended.queue;
        self.bodies.extend(ended.appended);
        self.over.push(Spoken { lease: ended.lease, parts: spoken.parts });
    }

    fn echo(&self, at: usize) {
        if let Some(spoken) = self.open.get(at).filter(|spoken| spoken.lease.next_part > 0) {
            let place = (spoken.lease.epoch, spoken.lease.next_part - 1);
            let events = spoken.parts.last().unwrap();
            let met = self.queue.accept(&spoken.lease, place, events, &Known::default(), false);
            assert!(matches!(met, Ok(Acceptance::Duplicate)), "{met:?}");
            let gap = (spoken.lease.epoch, spoken.lease.next_part + 1);
            let met = self.queue.accept(&spoken.lease, gap, &[], &Known::default(), false);
            assert!(matches!(met, Err(Rejected::PartGap { .. })), "{met:?}");
            let stale = (spoken.lease.epoch + 1, spoken.lease.next_part);
            let met = self.queue.accept(&spoken.lease, stale, &[], &Known::default(), false);
            assert!(matches!(met, Err(Rejected::StaleLease)), "{met:?}");
        }
        if let Some(spoken) = self.over.get(at) {
            let place = (spoken.lease.epoch, spoken.lease.next_part);
            let met = self.queue.accept(&spoken.lease, place, &[], &Known::default(), false);
            assert!(matches!(met, Err(Rejected::StaleLease)), "{met:?}");
        }
    }

    /// Free, leased and closed are everything, once; the counts are what was said.
    fn check(&self) {
        let queue = &self.queue;
        assert_eq!(queue.len as usize, self.bodies.len());
        assert!(queue.counts.conserved(), "{:?}", queue.counts);
        assert_eq!(queue.open_leases as usize, self.open.len());
        let mut places: Vec<u32> = queue.free.iter().collect();
        places.extend(self.open.iter().flat_map(|spoken| &spoken.lease.entries).map(|held| held.index));
        let closed = self
            .over
            .iter()
            .flat_map(|spoken| &spoken.lease.entries)
            .filter(|held| held.progress != Progress::Waiting)
            .map(|held| held.index);
        places.extend(closed);
        places.sort_unstable();
        assert_eq!(places, (0..queue.len).collect::<Vec<_>>());
        let predicted: u64 = queue.free.iter().map(|index| self.body(index).predicted_ms).sum();
        assert_eq!(queue.remaining_ms, predicted);
    }

    /// Everything that is left, done in order by one good runner.
    fn drain(&mut self) {
        let mut steps = 0;
        while !self.queue.settled() {
            steps += 1;
            assert!(steps < 20_000, "it does not end: {:?}", self.queue);
            if self.open.is_empty() {
                self.grant(1, 1);
            }
            match self.next_event(&self.open[0], 2) {
                Some(_) => self.work(0, 2),
                None => self.close(0),
            }
            self.check();
        }
    }

    /// The proof, by the ledger: every entry closed once, every case ended once.
    fn prove(&self) {
        let mut ledger = Ledger::new(self.queue.len);
        let mut all: Vec<&Spoken> = self.over.iter().collect();
        all.sort_by_key(|spoken| spoken.lease.epoch);
        for spoken in all {
            spoken.parts.iter().flatten().for_each(|event| ledger.event(&spoken.lease, event));
            ledger.lease(&spoken.lease);
        }
        assert_eq!(ledger.contradictions(&self.queue), Vec::<String>::new());
    }
}

fn result(case: CaseId, attempt: u32, outcome: Outcome) -> CaseResult {
    CaseResult {
        class: String::new(),
        name: case.0.clone(),
        case,
        file: None,
        line: None,
        attempt,
        outcome,
        started_at: NOW,
        duration_us: 1,
        slot: 1,
        alone: false,
        failure: None,
        reason: None,
        output: String::new(),
    }
}

fn play(model: &mut Model, step: &Move) {
    let open = model.open.len();
    match *step {
        Move::Grant { shard, slots } => model.grant(shard, slots),
        Move::Work { lease, dice } if open > 0 => model.work(lease % open, dice),
        Move::Close { lease } if open > 0 => model.close(lease % open),
        Move::End { lease, how } if open > 0 => {
            let how = [Ending::Release, Ending::Loss, Ending::Crash][usize::from(how)];
            model.end(lease % open, how);
        }
        Move::Echo { lease } => model.echo(lease),
        Move::Work { .. } | Move::Close { .. } | Move::End { .. } => {}
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_entry_and_every_case_ends_once(
        units in prop::collection::vec(0u32..5, 0..8),
        retries in 0u32..3,
        moves in moves(),
    ) {
        let mut model = Model::new(&units, Policy { retries, fail_fast: None });
        for step in &moves {
            play(&mut model, step);
            model.check();
        }
        model.drain();
        prop_assert!(model.queue.drained());
        prop_assert_eq!(model.queue.counts.outstanding, 0);
        model.prove();
        let died_whole = model.queue.counts.planned < u64::from(units.iter().sum::<u32>());
        prop_assert!(!died_whole || model.queue.counts.crashed > 0, "{:?}", model.queue.counts);
    }

    #[test]
    fn fail_fast_stops_the_grants(
        units in prop::collection::vec(1u32..5, 1..8),
        limit in 1u32..4,
        moves in moves(),
    ) {
        let mut model = Model::new(&units, Policy { retries: 0, fail_fast: Some(limit) });
        for step in &moves {
            play(&mut model, step);
            let reached = model.queue.counts.failures() >= u64::from(limit);
            prop_assert_eq!(model.queue.stopped.is_some(), reached);
        }
        model.drain();
        prop_assert!(model.queue.settled());
    }
}

#[test]
fn work_is_shared_among_who_came_and_who_is_yet_to_come() {
    let queue = Queue::new(10, 1_000, Policy { retries: 0, fail_fast: None });
    assert_eq!((queue.sharing_slots(0), queue.sharing_slots(1), queue.sharing_slots(4)), (1, 1, 4));
    let queue = queue.joined_by(8);
    assert_eq!((queue.sharing_slots(1), queue.sharing_slots(4)), (8, 11));
    let lost_twice = queue.joined_by(8).joined_by(8);
    assert_eq!(
        (lost_twice.sharing_slots(1), lost_twice.sharing_slots(2), lost_twice.sharing_slots(4)),
        (8, 16, 25)
    );
}
