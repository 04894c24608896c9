//! The table of the page: what was measured, and whether it is enough.

use super::load::Load;
use super::{CONNECTIONS, HELD, RUNNERS, Wish};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::time::Duration;

/// Nearly every answer has to come within this time.
const P95_LIMIT: Duration = Duration::from_millis(50);

/// A row of the table: what, the target's share of the peer, and the loads of both, round by round.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) target: f64,
    pub(crate) rounds: Vec<(Load, Load)>,
}

impl Row {
    fn middle<T: PartialOrd + Copy>(&self, of: impl Fn(&(Load, Load)) -> T) -> Result<T> {
        let mut all: Vec<T> = self.rounds.iter().map(of).collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        all.get(all.len() / 2).copied().context("no round")
    }
}

/// What was seen beside the loads.
#[derive(Debug, Default)]
pub(crate) struct Around {
    pub(crate) held: u64,
    pub(crate) memory: f64,
    pub(crate) link_memory: f64,
}

pub(crate) fn page(wish: &Wish, rows: &[Row], around: &Around) -> Result<String> {
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    let mut text = format!(
        "# The API\n\nA served instance with {} runs of {} cases. {CONNECTIONS} connections from another process on loopback ask without pause; {} rounds of {} s, \
         ours and the peer in turn; every number is the median of its rounds, also the ratio. The last two columns say how long the server had a core for each request, which other work on the machine changes least. Machine: {} core(s), which server and load share. Made by `cargo xtask bench api`.\n\n\
         The peer is an axum handler that does only the SQLite query or insert, on the same documents (a run as it is shown, a case as it is shown, a run with what it is asked to do, a chunk as it was sent) \
         with the same number of rows and the same durability (write-ahead log, `synchronous=NORMAL`, one transaction per request, answered after its commit), and answers with the same bytes. It knows no callers, rights, limits or conditions. \
         Reads go over all runs in turn. What follows a created run (its reference is looked up with git) is held back: the request alone is measured. \
         Chunks are sent by {RUNNERS} runners with {} slots each, in a process that serves the runner link alone; their leases are part of the time.\n\n\
         | request | per s | p50 ms | p95 ms | p99 ms | peer per s | ratio | target | met | µs of a core | peer's |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
        wish.runs,
        wish.cases,
        wish.rounds,
        wish.seconds,
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        CONNECTIONS / RUNNERS,
    );
    for row in rows {
        let ratio = row.middle(|(ours, bare)| ours.requests_per_s / bare.requests_per_s)?;
        let p95 = row.middle(|(ours, _)| ours.p95)?;
        let met = ratio >= row.target && p95 < P95_LIMIT;
        let cells = [
            row.what.to_owned(),
            format!("{:.0}", row.middle(|(ours, _)| ours.requests_per_s)?),
            ms(row.middle(|(ours, _)| ours.p50)?),
            ms(p95),
            ms(row.middle(|(ours, _)| ours.p99)?),
            format!("{:.0}", row.middle(|(_, bare)| bare.requests_per_s)?),
            format!("{ratio:.2}"),
            format!("≥ {} and p95 < {} ms", row.target, P95_LIMIT.as_millis()),
            if met { "yes" } else { "no" }.to_owned(),
            format!("{:.0}", row.middle(|(ours, _)| ours.busy_us)?),
            format!("{:.0}", row.middle(|(_, bare)| bare.busy_us)?),
        ];
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(
        text,
        "\n{HELD} connections held for {} s, each asking once a second: {} answers, no error. Peak resident memory of `fleetest serve` from its start to the end of all this: {:.1} MiB, \
         of the process that took the chunks: {:.1} MiB (target < 150).",
        wish.hold_s, around.held, around.memory, around.link_memory
    );
    Ok(text)
}
