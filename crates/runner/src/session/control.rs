//! The one place where a runner learns that it should stop, drain or is over, and wakes whoever waits.
//!
//! Any thread may ask to stop; the first reason wins and is never replaced. Waits end at once when something
//! changes: nothing in the runner sleeps blindly. It performs nothing itself but the registered killers.

use shared::domain::verdict::Cause;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a request to stop, this much time remains for reporting and giving leases back.
pub const STOP_GRACE: Duration = Duration::from_secs(3);

/// Why a runner stops before the job is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The machine or the launcher wants it: the sentence says who.
    Asked(String),
    /// The coordinator cancelled the run.
    Cancelled,
    /// The coordinator does not know this session any more.
    Fenced(String),
    /// The coordinator was away for longer than a lease lives.
    Lost(String),
    /// The job cannot be run.
    Broken(Cause),
}

/// What a runner is doing, as its heartbeat reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Fetching the source.
    #[default]
    Source,
    /// Running set-up commands.
    Setup,
    /// Building and listing.
    Discovery,
    /// Running tests.
    Tests,
    /// Sending the files that the suite keeps.
    Keeping,
    /// Reporting the end.
    Finishing,
}

impl Phase {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Setup => "setup",
            Self::Discovery => "discovery",
            Self::Tests => "tests",
            Self::Keeping => "keeping",
            Self::Finishing => "finishing",
        }
    }
}

type Killer = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    stop: Option<(Stop, Instant)>,
    draining: bool,
    over: bool,
    silent: bool,
    phase: Phase,
    lanes: u32,
    idle: u32,
    killers: Vec<(u64, Killer)>,
    next_killer: u64,
    regret: Option<Cause>,
}

/// Shared by every thread of one runner.
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("stop", &self.stop()).finish_non_exhaustive()
    }
}

impl Control {
    /// Asks to stop; only the first request counts. The killers run on threads of their own, because one that
    /// takes its time must not hold up the heartbeat that brought the request.
    pub fn request(&self, stop: Stop) {
        let mut state = self.lock();
        if state.stop.is_some() {
            return;
        }
        state.stop = Some((stop, Instant::now()));
        let killers: Vec<Killer> = state.killers.iter().map(|(_, killer)| Arc::clone(killer)).collect();
        drop(state);
        self.changed.notify_all();
        for killer in killers {
            launch(killer);
        }
    }

