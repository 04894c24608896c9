//! The display as lines: the bar with its status, the plain progress line, and what happens in between.
//!
//! Pure. No line is wider than it may be, whatever the names and the numbers.

use super::{Happening, Progress};
use crate::args::duration::ticking;
use crate::line::{Line, Tone, clean, columns, cut_end, cut_middle};
use shared::domain::outcome::{Counts, Outcome};
use shared::domain::time::Timestamp;

/// Silence after which the status says so.
const SILENCE_MS: u64 = 20_000;
/// Longest bar.
const BAR_COLUMNS: usize = 48;
/// Shortest bar that still tells something.
const BAR_MIN_COLUMNS: usize = 10;
/// Width of the label column, as in `   FAILED`.
pub const LABEL_COLUMNS: usize = 9;

/// A remark of less than this says nothing: beside a long name it gets so much, or nothing.
const REMARK_COLUMNS: usize = 24;

/// The lines under the scrolled-up ones: bar and status.
#[must_use]
pub fn status(progress: &Progress, now: Timestamp, width: usize, stopping: bool) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    if progress.known_cases() > 0 {
        lines.push(bar(progress, width));
    }
    lines.push(status_line(progress, now, stopping).fit(width));
    lines
}

fn bar(progress: &Progress, width: usize) -> Line {
    let label = tally(progress);
    let indent = Line::new().plain("  ");
    let room = width.saturating_sub(columns(&label) + 5).min(BAR_COLUMNS);
    if room < BAR_MIN_COLUMNS {
        return indent.plain(label).fit(width);
    }
    let tone = if progress.counts().failures() > 0 { Tone::Bad } else { Tone::Good };
    let full = filled(progress.fraction(), room);
    let head = if full == 0 || full == room { "" } else { "╸" };
    indent
        .with(tone, format!("{}{head}", "━".repeat(full - head.chars().count())))
        .with(Tone::Faint, "─".repeat(room - full))
        .plain(format!("  {label}"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a few columns, clamped to them"
)]
fn filled(fraction: f64, columns: usize) -> usize {
    ((fraction * columns as f64) as usize).min(columns)
}

/// `1,204 of 2,300 tests`; `of ~2,300` while some units are not collected yet.
fn tally(progress: &Progress) -> String {
    let (done, known) = (progress.counts().settled(), progress.known_cases());
    match progress.expected_cases() {
        expected if expected > known => format!("{} of ~{} tests", grouped(done), grouped(rounded(expected))),
        _ => format!("{} of {}", grouped(done), count(known, "test")),
    }
}

/// The number rounded up to two digits: an extrapolation has no more.
fn rounded(n: u64) -> u64 {
    let step = 10u64.saturating_pow(n.checked_ilog10().unwrap_or(0).saturating_sub(1));
    n.div_ceil(step).saturating_mul(step)
}

fn status_line(progress: &Progress, now: Timestamp, stopping: bool) -> Line {
    let spinner = if stopping { Tone::Warn } else { Tone::Accent };
    let line = Line::new()
        .plain("  ")
        .with(spinner, frame(now))
        .with(Tone::Strong, format!(" {}", phase(progress, stopping)))
        .plain(format!("  {}", ticking(progress.elapsed_ms(now))));
    if stopping {
        let line = line.with(Tone::Faint, " · Ctrl-C again ends at once");
        return counts(line, progress.counts());
    }
    let line = counts(line, progress.counts());
    let silent = progress.silent_ms(now);
    match progress.left_ms(now) {
        _ if progress.is_planned() && silent >= SILENCE_MS => {
            line.with(Tone::Faint, format!(" · nothing new for {}", ticking(silent)))
        }
        Some(left) => line.with(Tone::Faint, format!(" · {}", left_words(left))),
        None => line,
    }
}

fn phase(progress: &Progress, stopping: bool) -> &'static str {
    let settled = progress.counts().settled();
    if stopping {
        "cancelling"
    } else if progress.known_cases() == 0 && !progress.is_planned() {
        "discovering tests"
    } else if settled > 0 && progress.counts().outstanding == 0 && progress.fraction() >= 1.0 {
        "finishing"
    } else {
        "running"
    }
}

fn counts(line: Line, counts: &Counts) -> Line {
    let parts = [
        (counts.failures(), "failed", Tone::Bad),
        (counts.flaky, "flaky", Tone::Warn),
        (counts.passed, "passed", Tone::Good),
        (counts.skipped, "skipped", Tone::Faint),
    ];
    parts.into_iter().filter(|(n, ..)| *n > 0).fold(line, |line, (n, word, tone)| {
        line.with(Tone::Faint, " · ").with(tone, format!("{} {word}", grouped(n)))
    })
}

