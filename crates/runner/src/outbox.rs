//! Results on their way to the coordinator: one buffer per lease, one thread that sends what is due.
//!
//! A slot only appends and never waits, except where a driver asks for it (careful mode). Sending has one
//! turn per lease, so parts leave in order. A buffer stays here until its lease is closed by a later call or
//! given back; a lease that went to others is marked dead, and whatever is still said about it is dropped.

pub mod clean;
pub mod logs;
pub mod parts;
mod spill;

use crate::driver::Sink;
use crate::link::{Link, LinkError};
use crate::session::control::{Control, Stop};
use clean::{Cleaner, pack};
use logs::Logs;
use parts::{Part, Parts};
use shared::domain::id::LeaseId;
use shared::domain::unit::UnitEvent;
use shared::domain::verdict::{Cause, CauseCode};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

/// Events of all leases together that are held in memory; more goes to scratch files.
const MEMORY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// An open lease and what it still has to report.
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    parts: Mutex<Parts>,
    turn: Mutex<()>,
    dead: AtomicBool,
}

impl Lease {
    /// Whether the lease went to others: nothing about it matters any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// The lease.
    #[must_use]
    pub fn id(&self) -> LeaseId {
        self.id
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the flusher must look again.
#[derive(Debug, Default)]
struct Bell {
    rung: bool,
    closed: bool,
}

/// All outgoing results and logs of a runner.
pub struct Outbox {
    link: Arc<Link>,
    control: Arc<Control>,
    cleaner: Cleaner,
    scratch: PathBuf,
    leases: Mutex<BTreeMap<LeaseId, Arc<Lease>>>,
    logs: Logs,
    bell: Mutex<Bell>,
    ringing: Condvar,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl Outbox {
    /// An empty outbox and its flusher thread, which ends with [`Self::close`].
    #[must_use]
    pub fn start(link: Arc<Link>, control: Arc<Control>, cleaner: Cleaner, scratch: PathBuf) -> Arc<Self> {
        let outbox = Arc::new(Self {
            link,
            control,
            cleaner,
            scratch,
            leases: Mutex::default(),
            logs: Logs::default(),
            bell: Mutex::default(),
            ringing: Condvar::new(),
        });
        let flusher = Arc::clone(&outbox);
        std::thread::spawn(move || flusher.flush_in_turn());
        outbox
    }

    /// Opens the buffer of a new lease.
    #[must_use]
    pub fn open(&self, id: LeaseId, epoch: u64) -> Arc<Lease> {
        let parts = Mutex::new(Parts::new(id, epoch));
        let lease = Arc::new(Lease { id, parts, turn: Mutex::default(), dead: AtomicBool::new(false) });
        self.leases().insert(id, Arc::clone(&lease));
        lease
    }

    /// Sends everything but the last part and freezes that one, to be carried by the call that closes the lease.
    /// `None` if the lease is dead or the runner has to stop.
    pub fn seal(&self, lease: &Lease) -> Option<Arc<Part>> {
        let _turn = lease.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.seal_in_turn(lease)
    }

    /// Forgets a lease that was closed, given back or lost.
    pub fn forget(&self, lease: &Lease) {
        self.leases().remove(&lease.id);
    }

    /// The last part of every lease that is still open; what a stuck slot is sending is left as it is.
    #[must_use]
    pub fn remainders(&self) -> Vec<Arc<Part>> {
        let open: Vec<Arc<Lease>> = self.leases().values().cloned().collect();
        let alive = open.iter().filter(|lease| !lease.is_dead());
        alive
            .filter_map(|lease| match lease.turn.try_lock() {
                Ok(_turn) => self.seal_in_turn(lease).or_else(|| lease.parts().freeze()),
                Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => {
                    let mut parts = lease.parts();
                    parts.freeze().or_else(|| parts.freeze_last())
                }
            })
            .collect()
    }

    /// Appends to a log.
    pub fn log(&self, name: &str, text: &str) {
        self.logs.append(name, text);
        self.ring();
    }

    /// The cleaner.
    #[must_use]
    pub fn cleaner(&self) -> &Cleaner {
        &self.cleaner
    }

    /// Sends the rest of the logs with their end markers; a log that cannot be sent is no reason to fail.
    pub fn end_logs(&self) {
        self.logs.send(&self.link, &self.cleaner, true).ok();
    }

    /// Ends the flusher.
    pub fn close(&self) {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.ringing.notify_all();
    }

    /// What an error of the link means for the whole runner; a stale lease is no reason to stop.
    pub fn judge(&self, error: &LinkError) {
        match error {
            LinkError::Stale => {}
            LinkError::Fenced(reason) => self.control.request(Stop::Fenced(reason.clone())),
            LinkError::Away(reason) => self.control.request(Stop::Lost(reason.clone())),
            LinkError::Refused(_) => {
                let cause =
                    Cause::new(CauseCode::Internal, format!("runner and coordinator disagree: {error}"));
                self.control.request(Stop::Broken(cause));
            }
        }
    }

    fn push(&self, lease: &Lease, event: UnitEvent) {
        if lease.is_dead() {
            return;
        }
        let path = self.scratch.join(format!("outbox-{}", lease.id));
        let others = self.memory_bytes(lease);
        let mut news = false;
        for text in pack(event, &self.cleaner) {
            let mut parts = lease.parts();
            news |= parts.push(text, Instant::now(), MEMORY_LIMIT_BYTES.saturating_sub(others), &path);
        }
        if news {
            self.ring();
        }
    }

    fn memory_bytes(&self, except: &Lease) -> usize {
        let leases = self.leases();
        leases.values().filter(|lease| lease.id != except.id).map(|lease| lease.parts().memory_bytes()).sum()
    }

    fn seal_in_turn(&self, lease: &Lease) -> Option<Arc<Part>> {
        loop {
            if lease.is_dead() {
                return None;
            }
            let last = lease.parts().freeze_last();
            if last.is_some() {
                return self.undamaged(lease).then_some(last).flatten();
            }
            self.send_part(lease).ok()?;
        }
    }

    /// Sends what is due at `at`; `None` means everything that waits.
    fn drain(&self, lease: &Lease, at: Option<Instant>) {
        let _turn = lease.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let due = || lease.parts().due_at().is_some_and(|due_at| at.is_none_or(|at| due_at <= at));
        while !lease.is_dead() && due() {
            if self.send_part(lease).is_err() {
                return;
            }
        }
    }

    /// Sends one part; the caller has the turn.
    fn send_part(&self, lease: &Lease) -> Result<(), LinkError> {
        let part = lease.parts().freeze();
        let Some(part) = part.filter(|_| self.undamaged(lease)) else { return Err(LinkError::Stale) };
        let sent = self.link.results(&*part).and_then(|reply| {
            lease.parts().accepted(reply.next_part).map_err(|gap| LinkError::Refused(gap.to_string()))
        });
        if let Err(error) = &sent {
            self.give_up(lease, error);
        }
        sent
    }

    /// An error ends the lease, or the runner.
    fn give_up(&self, lease: &Lease, error: &LinkError) {
        if *error == LinkError::Stale {
            lease.dead.store(true, Ordering::Release);
        }
        self.judge(error);
    }

    fn undamaged(&self, lease: &Lease) -> bool {
        let damage = lease.parts().damage().map(str::to_owned);
        if let Some(damage) = &damage {
            let message = format!("results were lost in the scratch directory: {damage}");
            self.control.request(Stop::Broken(Cause::new(CauseCode::Internal, message)));
        }
        damage.is_none()
    }

    fn flush_in_turn(&self) {
        while self.await_due() {
            let open: Vec<Arc<Lease>> = self.leases().values().cloned().collect();
            let now = Instant::now();
            for lease in open {
                let due = lease.parts().due_at().is_some_and(|at| at <= now);
                if due {
                    self.drain(&lease, Some(now));
                }
            }
            if self.logs.due_at().is_some_and(|at| at <= now)
                && let Err(error) = self.logs.send(&self.link, &self.cleaner, false)
            {
                self.judge(&error);
            }
        }
    }

    /// Waits until something is due; false once the outbox is closed or the runner stops, because then the last
    /// parts are sent by whoever ends the session.
    fn await_due(&self) -> bool {
        loop {
            let next = self.next_due();
            let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
            if bell.closed || self.control.stopping() {
                return false;
            }
            if std::mem::take(&mut bell.rung) {
                continue;
            }
            let Some(at) = next else {
                drop(self.ringing.wait(bell).unwrap_or_else(PoisonError::into_inner));
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            drop(self.ringing.wait_timeout(bell, left).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let leases = self.leases();
        let alive = leases.values().filter(|lease| !lease.is_dead());
        alive.filter_map(|lease| lease.parts().due_at()).chain(self.logs.due_at()).min()
    }

    fn ring(&self) {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner).rung = true;
        self.ringing.notify_one();
    }

    fn leases(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Arc<Lease>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a slot puts the events of one leased entry.
#[derive(Debug)]
pub struct LeaseSink<'a> {
    outbox: &'a Outbox,
    lease: &'a Lease,
    entry: u32,
    ended: bool,
}

impl<'a> LeaseSink<'a> {
    /// A sink for one entry of a lease.
    #[must_use]
    pub fn new(outbox: &'a Outbox, lease: &'a Lease, entry: u32) -> Self {
        Self { outbox, lease, entry, ended: false }
    }

    /// The slot is done with the entry. A driver that forgot to say how it ended must not leave the entry open:
    /// the coordinator would wait for it as long as the lease lives.
    pub fn close(mut self) {
        if !self.ended {
            let reason = "the driver returned without an end of the entry".to_owned();
            self.event(UnitEvent::Aborted { entry: self.entry, suspect: None, reason });
        }
    }
}

impl Sink for LeaseSink<'_> {
    fn event(&mut self, event: UnitEvent) {
        self.ended |= event.is_end();
        self.outbox.push(self.lease, event);
    }

    fn idle_slots(&self) -> u32 {
        self.outbox.control.idle()
    }

    fn flush(&mut self) {
        self.outbox.drain(self.lease, None);
    }
}
