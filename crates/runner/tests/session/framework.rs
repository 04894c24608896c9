//! A framework of the test's own: units that do what a closure says, reported as a driver reports them.

use runner::driver::{Driver, DriverError, JobContext, Sink, Slot};
use shared::domain::case::{CaseId, CaseResult};
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use shared::domain::unit::{DiscoveredUnit, LeasedEntry, UnitEvent};
use std::sync::{Arc, Condvar, Mutex};

/// What a unit does between its announcement and its result.
pub(crate) type Body = Arc<dyn Fn(&Running<'_>, &mut dyn Sink) -> Result<(), DriverError> + Send + Sync>;

/// A unit that runs.
pub(crate) struct Running<'a> {
    pub(crate) entry: &'a LeasedEntry,
    pub(crate) slot: u32,
    pub(crate) alone: bool,
    pub(crate) stop: &'a StopFlag,
}

/// Set by `Driver::stop`; a unit may wait for it.
#[derive(Default)]
pub(crate) struct StopFlag {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopFlag {
    pub(crate) fn wait(&self) {
        drop(self.changed.wait_while(self.stopped.lock().unwrap(), |stopped| !*stopped).unwrap());
    }

    fn set(&self) {
        *self.stopped.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

pub(crate) struct Framework {
    pub(crate) units: u32,
    pub(crate) body: Body,
    pub(crate) stop: Arc<StopFlag>,
}

impl Framework {
    /// A factory for drivers with this many units that all do the same.
    pub(crate) fn factory(
        units: u32,
        body: impl Fn(&Running<'_>, &mut dyn Sink) -> Result<(), DriverError> + Send + Sync + 'static,
    ) -> impl Fn(JobContext) -> Result<Box<dyn Driver>, DriverError> {
        let body: Body = Arc::new(body);
        move |_| Ok(Box::new(Self { units, body: Arc::clone(&body), stop: Arc::default() }))
    }
}

impl Driver for Framework {
    fn discover(&self) -> Result<Vec<DiscoveredUnit>, DriverError> {
        let unit = |number| DiscoveredUnit {
            key: format!("unit-{number}"),
            cases: None,
            divisible: false,
            size_bytes: 0,
        };
        Ok((0..self.units).map(unit).collect())
    }

    fn open_slot(&self, slot: u32) -> Result<Box<dyn Slot>, DriverError> {
        Ok(Box::new(Lane { slot, body: Arc::clone(&self.body), stop: Arc::clone(&self.stop) }))
    }

    fn stop(&self) {
        self.stop.set();
    }
}

struct Lane {
    slot: u32,
    body: Body,
    stop: Arc<StopFlag>,
}

impl Slot for Lane {
    fn run(&mut self, entry: &LeasedEntry, alone: bool, sink: &mut dyn Sink) -> Result<(), DriverError> {
        let (index, case) = (entry.index, CaseId(format!("{}::case", entry.entry.unit)));
        sink.event(UnitEvent::Started { entry: index, slot: self.slot, at: Timestamp(1) });
        sink.event(UnitEvent::Announced {
            entry: index,
            cases: vec![case.clone()],
            deselected: 0,
            more: false,
        });
        (self.body)(&Running { entry, slot: self.slot, alone, stop: &self.stop }, sink)?;
        let result = CaseResult {
            case,
            class: "unit".into(),
            name: "case".into(),
            file: None,
            line: None,
            attempt: entry.entry.attempt,
            outcome: Outcome::Passed,
            started_at: Timestamp(1),
            duration_us: 1,
            slot: self.slot,
            alone,
            failure: None,
            reason: None,
            output: "printed hunter2".into(),
        };
        sink.event(UnitEvent::Case { entry: index, result: Box::new(result) });
        sink.event(UnitEvent::Finished { entry: index, overhead_us: 0, at: Timestamp(2) });
        Ok(())
    }
}
