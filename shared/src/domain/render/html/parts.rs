//! Fragments of the page that stand for one case.

use super::super::words::{cut_bytes, duration_text, one_line, rerun_line, suite_name};
use super::escape::Safe;
use crate::domain::case::CaseResult;
use crate::domain::outcome::Outcome;
use crate::domain::report::{CaseRecord, FlakyKind, JobSummary};
use std::fmt::Write as _;

/// Bytes of one text (traceback, output) on the page.
const TEXT_LIMIT_BYTES: usize = 16 * 1024;
/// Failures that are open when the page is.
const OPEN_CARDS: usize = 5;

/// The shape beside the colour: nobody has to tell red from green.
pub(super) fn shape(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✕",
        Outcome::Errored => "!",
        Outcome::TimedOut => "◷",
        Outcome::Crashed => "↯",
        Outcome::Skipped => "–",
    }
}

pub(super) fn word(outcome: Outcome) -> String {
    outcome.as_str().replace('_', " ")
}

/// A failure in full.
pub(super) fn failure(
    n: usize,
    several: bool,
    job: &JobSummary,
    record: &CaseRecord,
    last: &CaseResult,
) -> String {
    let open = if n < OPEN_CARDS { " open" } else { "" };
    let outcome = last.outcome;
    let mut html = format!(
        "<details class=\"card {}\"{open}><summary><span class=\"tag {}\">{} {}</span> <code class=\"id\">{}</code>",
        outcome.as_str(),
        outcome.as_str(),
        shape(outcome),
        word(outcome),
        Safe(&one_line(&last.case.0, 1_000)),
    );
    let mut facts = Vec::new();
    if several {
        facts.push(job.name.clone());
    }
    if let Some(file) = &last.file {
        facts.push(last.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")));
    }
    facts.push(duration_text(last.duration_us));
    if record.attempts.len() > 1 {
        facts.push(format!("{} attempts", record.attempts.len()));
    }
    let _infallible = write!(html, "<span class=\"facts\">{}</span></summary>", Safe(&facts.join(" · ")));
    attempt_texts(&mut html, last);
    html.push_str(&rerun(several, job, last));
    for attempt in record.attempts.iter().rev().skip(1) {
        let (n, word) = (attempt.attempt, word(attempt.outcome));
        let _infallible = write!(html, "<details class=\"earlier\"><summary>Attempt {n}: {word}</summary>");
        attempt_texts(&mut html, attempt);
        html.push_str("</details>");
    }
    html.push_str("</details>\n");
    html
}

fn attempt_texts(html: &mut String, attempt: &CaseResult) {
    if let Some(failure) = &attempt.failure {
        let message = one_line(&failure.message, 600);
        let _infallible = write!(
            html,
            "<p class=\"message\"><b>{}</b> {}</p>",
            Safe(&one_line(&failure.kind, 200)),
            Safe(&message)
        );
        text_block(html, "", &failure.detail);
    }
    text_block(html, "Output", &attempt.output);
}

pub(super) fn text_block(html: &mut String, title: &str, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    let (shown, cut) = cut_bytes(text.trim_end(), TEXT_LIMIT_BYTES);
    if !title.is_empty() {
        let _infallible = write!(html, "<h4>{title}</h4>");
    }
    let rest = if cut { "\n… cut; the whole is in the log" } else { "" };
    // The line end after the tag is dropped by readers, so that a first empty line is not.
    let _infallible = write!(html, "<pre tabindex=\"0\">\n{}{rest}</pre>", Safe(shown));
}

fn rerun(several: bool, job: &JobSummary, last: &CaseResult) -> String {
    let line = rerun_line(".", several.then(|| suite_name(job)), &last.case);
    format!(
        "<div class=\"rerun\"><code>{}</code><button type=\"button\" class=\"copy\" hidden>Copy</button></div>",
        Safe(&line)
    )
}

/// A flaky case in one row.
pub(super) fn flaky(several: bool, job: &JobSummary, record: &CaseRecord, last: &CaseResult) -> String {
    let why = match record.flaky() {
        Some(FlakyKind::Isolation) => "isolation: fails beside other tests, passes alone".to_owned(),
        Some(FlakyKind::Retry) | None => format!("passed at attempt {}", last.attempt),
    };
    let first = record.attempts.iter().find_map(|attempt| attempt.failure.as_ref());
    let message = first.map(|failure| one_line(&failure.message, 200)).unwrap_or_default();
    let of_job = if several { format!("{} · ", job.name) } else { String::new() };
    format!(
        "<li><span class=\"tag flaky\">≈ flaky</span> <code class=\"id\">{}</code><span class=\"facts\">{}{why}</span>\
         <span class=\"first\">{}</span></li>\n",
        Safe(&one_line(&last.case.0, 1_000)),
        Safe(&of_job),
        Safe(&message),
    )
}
