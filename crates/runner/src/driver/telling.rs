//! Tells a sink about one entry in the order that the protocol asks for.

use super::Sink;
use crate::exec::now;
use shared::domain::case::{CaseId, CaseResult, Failure, TEXT_LIMIT_BYTES};
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use shared::domain::unit::{LeasedEntry, UnitEvent};
use std::time::Instant;

/// The telling of one entry.
pub(crate) struct Telling<'s> {
    entry: &'s LeasedEntry,
    slot: u32,
    alone: bool,
    sink: &'s mut dyn Sink,
    begun: Instant,
    in_cases_us: u64,
}

impl<'s> Telling<'s> {
    /// Tells that the slot has begun.
    pub(crate) fn begin(entry: &'s LeasedEntry, slot: u32, alone: bool, sink: &'s mut dyn Sink) -> Self {
        sink.event(UnitEvent::Started { entry: entry.index, slot, at: now() });
        Self { entry, slot, alone, sink, begun: Instant::now(), in_cases_us: 0 }
    }

    pub(crate) fn announce(&mut self, cases: Vec<CaseId>, deselected: u64) {
        let deselected = u32::try_from(deselected).unwrap_or(u32::MAX);
        self.sink.event(UnitEvent::Announced { entry: self.entry.index, cases, deselected, more: false });
    }

    /// In careful mode: tells that this case runs next, and waits until that is known.
    pub(crate) fn case_starts(&mut self, case: &CaseId) {
        if self.entry.entry.careful {
            self.sink.event(UnitEvent::CaseStarted { entry: self.entry.index, case: case.clone() });
            self.sink.flush();
        }
    }

    /// A result without file, line, texts and failure, to be completed.
    pub(crate) fn result(&self, case: CaseId, class: &str, name: &str, outcome: Outcome) -> CaseResult {
        CaseResult {
            case,
            class: class.to_owned(),
            name: name.to_owned(),
            file: None,
            line: None,
            attempt: self.entry.entry.attempt,
            outcome,
            started_at: Timestamp(0),
            duration_us: 0,
            slot: self.slot,
            alone: self.alone,
            failure: None,
            reason: None,
            output: String::new(),
        }
    }

    pub(crate) fn case(&mut self, mut result: CaseResult) {
        result.output = crate::exec::cut_text(&result.output, TEXT_LIMIT_BYTES);
        if let Some(Failure { message, detail, .. }) = &mut result.failure {
            *detail = crate::exec::cut_text(detail, TEXT_LIMIT_BYTES);
            *message = crate::exec::cut_text(message, TEXT_LIMIT_BYTES / 8);
        }
        self.in_cases_us = self.in_cases_us.saturating_add(result.duration_us);
        self.sink.event(UnitEvent::Case { entry: self.entry.index, result: Box::new(result) });
    }

    pub(crate) fn finish(self) {
        let overhead_us = crate::exec::micros(self.begun.elapsed()).saturating_sub(self.in_cases_us);
        self.sink.event(UnitEvent::Finished { entry: self.entry.index, overhead_us, at: now() });
    }

    pub(crate) fn abort(self, reason: String) {
        self.sink.event(UnitEvent::Aborted { entry: self.entry.index, suspect: None, reason });
    }
}
