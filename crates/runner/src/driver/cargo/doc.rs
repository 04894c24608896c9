//! Doc tests of one package: one run of `cargo test --doc`, read from the harness's output.
//!
//! The harness tells no time per doc test, so the time of the run is shared out evenly.

use super::arguments::{Arguments, Ignored};
use super::{program, start_failed};
use crate::driver::telling::Telling;
use crate::driver::{DriverError, JobContext};
use crate::exec::{CaptureLimit, Channel, Finished, Invocation, Stopper, micros, now};
use crate::parse::ReportCase;
use crate::parse::libtest::LibtestReader;
use shared::domain::case::{CaseId, CaseResult, Failure};
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use shared::domain::unit::{Entry, Selection};
use std::time::Duration;

/// The case that stands for the run itself; it is told only if that broke.
const RUN: &str = "rustdoc";

/// Runs the doc tests of a package for one entry.
pub(super) fn run(
    ctx: &JobContext,
    arguments: &Arguments,
    stopper: &Stopper,
    (spec, entry): (&str, &Entry),
    mut telling: Telling<'_>,
) -> Result<(), DriverError> {
    let (class, selection) = (entry.unit.clone(), &entry.selection);
    let started_at = now();
    let mut reader = LibtestReader::new();
    let mut partial = Vec::new();
    let finished = invocation(ctx, arguments, spec)
        .args(harness_arguments(arguments, selection))
        .run_watched(stopper, &mut |channel, bytes| {
            if channel == Channel::Stdout {
                take_lines(&mut partial, bytes, &mut reader);
            }
        })
        .map_err(|error| start_failed(&error))?;
    take_lines(&mut partial, b"\n", &mut reader);
    let (cases, report) = reader.finish();
    let broken = broken(ctx, &finished, &cases, report.fault().map(ToString::to_string));
    let chosen = selection.compile();
    let id = |name: &str| CaseId(format!("{class}::{name}"));
    let duration_us = micros(finished.duration) / (cases.len().max(1) as u64);
    let all = cases.len();
    let filtered: Vec<ReportCase> = cases.into_iter().filter(|case| (ctx.filter)(&id(&case.name))).collect();
    let deselected = (all - filtered.len()) as u64;
    let kept: Vec<ReportCase> = filtered.into_iter().filter(|case| chosen.keeps(&id(&case.name))).collect();
    let mut missing: Vec<CaseId> = Vec::new();
    if let (Selection::Only(asked), true) = (selection, broken.is_some()) {
        missing
            .extend(asked.iter().filter(|asked| !kept.iter().any(|case| id(&case.name) == **asked)).cloned());
    } else if broken.is_some() {
        missing.push(id(RUN));
    } else if matches!(selection, Selection::Only(asked) if asked.contains(&id(RUN))) {
        // It broke last time and did not now.
        missing.push(id(RUN));
    }
    let announced = kept.iter().map(|case| id(&case.name)).chain(missing.iter().cloned()).collect();
    telling.announce(announced, deselected);
    for case in kept {
        tell(&mut telling, (&class, id(&case.name)), case, (started_at, duration_us));
    }
    for id in missing {
        let outcome = broken.as_ref().map_or(Outcome::Passed, |(outcome, _)| *outcome);
        let name = id.0.strip_prefix(&format!("{class}::")).unwrap_or(&id.0).to_owned();
        let blank = telling.result(id, &class, &name, outcome);
        let failure = broken.as_ref().map(|(_, failure)| failure.clone());
        telling.case(CaseResult { started_at, failure, ..blank });
    }
    telling.finish();
    Ok(())
}

fn invocation(ctx: &JobContext, arguments: &Arguments, spec: &str) -> Invocation {
    Invocation::new(program(ctx), &ctx.root)
        .args(["test", "--doc", "--package", spec])
        .args(&arguments.build)
        .env(&ctx.env)
        .time_limit(Duration::from_millis(ctx.job.suite.timeout_ms))
        .keep(CaptureLimit { head_bytes: 0, tail_bytes: 16 * 1024 })
}

/// Arguments for the harness. rustdoc takes them apart at spaces, and doc tests have spaces in their names, so
/// chosen ones are asked for by the last word (`12)` of `... (line 12)`): a few too many run and are not told.
fn harness_arguments(arguments: &Arguments, selection: &Selection) -> Vec<String> {
    let mut args = vec!["--".to_owned()];
    match arguments.ignored {
        Ignored::Skip => {}
        Ignored::Only => args.push("--ignored".to_owned()),
        Ignored::Include => args.push("--include-ignored".to_owned()),
    }
    let whole = |case: &CaseId| case.0.ends_with(&format!("::{RUN}"));
    match selection {
        Selection::Only(cases) if !cases.iter().any(whole) => {
            args.extend(cases.iter().filter_map(|case| case.0.rsplit(' ').next().map(str::to_owned)));
        }
        Selection::Only(_) | Selection::All | Selection::Except(_) => args.extend(arguments.harness.clone()),
    }
    args
}

fn take_lines(partial: &mut Vec<u8>, bytes: &[u8], reader: &mut LibtestReader) {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        if partial.len() < 64 * 1024 {
            partial.extend_from_slice(part);
        }
        if part.ends_with(b"\n") {
            reader.line(String::from_utf8_lossy(partial).trim_end_matches(['\n', '\r']));
            partial.clear();
        }
    }
}

/// Why the run as a whole cannot be trusted, if it cannot.
fn broken(
    ctx: &JobContext,
    finished: &Finished,
    cases: &[ReportCase],
    fault: Option<String>,
) -> Option<(Outcome, Failure)> {
    let failure = |kind: &str, message: String| {
        Some(Failure { kind: kind.to_owned(), message, detail: finished.stderr.text() })
    };
    if finished.timed_out {
        let message =
            format!("the doc tests ran longer than {} ms and were killed", ctx.job.suite.timeout_ms);
        return failure("timeout", message).map(|failure| (Outcome::TimedOut, failure));
    }
    if !finished.ending.is_success() && !cases.iter().any(|case| case.outcome.is_failure()) {
        let message = format!("`cargo test --doc` ended with {}, but no doc test failed", finished.ending);
        return failure("exit_status", message).map(|failure| (Outcome::Errored, failure));
    }
    let fault =
        fault.and_then(|fault| failure("report_invalid", format!("cannot trust the output: {fault}")));
    fault.map(|failure| (Outcome::Errored, failure))
}

fn tell(
    telling: &mut Telling<'_>,
    (class, id): (&str, CaseId),
    case: ReportCase,
    (started_at, duration_us): (Timestamp, u64),
) {
    telling.case_starts(&id);
    let duration_us = if case.outcome == Outcome::Skipped { 0 } else { duration_us };
    let blank = telling.result(id, class, &case.name, case.outcome);
    let reason = case.reason.or_else(|| (case.outcome == Outcome::Skipped).then(|| "ignored".to_owned()));
    let (file, line, failure, output) = (case.file, case.line, case.failure, case.output);
    telling.case(CaseResult { started_at, duration_us, file, line, failure, reason, output, ..blank });
}
