//! One session of a runner, from the bootstrap token to `finish`.
//!
//! The order is fixed: session, source, set-up, discovery, manifest (of a later shard within its lanes, if it is asked
//! for), lanes, last results, `finish`, and only then does the heartbeat end. Whatever goes wrong on the way ends in one [`RunnerExit`]; a job that cannot be
//! run is reported to the coordinator as such, with its cause. No state outlives the call.

pub mod announce;
pub mod control;
pub mod guard;
mod stages;

use crate::config::RunnerConfig;
use crate::driver::{Driver, DriverError, JobContext};
use crate::heartbeat;
use crate::keep::keep;
use crate::link::{Link, LinkError, Patience};
use crate::outbox::Outbox;
use crate::outbox::clean::clean_cause;
use crate::outbox::parts::Part;
use crate::slots::{self, Floor};
use announce::Discovery;
use control::{Control, Phase, Stop};
use guard::SignalWatch;
use serde::Serialize;
use shared::domain::filter::Filter;
use shared::domain::spec::{Framework, Source};
use shared::domain::unit::DiscoveredUnit;
use shared::domain::verdict::{Cause, CauseCode};
use shared::wire::link::{
    FinishRequest, LINK_VERSION, ManifestRequest, RunnerEnd, SessionReply, SessionRequest,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the driver of a job.
pub type DriverFactory = dyn Fn(JobContext) -> Result<Box<dyn Driver>, DriverError>;

/// The coordinator started this runner, so it is there or will be soon.
const SESSION_PATIENCE: Duration = Duration::from_secs(60);
/// The last words are repeated this long; after that the coordinator finds out by the missing heartbeat.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(30);

/// How a runner ended, for its launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunnerExit {
    /// The job is over; everything was reported.
    Done,
    /// Work was given back: stopped, cancelled or drained.
    Released,
    /// The job cannot be run; the coordinator knows the cause.
    Broken(Cause),
    /// The coordinator had closed the session; nothing was or could be reported.
    Fenced(String),
    /// The coordinator could not be reached.
    Lost(String),
    /// No session: the coordinator does not take this runner.
    Refused(String),
}

impl RunnerExit {
    /// The process's exit code: 0 if the coordinator knows how it ended, 3 if not.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Done | Self::Released | Self::Broken(_) | Self::Fenced(_) => 0,
            Self::Lost(_) | Self::Refused(_) => 3,
        }
    }

    /// One line for the process's standard error, where the coordinator does not know already.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::Done | Self::Released | Self::Broken(_) | Self::Fenced(_) => None,
            Self::Lost(reason) => Some(format!("the coordinator cannot be reached: {reason}")),
            Self::Refused(reason) => Some(format!("no session: {reason}")),
        }
    }
}

/// Runs one session to its end.
#[must_use]
pub fn run(config: &RunnerConfig, factory: &DriverFactory) -> RunnerExit {
    let control = Arc::new(Control::default());
    let _signals = match config.handle_signals.then(|| SignalWatch::start(Arc::clone(&control))).transpose() {
        Ok(watch) => watch,
        Err(error) => return RunnerExit::Refused(format!("signals cannot be handled: {error}")),
    };
    if config.watch_stdin {
        guard::watch_stdin(Arc::clone(&control));
    }
    let link = Arc::new(Link::new(&config.link_url, config.is_loopback(), Arc::clone(&control)));
    let begun = match Session::open(config, link, control) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    begun.execute(config, factory)
}

/// What every stage of a session needs.
struct Session {
    link: Arc<Link>,
    control: Arc<Control>,
    outbox: Arc<Outbox>,
    grant: SessionReply,
    nonce: String,
    scratch: tempfile::TempDir,
    opened_at: Instant,
}

