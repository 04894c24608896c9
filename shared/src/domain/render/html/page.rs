//! The page around the cases: head, verdict, sections, and the parts that come last.

use super::super::sums::{counts_text, use_of_slots};
use super::super::trouble::{code_text, troubles};
use super::super::words::{duration_text, number_text, one_line};
use super::digest::policy_source;
use super::escape::Safe;
use super::{Kept, gantt, parts};
use crate::domain::outcome::Outcome;
use crate::domain::report::RunSummary;
use crate::domain::verdict::Verdict;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Everything up to the block of cases.
pub(super) fn head(run: &RunSummary) -> String {
    let title = format!("{} {} · Fleetest", verdict_word(run.judgement.verdict), run.project);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}; script-src {}; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{}\n<main>\n{}",
        policy_source(STYLE),
        policy_source(SCRIPT),
        Safe(&title),
        top(run),
        verdict(run),
    )
}

/// Everything after the block of cases.
pub(super) fn body(run: &RunSummary, kept: &Kept, rows_left_out: u64) -> String {
    let mut html = trouble_section(run);
    list_section(&mut html, "failures", "Failures", kept.failures_total, &kept.failures, "div");
    list_section(&mut html, "flaky", "Flaky", kept.flaky_total, &kept.flaky, "ul");
    jobs_section(&mut html, run);
    if let Some(svg) = gantt::draw(&run.jobs, &kept.red_units) {
        let _infallible = writeln!(html, "<section id=\"timeline\"><h2>Timeline</h2>{svg}</section>");
    }
    slowest_section(&mut html, kept, run.jobs.len() > 1);
    cases_section(&mut html, kept.seen, rows_left_out);
    let _infallible = write!(
        html,
        "</main>\n<footer>Fleetest {} · <code>{}</code></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        Safe(&run.version),
        run.run
    );
    html
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "Passed",
        Verdict::Failed => "Failed",
        Verdict::TimedOut => "Timed out",
        Verdict::Errored => "Could not run",
        Verdict::Cancelled => "Cancelled",
    }
}

fn top(run: &RunSummary) -> String {
    let mut html = format!("<header><b class=\"brand\">Fleetest</b><span>{}</span>", Safe(&run.project.0));
    if let Some(branch) = &run.branch {
        let _infallible = write!(html, "<span>{}</span>", Safe(branch));
    }
    if let Some(commit) = &run.commit {
        let short: String = commit.chars().take(10).collect();
        let _infallible = write!(html, "<code title=\"{}\">{}</code>", Safe(commit), Safe(&short));
    }
    let time = run.queued_at.rfc3339();
    let _infallible = write!(html, "<time datetime=\"{time}\">{} UTC</time></header>", minute(&time));
    html
}

/// `2026-11-21T09:00:00.000Z` as `2026-11-21 09:00`.
fn minute(rfc3339: &str) -> String {
    rfc3339.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn verdict(run: &RunSummary) -> String {
    let verdict = run.judgement.verdict;
    let shape = match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✕",
        Verdict::TimedOut => "◷",
        Verdict::Errored => "!",
        Verdict::Cancelled => "–",
    };
    let took = duration_text(run.finished_at.since_ms(run.queued_at).saturating_mul(1_000));
    let slots = use_of_slots(&run.jobs)
        .map(|(slots, busy)| format!(" · {slots} slot{}, {busy} % busy", if slots == 1 { "" } else { "s" }))
        .unwrap_or_default();
    let mut html = format!(
        "<section class=\"verdict {}\"><div class=\"badge\" aria-hidden=\"true\">{shape}</div><div>\
         <h1>{}</h1><p>{} in {took}{slots}</p></div></section>\n",
        verdict.as_str(),
        verdict_word(verdict),
        counts_text(&run.counts),
    );
    html.push_str(&counts(run));
    html
}

/// The bar of outcomes and a tile for each that occurred.
fn counts(run: &RunSummary) -> String {
    let counts = &run.counts;
    if counts.planned == 0 {
        return String::new();
    }
    let occurred: Vec<(Outcome, u64)> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, counts.of(outcome)))
        .filter(|(_, n)| *n > 0)
        .collect();
    // A single failure among a million is still seen, so the widths may add up to a little more than 1000.
    let width = |number: u64| number.saturating_mul(1000) / counts.planned.max(1);
    let widths: Vec<(Outcome, u64)> =
        occurred.iter().map(|(o, number)| (*o, width(*number).max(6))).collect();
    let full = widths.iter().map(|(_, width)| width).sum::<u64>() + width(counts.outstanding);
    let mut bar = format!(
        "<svg class=\"share\" viewBox=\"0 0 {full} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    );
    let mut x = 0;
    for (outcome, width) in widths {
        let _infallible =
            write!(bar, "<rect class=\"{}\" x=\"{x}\" width=\"{width}\" height=\"10\"/>", outcome.as_str());
        x += width;
    }
    bar.push_str("</svg>\n<ul class=\"tiles\">");
    let mut tile = |class: &str, shape: &str, number: u64, word: &str| {
        let number = number_text(number);
        let _infallible = write!(
            bar,
            "<li class=\"{class}\"><b>{number}</b><span><i aria-hidden=\"true\">{shape}</i> {word}</span></li>"
        );
    };
    for (outcome, number) in occurred {
        tile(outcome.as_str(), parts::shape(outcome), number, &parts::word(outcome));
    }
    if counts.flaky > 0 {
        tile("flaky", "≈", counts.flaky, "flaky");
    }
    if counts.outstanding > 0 {
        tile("outstanding", "○", counts.outstanding, "not run");
    }
    bar.push_str("</ul>\n");
    bar
}