    /// Why to stop, if so.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.lock().stop.as_ref().map(|(stop, _)| stop.clone())
    }

    /// Whether to stop.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// When everything must be over after a request to stop.
    #[must_use]
    pub fn stop_deadline(&self) -> Option<Instant> {
        self.lock().stop.as_ref().map(|(_, at)| *at + STOP_GRACE)
    }

    /// Registers what kills work in progress; it runs at once if the runner is stopping already.
    pub fn attach(&self, killer: Killer) -> u64 {
        let mut state = self.lock();
        if state.stop.is_some() {
            launch(Arc::clone(&killer));
        }
        let ticket = state.next_killer;
        state.next_killer += 1;
        state.killers.push((ticket, killer));
        ticket
    }

    /// Forgets a killer: its work is over.
    pub fn detach(&self, ticket: u64) {
        self.lock().killers.retain(|(number, _)| *number != ticket);
    }

    /// Something went wrong after the work was done. It stops nobody and is told at the end; only the first counts.
    pub fn regret(&self, cause: Cause) {
        let mut state = self.lock();
        state.regret = state.regret.take().or(Some(cause));
    }

    /// What went wrong after the work was done.
    #[must_use]
    pub fn regretted(&self) -> Option<Cause> {
        self.lock().regret.clone()
    }

    /// Takes no new leases from now on.
    pub fn drain(&self) {
        self.lock().draining = true;
        self.changed.notify_all();
    }

    /// Whether it was told to take no new leases.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.lock().draining
    }

    /// The job is over for this runner: nobody needs to ask for work again.
    pub fn job_over(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// Whether a slot without anything to report may ask for work.
    #[must_use]
    pub fn wants_work(&self) -> bool {
        let state = self.lock();
        state.stop.is_none() && !state.draining && !state.over
    }

    /// Sets what the heartbeat reports.
    pub fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// What the heartbeat reports.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Ends the heartbeat and the flusher: the very last thing of a session.
    pub fn silence(&self) {
        self.lock().silent = true;
        self.changed.notify_all();
    }

    /// Waits for the next heartbeat; false once there is to be none.
    pub fn pause_beat(&self, until: Instant) -> bool {
        self.pause(until, |state| state.silent);
        !self.lock().silent
    }

    /// Waits before work is asked for again.
    pub fn pause_slot(&self, until: Instant) {
        self.lock().idle += 1;
        self.pause(until, |state| state.stop.is_some() || state.draining || state.over);
        let mut state = self.lock();
        state.idle = state.idle.saturating_sub(1);
    }

    /// How many lanes wait for work at the moment.
    #[must_use]
    pub fn idle(&self) -> u32 {
        self.lock().idle
    }

    /// Waits before a call is repeated; a runner that begins to stop repeats it at once, then keeps to the wait.
    pub fn pause_call(&self, until: Instant) {
        let stopping = self.stopping();
        self.pause(until, |state| state.silent || (!stopping && state.stop.is_some()));
    }

    /// Counts the lanes that are about to start.
    pub fn lanes_begin(&self, lanes: u32) {
        self.lock().lanes = lanes;
    }

    /// One lane is over.
    pub fn lane_ends(&self) {
        let mut state = self.lock();
        state.lanes = state.lanes.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for every lane; after a request to stop only as long as the grace lasts, because a driver that does
    /// not let go must not keep the leases from others. Says whether all are over.
    pub fn await_lanes(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.lanes == 0 {
                return true;
            }
            let Some((_, stopped_at)) = state.stop else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = (stopped_at + STOP_GRACE / 2).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn pause(&self, until: Instant, done: impl Fn(&State) -> bool) {
        let left = until.saturating_duration_since(Instant::now());
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, left, |state| !done(state));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(killer: Killer) {
    std::thread::spawn(move || killer());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_reason_wins() {
        let control = Control::default();
        control.request(Stop::Cancelled);
        control.request(Stop::Lost("later".into()));
        assert_eq!(control.stop(), Some(Stop::Cancelled));
    }

    #[test]
    fn killers_run_once_whether_they_come_before_or_after() {
        let (sender, receiver) = mpsc::channel();
        let control = Control::default();
        let early = sender.clone();
        control.attach(Arc::new(move || early.send("early").unwrap()));
        let detached = sender.clone();
        control.detach(control.attach(Arc::new(move || detached.send("detached").unwrap())));
        control.request(Stop::Cancelled);
        control.request(Stop::Cancelled);
        control.attach(Arc::new(move || sender.send("late").unwrap()));
        let mut ran = [receiver.recv_timeout(LONG).unwrap(), receiver.recv_timeout(LONG).unwrap()];
        ran.sort_unstable();
        assert_eq!(ran, ["early", "late"]);
    }

    #[test]
    fn each_change_ends_the_wait_of_a_slot() {
        for change in [|c: &Control| c.request(Stop::Cancelled), Control::drain, Control::job_over] {
            let control = Control::default();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let begin = Instant::now();
                    control.pause_slot(begin + LONG);
                    begin.elapsed()
                });
                change(&control);
                assert!(waiting.join().unwrap() < LONG);
            });
            assert!(!control.wants_work());
        }
    }

    #[test]
    fn a_lane_that_hangs_is_given_up_after_a_stop() {
        let control = Control::default();
        control.lanes_begin(2);
        control.lane_ends();
        control.request(Stop::Cancelled);
        assert!(!control.await_lanes());
        control.lane_ends();
        assert!(control.await_lanes());
    }
}
