//! Sums that several formats show: cases by outcome in words, and how busy the slots were.

use super::words::number_text;
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::report::JobSummary;
use std::collections::BTreeSet;

/// `1,376 passed (2 flaky), 1 failed, 8 skipped`; `no tests` if there are none.
pub(super) fn counts_text(counts: &Counts) -> String {
    let mut parts = Vec::new();
    for outcome in Outcome::ALL {
        let number = counts.of(outcome);
        let flaky = if outcome == Outcome::Passed && counts.flaky > 0 {
            format!(" ({} flaky)", number_text(counts.flaky))
        } else {
            String::new()
        };
        if number > 0 {
            parts.push(format!("{} {}{flaky}", number_text(number), outcome.as_str().replace('_', " ")));
        }
    }
    if counts.outstanding > 0 {
        parts.push(format!("{} not run", number_text(counts.outstanding)));
    }
    if parts.is_empty() { "no tests".to_owned() } else { parts.join(", ") }
}

/// How many slots worked, and which share of the time from the first span to the last they did, in per cent.
pub(super) fn use_of_slots(jobs: &[JobSummary]) -> Option<(usize, u64)> {
    let spans = || jobs.iter().flat_map(|job| job.spans.iter().map(move |span| (job.job, span)));
    let slots: BTreeSet<_> = spans().map(|(job, span)| (job, span.shard, span.slot)).collect();
    let start = spans().map(|(_, span)| span.started_at).min()?;
    let end = spans().map(|(_, span)| span.ended_at).max()?;
    let busy_ms: u64 = spans().map(|(_, span)| span.ended_at.since_ms(span.started_at)).sum();
    let offered_ms = end.since_ms(start).saturating_mul(u64::try_from(slots.len()).ok()?);
    let percent = busy_ms.saturating_mul(100).checked_div(offered_ms)?.min(100);
    Some((slots.len(), percent))
}
