//! The timeline: one row per slot, one bar per entry, as inline SVG.

use super::escape::Safe;
use crate::domain::id::JobNo;
use crate::domain::render::words::{duration_text, number_text};
use crate::domain::report::{JobSummary, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Bars drawn; of more, the longest are.
const BARS_LIMIT: usize = 3_000;
/// Rows drawn.
const ROWS_LIMIT: usize = 128;
/// Width of the drawing area and of the labels, in user units.
const WIDTH: u64 = 920;
const LABEL: u64 = 72;
const ROW: usize = 22;
/// A bar wider than this has room for a mark.
const MARK: u64 = 18;

type RowKey = (JobNo, u32, u32);

/// The section's content; `None` if there is nothing to draw.
pub(super) fn draw(jobs: &[JobSummary], red: &BTreeSet<(JobNo, String)>) -> Option<String> {
    let mut spans: Vec<(&JobSummary, &Span)> =
        jobs.iter().flat_map(|job| job.spans.iter().map(move |span| (job, span))).collect();
    let start = spans.iter().map(|(_, span)| span.started_at).min()?;
    let total_ms = spans.iter().map(|(_, span)| span.ended_at.since_ms(start)).max()?.max(1);
    let rows = rows_of(&spans);
    spans.sort_by_key(|(_, span)| std::cmp::Reverse(span.ended_at.since_ms(span.started_at)));
    let left_out = spans.len().saturating_sub(BARS_LIMIT);
    spans.truncate(BARS_LIMIT);
    spans.sort_by_key(|(job, span)| (job.job, span.shard, span.slot, span.started_at));
    let height = rows.len() * ROW + 26;
    let full = WIDTH + LABEL + 8;
    let mut svg = format!(
        "<div class=\"scroll\" tabindex=\"0\"><svg class=\"gantt\" viewBox=\"0 0 {full} {height}\" role=\"img\" \
         aria-label=\"What each slot did over time\">\n"
    );
    axis(&mut svg, total_ms, rows.len() * ROW);
    for (label, n) in rows.values() {
        let y = n * ROW + 15;
        let _infallible = writeln!(svg, "<text class=\"label\" x=\"0\" y=\"{y}\">{}</text>", Safe(label));
    }
    for (job, span) in &spans {
        let Some((_, n)) = rows.get(&(job.job, span.shard, span.slot)) else { continue };
        let is_red = red.contains(&(job.job, span.unit.clone()));
        bar(&mut svg, span, *n, (span.started_at.since_ms(start), total_ms), is_red);
    }
    svg.push_str("</svg></div>\n");
    let all_rows: BTreeSet<RowKey> =
        jobs.iter().flat_map(|job| job.spans.iter().map(move |s| (job.job, s.shard, s.slot))).collect();
    let rows_left_out = all_rows.len().saturating_sub(rows.len());
    if left_out + rows_left_out > 0 {
        let count = |n: usize| number_text(u64::try_from(n).unwrap_or(u64::MAX));
        let _infallible = writeln!(
            svg,
            "<p class=\"note\">{} short bars and {} slots are not drawn.</p>",
            count(left_out),
            count(rows_left_out)
        );
    }
    Some(svg)
}

/// One bar; a red one also carries a mark, where it fits, so that its colour is not all that tells.
fn bar(svg: &mut String, span: &Span, row: usize, (from_ms, total_ms): (u64, u64), is_red: bool) {
    let length_ms = span.ended_at.since_ms(span.started_at);
    let x = LABEL * 10 + scale(from_ms, total_ms);
    let width = scale(length_ms, total_ms).saturating_sub(7).max(8);
    let _infallible = writeln!(
        svg,
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"><title>{}: {}, from {}{}</title></rect>",
        if is_red { "bar red" } else { "bar" },
        tenths(x),
        row * ROW + 3,
        tenths(width),
        ROW - 6,
        Safe(&span.unit),
        duration_text(length_ms.saturating_mul(1_000)),
        duration_text(from_ms.saturating_mul(1_000)),
        if is_red { ", with failures" } else { "" },
    );
    if is_red && width > MARK * 10 {
        let y = row * ROW + 15;
        let _infallible = writeln!(svg, "<text class=\"mark\" x=\"{}\" y=\"{y}\">✕</text>", tenths(x + 40));
    }
}

/// Rows with label and number. The label says only what tells rows apart.
fn rows_of(spans: &[(&JobSummary, &Span)]) -> BTreeMap<RowKey, (String, usize)> {
    let keys: BTreeSet<RowKey> = spans.iter().map(|(job, span)| (job.job, span.shard, span.slot)).collect();
    let jobs: BTreeSet<JobNo> = keys.iter().map(|(job, ..)| *job).collect();
    let shards: BTreeSet<u32> = keys.iter().map(|(_, shard, _)| *shard).collect();
    let label = |(job, shard, slot): &RowKey| match (jobs.len() > 1, shards.len() > 1) {
        (false, false) => format!("slot {slot}"),
        (false, true) => format!("{shard} · slot {slot}"),
        (true, _) => format!("{job} · {shard} · {slot}"),
    };
    keys.into_iter().take(ROWS_LIMIT).zip(0..).map(|(key, n)| (key, (label(&key), n))).collect()
}

/// Position on the axis, in tenths of a user unit.
fn scale(ms: u64, total_ms: u64) -> u64 {
    let scaled = u128::from(ms) * u128::from(WIDTH) * 10 / u128::from(total_ms.max(1));
    u64::try_from(scaled).unwrap_or(0)
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// About five ticks at round times.
fn axis(svg: &mut String, total_ms: u64, height: usize) {
    let step_ms = (0..9_u32)
        .flat_map(|power| [1, 2, 5].map(|n| n * 10_u64.pow(power)))
        .find(|step| total_ms / step <= 6)
        .unwrap_or(total_ms);
    for tick_ms in (0..=total_ms / step_ms.max(1)).map(|n| n * step_ms) {
        let x = tenths(LABEL * 10 + scale(tick_ms, total_ms));
        let text = if tick_ms == 0 { "0".to_owned() } else { duration_text(tick_ms.saturating_mul(1_000)) };
        let _infallible = writeln!(
            svg,
            "<line class=\"tick\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{height}\"/>\
             <text class=\"label\" x=\"{x}\" y=\"{}\">{text}</text>",
            height + 16
        );
    }
}
