//! The `command` driver: any command line that writes JUnit XML or TAP, or only has an exit code.
//!
//! A suite is one unit: the command always runs whole. A retry of some cases runs it again and reports only
//! those. Invariant: nothing that cannot be trusted is green. A report that is missing, stale, broken, empty or at odds with
//! the exit code adds an `errored` case named after the command.

mod census;
mod judge;
mod reports;

use super::telling::Telling;
use super::{Driver, DriverError, JobContext, Sink, Slot};
use crate::exec::{CaptureLimit, Captured, Channel, ExecError, Finished, Stopper, now, shell};
use crate::sanitise::Sanitiser;
use census::{Census, Emitter};
use reports::{Snapshot, Spool};
use shared::domain::unit::{DiscoveredUnit, LeasedEntry};
use shared::domain::verdict::CauseCode;
use std::time::Duration;

/// Runs a `command` suite.
#[derive(Debug)]
pub struct CommandDriver {
    ctx: JobContext,
    stopper: Stopper,
}

impl CommandDriver {
    /// A driver for the job.
    #[must_use]
    pub fn new(ctx: JobContext) -> Self {
        Self { ctx, stopper: Stopper::new() }
    }
}

impl Driver for CommandDriver {
    fn discover(&self) -> Result<Vec<DiscoveredUnit>, DriverError> {
        let suite = &self.ctx.job.suite;
        if suite.command.as_deref().is_none_or(|line| line.trim().is_empty()) {
            let message =
                format!("suite `{}` has no command line: set `command` in fleetest.toml", suite.name);
            return Err(DriverError::broken(CauseCode::DiscoveryFailed, message, ""));
        }
        Ok(vec![DiscoveredUnit { key: suite.name.clone(), cases: None, divisible: false, size_bytes: 0 }])
    }

    fn open_slot(&self, slot: u32) -> Result<Box<dyn Slot>, DriverError> {
        Ok(Box::new(CommandSlot { ctx: self.ctx.clone(), stopper: self.stopper.clone(), slot }))
    }

    fn stop(&self) {
        self.stopper.stop();
    }
}

struct CommandSlot {
    ctx: JobContext,
    stopper: Stopper,
    slot: u32,
}

/// What a run of the command left.
struct Traces {
    finished: Finished,
    /// Both outputs in the order in which they came.
    output: Captured,
    spool: Spool,
}

impl Slot for CommandSlot {
    fn run(&mut self, entry: &LeasedEntry, alone: bool, sink: &mut dyn Sink) -> Result<(), DriverError> {
        let started_at = now();
        let mut telling = Telling::begin(entry, self.slot, alone, sink);
        let suite = &self.ctx.job.suite;
        let before = Snapshot::take(&self.ctx.root, &suite.results);
        let traces = match self.run_command() {
            Ok(traces) => traces,
            Err(ExecError::Stopped) => return Err(DriverError::Stopped),
            Err(error) => {
                telling.abort(format!("the command could not be run: {}", error.sentence()));
                return Ok(());
            }
        };
        let (reports, mut problems) = if suite.results.is_empty() {
            (traces.spool.report(&self.ctx.root).into_iter().collect(), Vec::new())
        } else {
            before.changes(&self.ctx.root, &suite.results)
        };
        let mut census = Census::new(&entry.entry.selection, &self.ctx.filter);
        for report in &reports {
            census.count(report);
        }
        problems.extend(judge::problems(suite, &traces.finished, &reports, &census));
        let bare = reports.is_empty() && suite.results.is_empty();
        let plan = census.plan(judge::command_case(suite), !problems.is_empty(), bare);
        telling.announce(plan.announced, plan.deselected);
        let mut emitter = Emitter::new(&mut telling, census, started_at);
        for report in &reports {
            emitter.emit(report);
        }
        judge::tell_command(
            &mut telling,
            suite,
            &traces,
            &problems,
            (plan.command, &plan.unseen, started_at),
        );
        telling.finish();
        Ok(())
    }
}

impl CommandSlot {
    fn run_command(&self) -> Result<Traces, ExecError> {
        let suite = &self.ctx.job.suite;
        let mut output = Captured::new(CaptureLimit::default());
        let mut spool = Spool::new(&self.ctx.scratch, self.slot, suite.results.is_empty());
        let mut sanitisers = [Sanitiser::new(), Sanitiser::new()];
        let log = format!("command-{}", self.slot);
        let finished = shell(&self.ctx, suite.command.as_deref().unwrap_or_default())
            .env([("FLEETEST_SLOT", self.slot.to_string())])
            .time_limit(Duration::from_millis(suite.timeout_ms))
            .keep(CaptureLimit { head_bytes: 0, tail_bytes: 0 })
            .run_watched(&self.stopper, &mut |channel, bytes| {
                output.push(bytes);
                if channel == Channel::Stdout {
                    spool.push(bytes);
                }
                let [out, err] = &mut sanitisers;
                let text = if channel == Channel::Stdout { out.push(bytes) } else { err.push(bytes) };
                if !text.is_empty() {
                    (self.ctx.log)(&log, &text);
                }
            })?;
        spool.close();
        Ok(Traces { finished, output, spool })
    }
}
