//! Whether the exit code and the reports of a command agree, and the case that says so if they do not.

use super::Traces;
use super::census::Census;
use super::reports::Report;
use crate::driver::telling::Telling;
use crate::exec::{Ending, Finished, micros};
use shared::domain::case::{CaseId, CaseResult, Failure};
use shared::domain::outcome::Outcome;
use shared::domain::spec::SuiteSpec;
use shared::domain::time::Timestamp;

const COMMAND: &str = "command";

/// Something because of which the command's result cannot be trusted.
#[derive(Debug)]
pub(super) struct Problem {
    outcome: Outcome,
    kind: String,
    message: String,
}

impl Problem {
    /// A report that is missing, stale, broken or empty.
    pub(super) fn report(message: String) -> Self {
        Self { outcome: Outcome::Errored, kind: "report_invalid".to_owned(), message }
    }
}

/// The id of the case that stands for the command itself.
pub(super) fn command_case(suite: &SuiteSpec) -> CaseId {
    CaseId(format!("{}::{COMMAND}", suite.name))
}

/// Everything that is wrong, given what was read.
pub(super) fn problems(
    suite: &SuiteSpec,
    finished: &Finished,
    reports: &[Report],
    census: &Census<'_>,
) -> Vec<Problem> {
    let mut problems: Vec<Problem> = census.faults.iter().take(5).cloned().map(Problem::report).collect();
    let ending = &finished.ending;
    if finished.timed_out {
        let message = format!("the command ran longer than {} ms and was killed", suite.timeout_ms);
        problems.insert(0, Problem { outcome: Outcome::TimedOut, kind: "timeout".to_owned(), message });
    } else if reports.is_empty() && suite.results.is_empty() {
        problems.extend(bare(ending));
    } else if let Some(signal) = signal(ending) {
        let message = format!("the command was killed by {signal}");
        let kind = format!("signal:{signal}");
        problems.insert(0, Problem { outcome: Outcome::Crashed, kind, message });
    } else if !ending.is_success() && !census.has_failures() {
        let found = match census.cases {
            0 => "reported no test case".to_owned(),
            cases => format!("none of the {cases} reported cases failed"),
        };
        let message = format!("the command ended with {ending}, but {found}");
        problems.insert(0, Problem { outcome: Outcome::Errored, kind: "exit_status".to_owned(), message });
    } else if census.cases == 0 && !reports.is_empty() && problems.is_empty() {
        let message = "the command succeeded, but its report has no test case".to_owned();
        problems.push(Problem::report(message));
    }
    problems
}

/// Without any report only the ending counts.
fn bare(ending: &Ending) -> Option<Problem> {
    if let Some(signal) = signal(ending) {
        let message = format!("the command was killed by {signal}");
        return Some(Problem { outcome: Outcome::Crashed, kind: format!("signal:{signal}"), message });
    }
    let message = format!("the command ended with {ending}");
    let kind = "exit_status".to_owned();
    (!ending.is_success()).then_some(Problem { outcome: Outcome::Failed, kind, message })
}

/// The signal that ended the command; a shell reports that of its child as a code above 128.
fn signal(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Signal(name) => Some(name.clone()),
        Ending::Code(code) if matches!(code - 128, 4 | 6 | 7 | 8 | 9 | 11) => {
            Some(crate::exec::signal_name(code - 128))
        }
        Ending::Code(_) => None,
    }
}

/// Tells the case that stands for the command, and those that were asked for in vain.
pub(super) fn tell_command(
    telling: &mut Telling<'_>,
    suite: &SuiteSpec,
    traces: &Traces,
    problems: &[Problem],
    (command, unseen, started_at): (Option<CaseId>, &[CaseId], Timestamp),
) {
    let output = traces.output.text();
    let failure = problems.first().map(|first| {
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        Failure { kind: first.kind.clone(), message: messages.join("; "), detail: output.clone() }
    });
    let outcome = problems.first().map_or(Outcome::Passed, |first| first.outcome);
    for id in unseen {
        let blank = telling.result(id.clone(), &suite.name, &id.0, Outcome::Errored);
        telling.case(CaseResult { started_at, failure: failure.clone(), ..blank });
    }
    if let Some(id) = command {
        telling.case_starts(&id);
        let blank = telling.result(id, &suite.name, COMMAND, outcome);
        let leaky = traces.finished.leaky.then(|| "a process it had started outlived it".to_owned());
        let reason = leaky.filter(|_| failure.is_none());
        let duration_us = micros(traces.finished.duration);
        telling.case(CaseResult { started_at, duration_us, failure, reason, output, ..blank });
    }
}
