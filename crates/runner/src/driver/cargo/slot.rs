//! Runs leased entries: each test in a process of its own.

use super::arguments::{Arguments, Ignored};
use super::binary::{Test, TestBinary};
use super::{Unit, Units, doc};
use crate::driver::telling::Telling;
use crate::driver::{DriverError, JobContext, Sink, Slot};
use crate::exec::{Ending, ExecError, Finished, Stopper, micros, now};
use crate::parse::libtest;
use shared::domain::case::{CaseResult, Failure};
use shared::domain::outcome::Outcome;
use shared::domain::unit::LeasedEntry;
use std::sync::Arc;
use std::time::Duration;

/// One lane.
pub(super) struct CargoSlot {
    ctx: JobContext,
    arguments: Arc<Arguments>,
    units: Units,
    stopper: Stopper,
    slot: u32,
}

impl CargoSlot {
    pub(super) fn new(
        ctx: JobContext,
        arguments: Arc<Arguments>,
        units: Units,
        stopper: Stopper,
        slot: u32,
    ) -> Self {
        Self { ctx, arguments, units, stopper, slot }
    }

    fn run_binary(
        &self,
        binary: &TestBinary,
        entry: &LeasedEntry,
        mut telling: Telling<'_>,
    ) -> Result<(), DriverError> {
        let chosen = entry.entry.selection.compile();
        let (mut tests, mut deselected) = (Vec::new(), 0);
        for test in &binary.cases {
            let id = binary.case_id(test);
            if !(self.ctx.filter)(&id) {
                deselected += 1;
            } else if chosen.keeps(&id) {
                tests.push((test, id));
            }
        }
        telling.announce(tests.iter().map(|(_, id)| id.clone()).collect(), deselected);
        for (test, id) in tests {
            telling.case_starts(&id);
            let started_at = now();
            let blank = telling.result(id, &binary.key, &test.name, Outcome::Passed);
            let blank = CaseResult { started_at, ..blank };
            if test.ignored && self.arguments.ignored == Ignored::Skip {
                let reason = Some("ignored".to_owned());
                telling.case(CaseResult { outcome: Outcome::Skipped, reason, ..blank });
                continue;
            }
            let limit_ms = self.ctx.job.suite.case_timeout_ms;
            let run = binary.invocation(test).time_limit(Duration::from_millis(limit_ms)).run(&self.stopper);
            telling.case(match run {
                Ok(finished) => judge(blank, test, binary.has_harness, &finished, limit_ms),
                Err(ExecError::Stopped) => return Err(DriverError::Stopped),
                Err(error) => not_started(blank, &error),
            });
        }
        telling.finish();
        Ok(())
    }
}

impl Slot for CargoSlot {
    fn run(&mut self, entry: &LeasedEntry, alone: bool, sink: &mut dyn Sink) -> Result<(), DriverError> {
        if self.stopper.is_stopped() {
            return Err(DriverError::Stopped);
        }
        let telling = Telling::begin(entry, self.slot, alone, sink);
        match self.units.get(&entry.entry.unit) {
            Some(Unit::Binary(binary)) => self.run_binary(binary, entry, telling),
            Some(Unit::Doc { spec }) => {
                doc::run(&self.ctx, &self.arguments, &self.stopper, (spec, &entry.entry), telling)
            }
            None => {
                telling.abort(format!("this runner's build has no unit `{}`", entry.entry.unit));
                Ok(())
            }
        }
    }
}

fn not_started(blank: CaseResult, error: &ExecError) -> CaseResult {
    let failure = Failure { kind: "start".to_owned(), message: error.sentence(), detail: String::new() };
    CaseResult { outcome: Outcome::Errored, failure: Some(failure), ..blank }
}

