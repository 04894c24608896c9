//! Every text of an event or cause goes through the cleaner before it leaves the machine.
//!
//! What cleaning means (masking secrets, dropping terminal escapes) is decided elsewhere; this file only knows
//! where texts are. It also holds the guard that no single event outgrows a part.

use super::parts::PART_ROOM_BYTES;
use serde_json::value::RawValue;
use shared::domain::case::CaseResult;
use shared::domain::unit::UnitEvent;
use shared::domain::verdict::Cause;
use std::sync::Arc;

/// Makes a text fit to leave the machine.
pub type Cleaner = Arc<dyn Fn(String) -> String + Send + Sync>;

/// What is left of a text that makes its event too large.
const EMERGENCY_TEXT_BYTES: usize = 16 * 1024;
/// Cases in one announcement of a unit that has too many for one part.
const ANNOUNCED_AT_ONCE_BYTES: usize = PART_ROOM_BYTES / 2;

/// The texts of a cause, cleaned.
#[must_use]
pub fn clean_cause(cause: Cause, cleaner: &Cleaner) -> Cause {
    Cause { code: cause.code, message: cleaner(cause.message), detail: cleaner(cause.detail) }
}

/// The event as it is sent: cleaned, serialised, and cut where it is too large for a part.
#[must_use]
pub fn pack(event: UnitEvent, cleaner: &Cleaner) -> Vec<Box<RawValue>> {
    let event = clean_event(event, cleaner);
    let whole = serde_json::value::to_raw_value(&event).ok();
    match whole {
        Some(text) if text.get().len() <= PART_ROOM_BYTES => vec![text],
        _ => shrink(event).iter().filter_map(|event| serde_json::value::to_raw_value(event).ok()).collect(),
    }
}

fn clean_event(event: UnitEvent, cleaner: &Cleaner) -> UnitEvent {
    match event {
        UnitEvent::Case { entry, mut result } => {
            clean_result(&mut result, cleaner);
            UnitEvent::Case { entry, result }
        }
        UnitEvent::Aborted { entry, suspect, reason } => {
            UnitEvent::Aborted { entry, suspect, reason: cleaner(reason) }
        }
        other @ (UnitEvent::Started { .. }
        | UnitEvent::Announced { .. }
        | UnitEvent::CaseStarted { .. }
        | UnitEvent::Finished { .. }
        | UnitEvent::Yielded { .. }) => other,
    }
}

fn clean_result(result: &mut CaseResult, cleaner: &Cleaner) {
    let clean = |text: &mut String| {
        if !text.is_empty() {
            *text = cleaner(std::mem::take(text));
        }
    };
    clean(&mut result.output);
    if let Some(reason) = &mut result.reason {
        clean(reason);
    }
    if let Some(failure) = &mut result.failure {
        clean(&mut failure.kind);
        clean(&mut failure.message);
        clean(&mut failure.detail);
    }
}

/// Drivers cut texts already; escaping can still blow one up, and a unit may have more cases than fit.
fn shrink(event: UnitEvent) -> Vec<UnitEvent> {
    match event {
        UnitEvent::Case { entry, mut result } => {
            cut(&mut result.output);
            cut(&mut result.class);
            cut(&mut result.name);
            if let Some(reason) = &mut result.reason {
                cut(reason);
            }
            if let Some(failure) = &mut result.failure {
                cut(&mut failure.kind);
                cut(&mut failure.message);
                cut(&mut failure.detail);
            }
            vec![UnitEvent::Case { entry, result }]
        }
        UnitEvent::Announced { entry, cases, deselected, more: last_more } => {
            let (mut events, mut group, mut bytes) = (Vec::new(), Vec::new(), 0);
            let mut announce = |cases, more| {
                let deselected = if more { 0 } else { deselected };
                events.push(UnitEvent::Announced { entry, cases, deselected, more });
            };
            for case in cases {
                if bytes > ANNOUNCED_AT_ONCE_BYTES {
                    announce(std::mem::take(&mut group), true);
                    bytes = 0;
                }
                bytes += case.0.len() + 3;
                group.push(case);
            }
            announce(group, last_more);
            events
        }
        UnitEvent::Aborted { entry, suspect, mut reason } => {
            cut(&mut reason);
            vec![UnitEvent::Aborted { entry, suspect, reason }]
        }
        other @ (UnitEvent::Started { .. }
        | UnitEvent::CaseStarted { .. }
        | UnitEvent::Finished { .. }
        | UnitEvent::Yielded { .. }) => vec![other],
    }
}

fn cut(text: &mut String) {
    if text.len() > EMERGENCY_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(EMERGENCY_TEXT_BYTES));
        text.push_str("\n[cut: too large]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::case::{CaseId, Failure};
    use shared::domain::outcome::Outcome;
    use shared::domain::time::Timestamp;
    use shared::domain::verdict::CauseCode;

    fn failed(text: &str) -> UnitEvent {
        let failure = Failure { kind: text.into(), message: text.into(), detail: text.into() };
        let result = CaseResult {
            case: CaseId::from("a::b"),
            class: "a".into(),
            name: "b".into(),
            file: None,
            line: None,
            attempt: 1,
            outcome: Outcome::Failed,
            started_at: Timestamp(0),
            duration_us: 1,
            slot: 1,
            alone: false,
            failure: Some(failure),
            reason: Some(text.into()),
            output: text.into(),
        };
        UnitEvent::Case { entry: 1, result: Box::new(result) }
    }

    fn mask() -> Cleaner {
        Arc::new(|text| text.replace("hunter2", "***"))
    }

    #[test]
    fn no_text_escapes_the_cleaner() {
        let aborted = UnitEvent::Aborted { entry: 1, suspect: None, reason: "hunter2".into() };
        for event in [failed("say hunter2"), aborted] {
            for text in pack(event, &mask()) {
                assert!(text.get().contains("***") && !text.get().contains("hunter2"), "{text}");
            }
        }
        let cause = Cause { code: CauseCode::Internal, message: "hunter2".into(), detail: "hunter2".into() };
        assert_eq!(clean_cause(cause, &mask()).detail, "***");
    }

    #[test]
    fn a_result_that_escaping_blows_up_is_cut() {
        let texts = pack(failed(&"\u{1}".repeat(64 * 1024)), &mask());
        assert_eq!(texts.len(), 1);
        assert!(texts[0].get().len() <= PART_ROOM_BYTES && texts[0].get().contains("[cut: too large]"));
    }

    #[test]
    fn a_huge_announcement_is_split_without_losing_a_case() {
        let cases: Vec<CaseId> =
            (0..100_000).map(|n| CaseId(format!("tests/test_a.py::test[{n}]"))).collect();
        let event = UnitEvent::Announced { entry: 3, cases: cases.clone(), deselected: 5, more: false };
        let texts = pack(event, &mask());
        assert!(texts.len() > 1 && texts.iter().all(|text| text.get().len() <= PART_ROOM_BYTES));
        let (mut seen, mut left_out) = (Vec::new(), 0);
        for text in texts {
            let UnitEvent::Announced { entry: 3, cases, deselected, .. } =
                serde_json::from_str(text.get()).unwrap()
            else {
                panic!("not an announcement")
            };
            seen.extend(cases);
            left_out += deselected;
        }
        assert_eq!((seen, left_out), (cases, 5));
    }
}