fn trouble_section(run: &RunSummary) -> String {
    let troubles = troubles(run);
    if troubles.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section id=\"problems\"><h2>What stopped it</h2>\n");
    for trouble in troubles {
        let _infallible = write!(
            html,
            "<div class=\"card errored\"><p><span class=\"tag errored\">! {}</span> <code class=\"id\">{}</code>\
             <span class=\"facts\">{}</span></p><p class=\"message\">{}</p>",
            Safe(&trouble.verdict.as_str().replace('_', " ")),
            Safe(&trouble.place),
            code_text(trouble.cause.code),
            Safe(&trouble.cause.message)
        );
        parts::text_block(&mut html, "", &trouble.cause.detail);
        html.push_str("</div>\n");
    }
    html.push_str("</section>\n");
    html
}

fn list_section(html: &mut String, id: &str, title: &str, total: u64, items: &[String], tag: &str) {
    if total == 0 {
        return;
    }
    let _infallible = write!(
        html,
        "<section id=\"{id}\"><h2>{title} <small>{}</small></h2>\n<{tag} class=\"list\">{}</{tag}>",
        number_text(total),
        items.concat()
    );
    let rest = total.saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
    if rest > 0 {
        let _infallible =
            write!(html, "<p class=\"note\">{} more are in the JSON report.</p>", number_text(rest));
    }
    html.push_str("</section>\n");
}

fn jobs_section(html: &mut String, run: &RunSummary) {
    if run.jobs.len() < 2 {
        return;
    }
    html.push_str(
        "<section id=\"jobs\"><h2>Jobs</h2><div class=\"scroll\"><table><thead><tr><th>Job</th><th>Verdict</th>\
         <th>Cases</th><th class=\"n\">Time</th></tr></thead><tbody>\n",
    );
    for job in &run.jobs {
        let took =
            job.started_at.zip(job.finished_at).map(|(from, to)| to.since_ms(from).saturating_mul(1_000));
        let _infallible = writeln!(
            html,
            "<tr><td>{}. <code>{}</code></td><td><span class=\"tag {}\">{}</span></td><td>{}</td><td class=\"n\">{}</td></tr>",
            job.job,
            Safe(&job.name),
            job.judgement.verdict.as_str(),
            verdict_word(job.judgement.verdict).to_lowercase(),
            counts_text(&job.counts),
            took.map(duration_text).unwrap_or_default(),
        );
    }
    html.push_str("</tbody></table></div></section>\n");
}

fn slowest_section(html: &mut String, kept: &Kept, several: bool) {
    let longest_us = kept.slowest.last().map_or(0, |(us, ..)| *us);
    if longest_us == 0 {
        return;
    }
    html.push_str("<section id=\"slowest\"><h2>Slowest cases</h2>\n<ol class=\"slow\">");
    for (us, _, id, job, outcome) in kept.slowest.iter().rev() {
        let of_job = if several { format!(" · {job}") } else { String::new() };
        let _infallible = writeln!(
            html,
            "<li><svg class=\"meter\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"{outcome}\" width=\"{}\" height=\"10\"/></svg><b class=\"n\">{}</b>\
             <code class=\"id\">{}</code><span class=\"facts\">{}</span></li>",
            (u128::from(*us) * 1000 / u128::from(longest_us)).max(4),
            duration_text(*us),
            Safe(&one_line(id, 1_000)),
            Safe(&of_job),
        );
    }
    html.push_str("</ol></section>\n");
}

fn cases_section(html: &mut String, seen: u64, left_out: u64) {
    if seen == 0 {
        return;
    }
    let words = Outcome::ALL.map(|o| format!("{}\t{}\t{}", o.as_str(), parts::shape(o), parts::word(o)));
    let _infallible = write!(
        html,
        "<section id=\"all\" data-outcomes=\"{}\"><h2>All cases <small>{}</small></h2>\n\
         <noscript><p class=\"note\">Searching all cases needs scripts; failures, flaky and slow cases are listed above, \
         and the JSON report holds everything.</p></noscript>\n\
         <div id=\"search\" hidden><input id=\"q\" type=\"search\" placeholder=\"Search cases\" aria-label=\"Search cases\" \
         autocomplete=\"off\" spellcheck=\"false\"><div id=\"kinds\" role=\"group\" aria-label=\"Outcomes\"></div></div>\n\
         <p id=\"found\" class=\"note\" aria-live=\"polite\"></p><ul id=\"rows\" class=\"rows\"></ul>",
        Safe(&words.join("\n")),
        number_text(seen),
    );
    if left_out > 0 {
        let _infallible = write!(
            html,
            "<p class=\"note\">{} more cases are in the JSON report.</p>",
            number_text(left_out)
        );
    }
    html.push_str("</section>\n");
}
