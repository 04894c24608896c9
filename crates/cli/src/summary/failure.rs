//! One failed case in a few lines: name, message, the telling parts of its traceback and output, how to rerun it.

use super::{Detail, Ending, indented};
use crate::args::duration::Human;
use crate::line::{Line, Tone, clean};
use crate::progress::view::{first_line, grouped, labelled, outcome_label};
use shared::domain::case::{CaseResult, Failure};
use shared::domain::report::CaseRecord;

/// The lines of one failure.
pub(super) fn block(ending: &Ending<'_>, record: &CaseRecord) -> Vec<Line> {
    let Some(last) = record.last() else { return Vec::new() };
    let label = outcome_label(last.outcome);
    let heading = labelled(Tone::Bad, label, ending.shown_name(record.job));
    let mut lines = vec![heading.with(Tone::Strong, clean(&last.case.0))];
    if let Some(failure) = &last.failure {
        lines.extend(message(failure).into_iter().map(|line| ending.fit(line)));
    }
    let (head, tail) = if ending.detail == Detail::Verbose { (20, 60) } else { (4, 12) };
    if let Some(failure) = &last.failure {
        lines.extend(quoted(ending, &failure.detail, head, tail));
    }
    if !last.output.trim().is_empty() {
        lines.push(indented().with(Tone::Faint, "it printed"));
        lines.extend(quoted(ending, &last.output, 0, if ending.detail == Detail::Verbose { 40 } else { 6 }));
    }
    lines.push(ending.fit(facts(last)));
    lines.push(rerun(ending, record, last));
    lines
}

fn message(failure: &Failure) -> Vec<Line> {
    let first = first_line(&failure.message);
    let text = match (failure.kind.as_str(), first.as_str()) {
        ("", message) => message.to_owned(),
        (kind, "") => kind.to_owned(),
        (kind, message) if message.starts_with(kind) => message.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    };
    let mut lines = vec![indented().with(Tone::Bad, clean(&text))];
    // The rest of a long message is part of the traceback, where there is one.
    if failure.detail.trim().is_empty() {
        let rest = failure.message.trim().lines().skip(1).take(6);
        lines.extend(rest.map(|line| indented().plain(clean(line))));
    }
    lines
}

/// The first `head` and the last `tail` lines of a foreign text, behind a bar.
pub(super) fn quoted(ending: &Ending<'_>, text: &str, head: usize, tail: usize) -> Vec<Line> {
    let all: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
    if all.iter().all(|line| line.is_empty()) {
        return Vec::new();
    }
    let bar = |text: &str| ending.fit(indented().with(Tone::Faint, "│ ").plain(quotable(text)));
    // Leaving out one or two lines to say that they were left out gains nothing.
    if all.len() <= head + tail + 2 {
        return all.into_iter().map(bar).collect();
    }
    let left_out = all.len() - head - tail;
    let gap = format!("│ … {} lines left out", grouped(left_out as u64));
    let beginning = all.iter().take(head).copied().map(bar);
    let end = all.iter().skip(head + left_out).copied().map(bar);
    beginning.chain([indented().with(Tone::Faint, gap)]).chain(end).collect()
}

fn quotable(text: &str) -> String {
    clean(&text.replace('\t', "    "))
}

fn facts(last: &CaseResult) -> Line {
    let place = match (&last.file, last.line) {
        (Some(file), Some(line)) => format!("{}:{line} · ", clean(file)),
        (Some(file), None) => format!("{} · ", clean(file)),
        (None, _) => String::new(),
    };
    let attempts =
        if last.attempt > 1 { format!(" · failed {} times", last.attempt) } else { String::new() };
    indented().with(Tone::Faint, format!("{place}{}{attempts}", Human(last.duration_us / 1000)))
}

fn rerun(ending: &Ending<'_>, record: &CaseRecord, last: &CaseResult) -> Line {
    let job = ending.job(record.job).map(|job| job.name.as_str()).unwrap_or_default();
    // Never cut: it is there to be copied.
    indented().with(Tone::Faint, "again: ").with(Tone::Accent, ending.rerun.case(job, &last.case))
}
