//! Events as they are read: every field of any of them, in any order.
//!
//! Reading a tagged enum directly would first build a tree of the whole event, because its tag may come last; events
//! are most of what a server reads, and that tree is most of the time.

use super::UnitEvent;
use crate::domain::case::{CaseId, CaseResult};
use crate::domain::time::Timestamp;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Started,
    Announced,
    CaseStarted,
    Case,
    Finished,
    Yielded,
    Aborted,
}

/// The fields of an event; which of them there must be depends on its kind.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    event: Kind,
    entry: u32,
    slot: Option<u32>,
    at: Option<Timestamp>,
    cases: Option<Vec<CaseId>>,
    deselected: Option<u32>,
    #[serde(default)]
    more: bool,
    case: Option<CaseId>,
    result: Option<Box<CaseResult>>,
    overhead_us: Option<u64>,
    slots: Option<u32>,
    suspect: Option<CaseId>,
    reason: Option<String>,
}

/// A field that an event of this kind must have.
#[derive(Debug, thiserror::Error)]
#[error("missing field `{0}`")]
pub(super) struct Missing(&'static str);

fn must<T>(value: Option<T>, name: &'static str) -> Result<T, Missing> {
    value.ok_or(Missing(name))
}

impl TryFrom<Event> for UnitEvent {
    type Error = Missing;

    fn try_from(read: Event) -> Result<Self, Missing> {
        let entry = read.entry;
        let at = || must(read.at, "at");
        let overhead_us = || must(read.overhead_us, "overhead_us");
        Ok(match read.event {
            Kind::Started => Self::Started { entry, slot: must(read.slot, "slot")?, at: at()? },
            Kind::Announced => Self::Announced {
                entry,
                cases: must(read.cases, "cases")?,
                deselected: must(read.deselected, "deselected")?,
                more: read.more,
            },
            Kind::CaseStarted => Self::CaseStarted { entry, case: must(read.case, "case")? },
            Kind::Case => Self::Case { entry, result: must(read.result, "result")? },
            Kind::Finished => Self::Finished { entry, overhead_us: overhead_us()?, at: at()? },
            Kind::Yielded => {
                let slots = must(read.slots, "slots")?;
                Self::Yielded { entry, slots, overhead_us: overhead_us()?, at: at()? }
            }
            Kind::Aborted => {
                Self::Aborted { entry, suspect: read.suspect, reason: must(read.reason, "reason")? }
            }
        })
    }
}
