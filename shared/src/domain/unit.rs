//! Units: what a runner discovers, what the queue holds, and what a slot reports while it runs one.
//!
//! A *unit* is discovered (a file, a binary, a command). An *entry* is a unit, or a part of one, in the
//! job's queue; a unit that is split, retried or returned half-done has several entries. Entries are
//! numbered from 0 in the order in which they should start and are never removed or reused.

mod flat;

use super::case::{CaseId, CaseResult};
use super::id::digest_hex;
use super::outcome::Outcome;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A schedulable atom as a runner finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredUnit {
    /// Stable key, the same in every run: a path, a binary id, a command's name.
    pub key: String,
    /// Cases of the unit where listing them is cheap; `None` where only running tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Vec<CaseId>>,
    /// Whether the driver can run a chosen part of the cases.
    #[serde(default)]
    pub divisible: bool,
    /// Size of its source, in bytes, where there is one; 0 = unknown. A first guess at its time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Digest of a manifest: the same units in the same order have the same digest.
///
/// # Errors
/// If the units cannot be written as JSON.
pub fn manifest_digest(units: &[DiscoveredUnit]) -> serde_json::Result<String> {
    Ok(digest_hex(&serde_json::to_vec(units)?))
}

/// Which cases of a unit an entry stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "cases")]
pub enum Selection {
    /// All that collection finds.
    All,
    /// Exactly these; one that collection does not find is dropped.
    Only(Vec<CaseId>),
    /// All that collection finds, but not these: they have entries of their own.
    Except(Vec<CaseId>),
}

impl Selection {
    /// The selection in a form that answers quickly.
    #[must_use]
    pub fn compile(&self) -> Chosen<'_> {
        match self {
            Self::All => Chosen { listed: None, keep_listed: true },
            Self::Only(cases) => Chosen { listed: Some(cases.iter().collect()), keep_listed: true },
            Self::Except(cases) => Chosen { listed: Some(cases.iter().collect()), keep_listed: false },
        }
    }
}

/// A compiled [`Selection`].
#[derive(Debug, Clone)]
pub struct Chosen<'a> {
    listed: Option<BTreeSet<&'a CaseId>>,
    keep_listed: bool,
}

impl Chosen<'_> {
    /// Whether the entry stands for this case.
    #[must_use]
    pub fn keeps(&self, case: &CaseId) -> bool {
        self.listed.as_ref().is_none_or(|listed| listed.contains(case) == self.keep_listed)
    }
}

/// One place in a job's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Key of the discovered unit.
    pub unit: String,
    /// Which of its cases.
    pub selection: Selection,
    /// Which attempt at these cases, counted from 1.
    pub attempt: u32,
    /// Run with every other slot of the runner idle.
    #[serde(default)]
    pub alone: bool,
    /// Report the start of each case before it runs, so that a crash is blamed on the right one.
    #[serde(default)]
    pub careful: bool,
    /// How many runners or driver processes died while running it.
    #[serde(default)]
    pub crashes: u32,
    /// How many of those were deaths of the whole runner, for which the test need not be the reason.
    #[serde(default)]
    pub runner_deaths: u32,
    /// Whether its cases are planned already, because an earlier entry announced them; then the selection
    /// is `Only`, and a case that collection no longer finds still gets its final outcome.
    #[serde(default)]
    pub promised: bool,
    /// Outcomes of the previous attempt, in the order of `Only`; empty on the first attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<Outcome>,
    /// Predicted time, in milliseconds.
    pub predicted_ms: u64,
    /// A shard that should leave this entry to others if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avoid_shard: Option<u32>,
}

impl Entry {
    /// A first attempt at a whole unit.
    #[must_use]
    pub fn whole(unit: &str, predicted_ms: u64) -> Self {
        Self {
            unit: unit.to_owned(),
            selection: Selection::All,
            attempt: 1,
            alone: false,
            careful: false,
            crashes: 0,
            runner_deaths: 0,
            promised: false,
            previous: Vec::new(),
            predicted_ms,
            avoid_shard: None,
        }
    }
}