fn judge(
    blank: CaseResult,
    test: &Test,
    has_harness: bool,
    finished: &Finished,
    limit_ms: u64,
) -> CaseResult {
    let raw = finished.stdout.text();
    let mut output = if has_harness { without_frame(&raw, &test.name) } else { raw.clone() };
    if finished.leaky {
        output.push_str("\n[a process that the test had started outlived it and was killed]\n");
    }
    let plain = |kind: String, message: String| Failure { kind, message, detail: output.clone() };
    let (outcome, failure) = match &finished.ending {
        _ if finished.timed_out => {
            let message = format!("ran longer than {limit_ms} ms and was killed");
            (Outcome::TimedOut, Some(plain("timeout".to_owned(), message)))
        }
        Ending::Signal(signal) => {
            let message = libtest::find_panic(&output).map_or_else(
                || format!("the test process was killed by {signal}"),
                |panic| format!("the test process was killed by {signal} after a panic: {}", panic.message),
            );
            (Outcome::Crashed, Some(plain(format!("signal:{signal}"), message)))
        }
        Ending::Code(0) if !has_harness => (Outcome::Passed, None),
        Ending::Code(0) => match unproved(&raw) {
            None => (Outcome::Passed, None),
            Some(why) => (Outcome::Errored, Some(plain("unproved".to_owned(), why.to_owned()))),
        },
        Ending::Code(101) => (Outcome::Failed, Some(libtest::failure(&output))),
        Ending::Code(code) => {
            let message = format!("the test process ended with exit code {code}");
            (Outcome::Failed, Some(plain("exit_status".to_owned(), message)))
        }
    };
    let panic = libtest::find_panic(&output).filter(|_| outcome.is_failure());
    let (file, line) = panic.map_or((None, None), |panic| (Some(panic.file), panic.line));
    CaseResult { outcome, failure, output, file, line, duration_us: micros(finished.duration), ..blank }
}

/// Why exit code 0 is no proof that the test ran, if it is none.
fn unproved(raw: &str) -> Option<&'static str> {
    let begun = raw.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match begun {
        "running 0 tests" => Some("the test binary no longer has this test"),
        // Only the standard harness says so; others have the exit code alone.
        "running 1 test" if !raw.contains("\ntest result: ok. 1 passed") => {
            Some("the process exited with code 0 before the test ended")
        }
        _ => None,
    }
}

/// The output without the lines that the harness puts around that of the test.
fn without_frame(raw: &str, name: &str) -> String {
    let body = raw.trim_start_matches('\n');
    let body = body.strip_prefix("running 1 test\n").unwrap_or(body);
    let body = body.rfind("\ntest result: ").and_then(|at| body.get(..at)).unwrap_or(body);
    let failures = format!("\nfailures:\n    {name}\n");
    let body =
        body.strip_suffix(&failures).or_else(|| body.strip_suffix(failures.trim_end())).unwrap_or(body);
    let body = body.trim_end().strip_suffix("failures:").unwrap_or(body);
    let label = format!("test {name}");
    let mut out = String::with_capacity(body.len());
    for line in body.lines() {
        match line.strip_prefix(&label).and_then(|rest| rest.split_once("... ")) {
            Some((_mode, "ok" | "FAILED")) => {}
            Some((_mode, rest)) => out.extend([rest, "\n"]),
            None => out.extend([line, "\n"]),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_comes_off() {
        let passed = "\nrunning 1 test\nhello\ntest a::b ... ok\n\ntest result: ok. 1 passed; 0 failed\n\n";
        assert_eq!(without_frame(passed, "a::b"), "hello");
        let failed = "\nrunning 1 test\nthread panicked\ntest b ... FAILED\n\nfailures:\n\nfailures:\n    b\n\ntest result: FAILED. 0 passed\n\n";
        assert_eq!(without_frame(failed, "b"), "thread panicked");
        assert_eq!(
            without_frame("\nrunning 1 test\ntest c - should panic ... ok\n\ntest result: ok. 1 passed", "c"),
            ""
        );
    }

    #[test]
    fn exit_code_0_alone_proves_nothing() {
        assert!(unproved("\nrunning 0 tests\n\ntest result: ok. 0 passed\n").is_some());
        assert!(unproved("\nrunning 1 test\nbye\n").is_some());
        assert!(
            unproved("\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n").is_none()
        );
        assert!(unproved("my own harness\n").is_none());
    }
}