impl Session {
    fn open(config: &RunnerConfig, link: Arc<Link>, control: Arc<Control>) -> Result<Self, RunnerExit> {
        let refused = |error: &dyn std::fmt::Display| RunnerExit::Refused(error.to_string());
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| refused(&error))?;
        let nonce = hex::encode(nonce);
        let request = SessionRequest {
            link_version: LINK_VERSION,
            bootstrap_token: config.bootstrap_token.clone(),
            boot_nonce: nonce.clone(),
            slots: config.slots,
        };
        let grant =
            link.open_session(&request, Patience::within(SESSION_PATIENCE)).map_err(|error| match error {
                LinkError::Fenced(reason) => RunnerExit::Fenced(reason),
                LinkError::Away(_) if control.stopping() => RunnerExit::Released,
                LinkError::Away(reason) => RunnerExit::Lost(reason),
                LinkError::Stale | LinkError::Refused(_) => refused(&error),
            })?;
        let scratch = tempfile::Builder::new().prefix("fleetest-").tempdir().map_err(|error| {
            let message =
                format!("no scratch directory: {error}; make room in the machine's temporary directory");
            let cause = Cause::new(CauseCode::Internal, message);
            // If this cannot be said either, the coordinator misses the heartbeat.
            let end = RunnerEnd::Broken { cause: cause.clone() };
            link.finish(&FinishRequest { end }, Patience::within(LAST_WORDS_PATIENCE)).ok();
            RunnerExit::Broken(cause)
        })?;
        let cleaner = (config.cleaner)(&grant.secrets);
        let outbox =
            Outbox::start(Arc::clone(&link), Arc::clone(&control), cleaner, scratch.path().to_owned());
        heartbeat::start(Arc::clone(&link), Arc::clone(&control), Arc::clone(&outbox), grant.heartbeat_ms);
        Ok(Self { link, control, outbox, grant, nonce, scratch, opened_at: Instant::now() })
    }

    fn execute(&self, config: &RunnerConfig, factory: &DriverFactory) -> RunnerExit {
        // It ends its processes when it is dropped, which must not hold up the last words.
        let mut driver = None;
        if let Err(cause) = self.work(config, factory, &mut driver) {
            // Only what went wrong first counts: after a stop everything fails.
            self.control.request(Stop::Broken(cause));
        }
        let exit = self.conclude();
        self.outbox.close();
        self.control.silence();
        if let Some(driver) = driver.as_ref().filter(|_| self.control.stopping()) {
            // The killers have threads of their own; the process must not end before what it has started.
            driver.stop();
        }
        drop(driver);
        exit
    }

    fn work(
        &self,
        config: &RunnerConfig,
        factory: &DriverFactory,
        keep: &mut Option<Arc<dyn Driver>>,
    ) -> Result<(), Cause> {
        let context = self.prepare(config)?;
        self.control.enter(Phase::Discovery);
        let driver: Arc<dyn Driver> = Arc::from(factory(context.clone()).map_err(cause_of)?);
        *keep = Some(Arc::clone(&driver));
        let stopping = Arc::clone(&driver);
        let ticket = self.control.attach(Arc::new(move || stopping.stop()));
        let discovered = self.discover(driver.as_ref());
        let announced = discovered.map(|discovery| {
            discovery.put_if_first(self.grant.shard, &self.link, &self.outbox);
            if self.control.wants_work() {
                self.control.enter(Phase::Tests);
                let floor = Floor {
                    link: Arc::clone(&self.link),
                    control: Arc::clone(&self.control),
                    outbox: Arc::clone(&self.outbox),
                    driver,
                    discovery: Arc::new(discovery),
                    nonce: self.nonce.clone(),
                    lanes: context.slots,
                };
                let _all_ended = slots::run(&floor);
            }
            self.keep(&context.root);
        });
        // A killer that stays behind would keep the driver, and what it runs, from ending.
        self.control.detach(ticket);
        announced
    }

    /// Sends the files that the suite wants kept. Where the tests ran in somebody's own directory, they lie there.
    fn keep(&self, root: &Path) {
        let globs = &self.grant.job.suite.artifacts;
        let in_place = matches!(self.grant.source, Source::Directory { .. });
        if globs.is_empty() || in_place || self.control.stopping() {
            return;
        }
        self.control.enter(Phase::Keeping);
        match keep(&self.link, &self.control, root, globs) {
            Ok(kept) => {
                let left_out = kept.left_out.iter().map(|line| format!("not kept: {line}\n"));
                let text: String =
                    [format!("{} files kept\n", kept.files)].into_iter().chain(left_out).collect();
                self.outbox.log("runner", &text);
            }
            Err(error) => self.outbox.judge(&error),
        }
    }

    fn discover(&self, driver: &dyn Driver) -> Result<Discovery, Cause> {
        let units = self.wanted(driver.discover().map_err(cause_of)?);
        let setup_ms = u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Discovery::new(ManifestRequest { units, setup_ms, notes: driver.notes() }))
    }

    /// Leaves out units that need not even be collected: no case of theirs can match the run's filter.
    fn wanted(&self, mut units: Vec<DiscoveredUnit>) -> Vec<DiscoveredUnit> {
        let filter = self.grant.filter.as_deref().and_then(|expression| Filter::parse(expression).ok());
        // A command's cases are not named after its unit.
        if let Some(filter) = filter.filter(|_| self.grant.job.suite.framework != Framework::Command) {
            units.retain(|unit| unit.cases.is_some() || filter.may_keep_unit(&unit.key));
        }
        units
    }

    /// Reports the end as far as the coordinator still listens.
    fn conclude(&self) -> RunnerExit {
        self.control.enter(Phase::Finishing);
        let stop = self.control.stop().or_else(|| self.control.regretted().map(Stop::Broken));
        let (exit, end, reason) = match stop {
            None if self.control.draining() => {
                (RunnerExit::Released, RunnerEnd::Released, "the coordinator drains this runner".to_owned())
            }
            None => (RunnerExit::Done, RunnerEnd::Done, String::new()),
            Some(Stop::Asked(reason)) => (RunnerExit::Released, RunnerEnd::Released, reason),
            Some(Stop::Cancelled) => {
                (RunnerExit::Released, RunnerEnd::Released, "the run was cancelled".to_owned())
            }
            Some(Stop::Broken(cause)) => {
                let cause = clean_cause(cause, self.outbox.cleaner());
                let reason = cause.message.clone();
                (RunnerExit::Broken(cause.clone()), RunnerEnd::Broken { cause }, reason)
            }
            Some(Stop::Fenced(reason)) => return RunnerExit::Fenced(reason),
            Some(Stop::Lost(reason)) => return RunnerExit::Lost(reason),
        };
        match self.last_words(end, &reason) {
            Ok(()) => exit,
            Err(LinkError::Fenced(reason)) => RunnerExit::Fenced(reason),
            Err(error @ (LinkError::Away(_) | LinkError::Refused(_) | LinkError::Stale)) => {
                RunnerExit::Lost(error.to_string())
            }
        }
    }

    fn last_words(&self, end: RunnerEnd, reason: &str) -> Result<(), LinkError> {
        let patience = Patience::within(LAST_WORDS_PATIENCE);
        for part in self.outbox.remainders() {
            // One by one: the last parts of all lanes together may be more than one call can carry.
            match self.link.release(&ReleaseCall { leases: vec![&part], reason }, patience) {
                // A lease that went to others needs no giving back, and one that cannot be given back for another
                // reason must not keep the rest: it ends with this runner.
                Ok(_) | Err(LinkError::Stale | LinkError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.outbox.end_logs();
        self.link.finish(&FinishRequest { end }, patience).map(drop)
    }

    fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}

/// The wire's `ReleaseRequest`, with parts that are serialised already.
#[derive(Debug, Serialize)]
struct ReleaseCall<'a> {
    leases: Vec<&'a Part>,
    reason: &'a str,
}

fn cause_of(error: DriverError) -> Cause {
    match error {
        DriverError::Broken(cause) => cause,
        DriverError::Stopped => {
            Cause::new(CauseCode::Internal, "the driver stopped although nobody asked it to")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::id::LeaseId;
    use shared::wire::link::ReleaseRequest;

    #[test]
    fn the_call_is_the_wire_type() {
        let part = Part { lease: LeaseId(3), epoch: 4, part: 5, events: Vec::new() };
        let call = ReleaseCall { leases: vec![&part], reason: "because" };
        let wire: ReleaseRequest = serde_json::from_str(&serde_json::to_string(&call).unwrap()).unwrap();
        assert_eq!((wire.leases.len(), wire.leases[0].part, wire.reason.as_str()), (1, 5, "because"));
    }
}