/// An entry as it is leased: with its number in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedEntry {
    /// Number in the job's queue.
    pub index: u32,
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a slot says while it works on a leased entry.
///
/// The order is `Started`, `Announced`, then for each announced case one `Case` (with a `CaseStarted` before
/// it in careful mode), then `Finished`; `Yielded` may end it between two cases, `Aborted` at any point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", try_from = "flat::Event")]
pub enum UnitEvent {
    /// The slot has begun with the entry.
    Started {
        /// The entry.
        entry: u32,
        /// Slot, counted from 1.
        slot: u32,
        /// When.
        at: Timestamp,
    },
    /// Collection is over: these cases, and no others, will be run for this entry.
    Announced {
        /// The entry.
        entry: u32,
        /// The cases in the order in which they run, each once.
        cases: Vec<CaseId>,
        /// Cases that collection found and the project's own configuration or the run's filter left out.
        deselected: u32,
        /// Whether the list goes on in another `Announced`: it counts only once it is whole.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// This case runs next (careful mode only).
    CaseStarted {
        /// The entry.
        entry: u32,
        /// The case.
        case: CaseId,
    },
    /// A case has its result.
    Case {
        /// The entry.
        entry: u32,
        /// The result.
        result: Box<CaseResult>,
    },
    /// Every announced case has a result.
    Finished {
        /// The entry.
        entry: u32,
        /// Time spent outside cases (import, collection, module set-up), in microseconds.
        overhead_us: u64,
        /// When.
        at: Timestamp,
    },
    /// Other slots have nothing to do: the announced cases without a result are theirs to share.
    Yielded {
        /// The entry.
        entry: u32,
        /// How many slots can work on the rest; at least 1.
        slots: u32,
        /// Time spent outside cases, in microseconds.
        overhead_us: u64,
        /// When.
        at: Timestamp,
    },
    /// The process under the driver died or was lost; what is missing must run elsewhere.
    Aborted {
        /// The entry.
        entry: u32,
        /// The case that ran at the time, if it is known for sure.
        suspect: Option<CaseId>,
        /// One human sentence.
        reason: String,
    },
}

impl UnitEvent {
    /// The entry that the event is about.
    #[must_use]
    pub fn entry(&self) -> u32 {
        match self {
            Self::Started { entry, .. }
            | Self::Announced { entry, .. }
            | Self::CaseStarted { entry, .. }
            | Self::Case { entry, .. }
            | Self::Finished { entry, .. }
            | Self::Yielded { entry, .. }
            | Self::Aborted { entry, .. } => *entry,
        }
    }

    /// Whether it is the last one about its entry.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Yielded { .. } | Self::Aborted { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let result: CaseResult = serde_json::from_str(
            r#"{"case":"a::b","class":"a","name":"b","attempt":1,"outcome":"passed","started_at":1,"duration_us":2,"slot":1}"#,
        )
        .unwrap();
        let (entry, at) = (7, Timestamp(5));
        let (case, cases) = (CaseId::from("a::b"), vec![CaseId::from("a::b")]);
        let events = [
            UnitEvent::Started { entry, slot: 2, at },
            UnitEvent::Announced { entry, cases: cases.clone(), deselected: 3, more: false },
            UnitEvent::Announced { entry, cases, deselected: 0, more: true },
            UnitEvent::CaseStarted { entry, case: case.clone() },
            UnitEvent::Case { entry, result: Box::new(result) },
            UnitEvent::Finished { entry, overhead_us: 9, at },
            UnitEvent::Yielded { entry, slots: 4, overhead_us: 9, at },
            UnitEvent::Aborted { entry, suspect: None, reason: "it died".to_owned() },
            UnitEvent::Aborted { entry, suspect: Some(case), reason: String::new() },
        ];
        for event in events {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<UnitEvent>(&text).unwrap(), event, "{text}");
        }
    }

    #[test]
    fn an_event_without_its_parts_is_refused_by_name() {
        for (text, why) in [
            (r#"{"event":"started","entry":1,"at":1}"#, "missing field `slot`"),
            (r#"{"event":"case","entry":1}"#, "missing field `result`"),
            (r#"{"event":"finished","overhead_us":1,"at":1}"#, "missing field `entry`"),
            (r#"{"event":"aborted","entry":1}"#, "missing field `reason`"),
            (r#"{"event":"slept","entry":1}"#, "unknown variant `slept`"),
            (r#"{"entry":1}"#, "missing field `event`"),
        ] {
            let error = serde_json::from_str::<UnitEvent>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_selection_keeps_what_it_says() {
        let (a, b) = (CaseId::from("a"), CaseId::from("b"));
        assert!(Selection::All.compile().keeps(&a));
        let only = Selection::Only(vec![a.clone()]);
        assert!(only.compile().keeps(&a) && !only.compile().keeps(&b));
        let except = Selection::Except(vec![a.clone()]);
        assert!(!except.compile().keeps(&a) && except.compile().keeps(&b));
    }
}
