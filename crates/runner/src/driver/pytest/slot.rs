//! One lane of execution: leased entries through slot processes, of which a crash may need several.

use super::Shared;
use super::lane::{Event, Lane};
use super::protocol::{SlotMessage, SlotOrder};
use super::task::{After, Mishap, Task};
use crate::driver::{DriverError, Sink, Slot};
use shared::domain::outcome::Outcome;
use shared::domain::unit::LeasedEntry;
use shared::domain::verdict::{Cause, CauseCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long session fixtures may take to end.
const FAREWELL: Duration = Duration::from_secs(30);

/// A slot of the pytest driver.
pub(super) struct PytestSlot {
    shared: Arc<Shared>,
    number: u32,
    generation: u32,
    lane: Option<Lane>,
}

/// How the work of one process on a task ended.
enum Step {
    Done,
    Yielded(u32),
    Mishap(Mishap),
    Lost,
    Killed,
    Garbled(String),
}

impl PytestSlot {
    /// Opens the slot with a process that is ready to collect.
    pub(super) fn open(shared: Arc<Shared>, number: u32) -> Result<Self, DriverError> {
        let mut slot = Self { shared, number, generation: 0, lane: None };
        slot.lane = Some(slot.fresh_lane()?);
        Ok(slot)
    }

    fn fresh_lane(&mut self) -> Result<Lane, DriverError> {
        let lane = self.shared.open_lane(self.number, self.generation)?;
        self.generation += 1;
        Ok(lane)
    }

    /// Has one process work on the task until it is through or the process is.
    fn drive(&self, lane: &mut Lane, task: &mut Task<'_>, sink: &mut dyn Sink) -> Step {
        let careful = task.careful();
        let limit = Duration::from_millis(self.shared.ctx.job.suite.case_timeout_ms.max(1));
        lane.order(&SlotOrder::Collect { unit: task.unit(), careful });
        let mut collecting = true;
        let mut yields = None;
        let mut deadline = Instant::now() + limit;
        loop {
            match lane.next(deadline, careful || collecting) {
                Event::Message(SlotMessage::Collected { cases, errors, deselected }) => {
                    let pick = task.choose(cases, errors, deselected, sink);
                    lane.order(&SlotOrder::Run { pick });
                    collecting = false;
                }
                Event::Message(SlotMessage::Done) => {
                    return yields.filter(|_| !task.is_over()).map_or(Step::Done, Step::Yielded);
                }
                Event::Message(SlotMessage::Note { text }) => (self.shared.ctx.log)("driver", &text),
                Event::Line(line) => {
                    let starts = line.next.is_some();
                    if let Err(nonsense) = task.take(*line, sink) {
                        return Step::Garbled(nonsense);
                    }
                    if careful && starts {
                        lane.order(&SlotOrder::Go);
                    }
                    if yields.is_none() && sink.idle_slots() > 0 && task.worth_sharing() {
                        yields = Some(sink.idle_slots().max(1));
                        lane.order(&SlotOrder::Yield);
                    }
                }
                // Nobody knows who did it. If it was the case that ran, it will do it again, watched.
                Event::Gone(death) if death.is_kill() && !careful => return Step::Killed,
                Event::Gone(death) => {
                    let detail = lane.take_output();
                    let (kind, clause) = (death.kind(), death.clause());
                    return Step::Mishap(Mishap { outcome: Outcome::Crashed, kind, clause, detail });
                }
                Event::Lost => return Step::Lost,
                Event::Overdue => match self.overdue(lane, task, limit, sink) {
                    Ok(mishap) => return Step::Mishap(mishap),
                    Err(nonsense) => return Step::Garbled(nonsense),
                },
                Event::Garbled(nonsense) => return Step::Garbled(nonsense),
            }
            deadline = Instant::now() + limit;
        }
    }

    fn overdue(
        &self,
        lane: &mut Lane,
        task: &mut Task<'_>,
        limit: Duration,
        sink: &mut dyn Sink,
    ) -> Result<Mishap, String> {
        for line in lane.kill() {
            task.take(line, sink)?;
        }
        Ok(Mishap {
            outcome: Outcome::TimedOut,
            kind: "timeout".to_owned(),
            clause: format!("was killed after the limit of {} ms", limit.as_millis()),
            detail: lane.take_output(),
        })
    }

    /// Decides what follows a step: `Some` ends the entry.
    fn after(&self, step: Step, task: &mut Task<'_>, sink: &mut dyn Sink) -> Option<Result<(), DriverError>> {
        if self.shared.is_stopped() {
            return Some(Err(DriverError::Stopped));
        }
        let over = match step {
            Step::Done if task.is_over() => After::Over,
            Step::Done => After::Abort("the process left out cases it was to run".to_owned()),
            Step::Yielded(idle) => {
                sink.event(task.yielded(idle));
                return Some(Ok(()));
            }
            Step::Mishap(mishap) => task.fail(&mishap, sink),
            Step::Lost => After::Abort("pytest's warm process was killed, and this slot with it".to_owned()),
            Step::Killed => After::Abort("the process was killed, by a test or from outside".to_owned()),
            Step::Garbled(nonsense) => After::Abort(format!("the process sent nonsense: {nonsense}")),
        };
        match over {
            After::GoOn => None,
            After::Over => {
                sink.event(task.finished());
                Some(Ok(()))
            }
            After::Abort(reason) => {
                sink.event(task.aborted(reason));
                Some(Ok(()))
            }
        }
    }
}

impl Slot for PytestSlot {
    fn run(&mut self, entry: &LeasedEntry, alone: bool, sink: &mut dyn Sink) -> Result<(), DriverError> {
        let shared = Arc::clone(&self.shared);
        let mut task = Task::new(entry, &shared.ctx.filter, self.number, alone);
        sink.event(task.started());
        loop {
            if shared.is_stopped() {
                return Err(DriverError::Stopped);
            }
            let mut lane = match self.lane.take() {
                Some(lane) if lane.zygote().is_alive() => lane,
                _ => self.fresh_lane()?,
            };
            let step = self.drive(&mut lane, &mut task, sink);
            if matches!(step, Step::Yielded(_)) || (matches!(step, Step::Done) && task.is_over()) {
                self.lane = Some(lane);
            } else {
                lane.kill();
            }
            if let Some(end) = self.after(step, &mut task, sink) {
                return end;
            }
        }
    }

    fn close(&mut self) -> Option<Cause> {
        let mut lane = self.lane.take().filter(|_| !self.shared.is_stopped())?;
        let notes = lane.close(FAREWELL);
        for note in &notes {
            (self.shared.ctx.log)("driver", note);
        }
        (!notes.is_empty()).then(|| Cause {
            code: CauseCode::TeardownFailed,
            message: "session fixtures could not be torn down at the end".to_owned(),
            detail: notes.join("\n"),
        })
    }
}

impl Drop for PytestSlot {
    fn drop(&mut self) {
        // Of a slot that was not closed in order, the log alone hears.
        drop(self.close());
    }
}