fn frame(now: Timestamp) -> &'static str {
    match now.0 / 125 % 10 {
        0 => "⠋",
        1 => "⠙",
        2 => "⠹",
        3 => "⠸",
        4 => "⠼",
        5 => "⠴",
        6 => "⠦",
        7 => "⠧",
        8 => "⠇",
        _ => "⠏",
    }
}

/// The time left in words that do not pretend to know more than they do.
fn left_words(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s {
        0..=4 => "a few seconds left".to_owned(),
        5..=55 => format!("about {}s left", s.div_ceil(5) * 5),
        56..=585 => match s.div_ceil(15) * 15 {
            s if s % 60 == 0 => format!("about {}m left", s / 60),
            s => format!("about {}m {:02}s left", s / 60, s % 60),
        },
        _ => match s.div_ceil(60) {
            m if m < 60 => format!("about {m}m left"),
            m => format!("about {}h {:02}m left", m / 60, m % 60),
        },
    }
}

/// The progress in one line for those who read a log.
#[must_use]
pub fn log_line(progress: &Progress, now: Timestamp, stopping: bool) -> Line {
    let clock = format!("[{:>7}] ", ticking(progress.elapsed_ms(now)));
    let line = Line::new().with(Tone::Faint, clock).plain(phase(progress, stopping));
    if progress.known_cases() == 0 {
        return line;
    }
    let line = line.plain(format!(": {} done", tally(progress)));
    let counted = progress.counts();
    let line = match counted.failures() {
        0 => line,
        failures => line.with(Tone::Bad, format!(", {} failed", grouped(failures))),
    };
    let line = match counted.flaky {
        0 => line,
        flaky => line.with(Tone::Warn, format!(", {} flaky", grouped(flaky))),
    };
    match progress.left_ms(now) {
        Some(left) if !stopping => line.with(Tone::Faint, format!(", {}", left_words(left))),
        _ => line,
    }
}

/// One line for what just happened, cut to `width` if there is one.
#[must_use]
pub fn happening(happening: &Happening, width: Option<usize>) -> Line {
    match happening {
        Happening::Failure { job, outcome, case, message } => {
            let line = labelled(Tone::Bad, outcome_label(*outcome), job.as_deref());
            named(line, case, &first_line(message), width)
        }
        Happening::Flaky { job, case, attempt, alone } => {
            let line = labelled(Tone::Warn, "FLAKY", job.as_deref());
            let alone = if *alone { ", alone" } else { "" };
            named(line, case, &format!("passed on attempt {attempt}{alone}"), width)
        }
        Happening::RunnerLost { shard, reason } => {
            let text = format!("runner {shard} ({}); what it had not finished runs again", clean(reason));
            let line = labelled(Tone::Warn, "LOST", None).plain(text);
            width.map_or_else(|| line.clone(), |width| line.clone().fit(width))
        }
    }
}

/// The word for an outcome at the start of a line.
#[must_use]
pub fn outcome_label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASSED",
        Outcome::Failed => "FAILED",
        Outcome::Errored => "ERRORED",
        Outcome::Skipped => "SKIPPED",
        Outcome::TimedOut => "TIMEOUT",
        Outcome::Crashed => "CRASHED",
    }
}

/// A line that begins with a right-aligned label and the name of the job, if it is worth naming.
#[must_use]
pub fn labelled(tone: Tone, label: &str, job: Option<&str>) -> Line {
    let line = Line::new().with(tone, format!("{label:>LABEL_COLUMNS$}")).plain(" ");
    match job {
        Some(job) => line.with(Tone::Faint, format!("{} ", clean(job))),
        None => line,
    }
}

/// Adds a case's name and a remark; where there is no room for both, the name goes before.
#[must_use]
pub fn named(line: Line, case: &str, remark: &str, width: Option<usize>) -> Line {
    let (case, remark) = (clean(case), clean(remark));
    let with_remark = |line: Line, remark: String| match remark.is_empty() {
        true => line,
        false => line.with(Tone::Faint, format!("  {remark}")),
    };
    let Some(width) = width else {
        return with_remark(line.with(Tone::Strong, case), remark);
    };
    let room = width.saturating_sub(line.columns());
    let name_room =
        room.saturating_sub(if remark.is_empty() { 0 } else { columns(&remark).min(REMARK_COLUMNS) + 2 });
    // In a narrow window the name gets all there is.
    let name_room = if name_room < room / 2 { room } else { name_room };
    let line = line.with(Tone::Strong, cut_middle(&case, name_room));
    let left = width.saturating_sub(line.columns() + 2);
    let remark =
        if left < columns(&remark).min(REMARK_COLUMNS) { String::new() } else { cut_end(&remark, left) };
    with_remark(line, remark).fit(width)
}

/// The first line of a text that says anything.
#[must_use]
pub fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// A number with its thousands apart: `12,345`.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 test`, `12,345 tests`.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
