//! The lanes of a runner: each leases a batch, runs it entry by entry, and leases the next while it reports.
//!
//! It knows nothing of frameworks (a [`Driver`] does that) and judges no result. A slot of the driver is opened
//! when the first batch arrives, so lanes without work cost nothing. A lease that went to others is dropped
//! after the entry in progress; a driver that is broken ends the whole runner.

pub mod gate;

use crate::driver::{Driver, DriverError, Slot};
use crate::link::{Link, LinkError};
use crate::outbox::parts::Part;
use crate::outbox::{Lease, LeaseSink, Outbox};
use crate::session::announce::Discovery;
use crate::session::control::{Control, Stop};
use gate::Gate;
use serde::Serialize;
use shared::domain::id::LeaseId;
use shared::domain::unit::LeasedEntry;
use shared::domain::verdict::{Cause, CauseCode};
use shared::wire::link::LeaseReply;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything a lane needs; the same for all lanes of a runner.
#[derive(Clone)]
pub struct Floor {
    /// The link.
    pub link: Arc<Link>,
    /// The runner's control.
    pub control: Arc<Control>,
    /// Where results go.
    pub outbox: Arc<Outbox>,
    /// The driver, after discovery.
    pub driver: Arc<dyn Driver>,
    /// What it discovered.
    pub discovery: Arc<Discovery>,
    /// Prefix of request ids, unique per process.
    pub nonce: String,
    /// Number of lanes.
    pub lanes: u32,
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// Runs all lanes until there is no work left or the runner stops. Says whether every lane has ended; one that
/// has not is stuck in a driver that does not let go.
#[must_use]
pub fn run(floor: &Floor) -> bool {
    let gate = Gate::new(&floor.control);
    floor.control.lanes_begin(floor.lanes);
    for number in 1..=floor.lanes {
        let end = LaneEnd(Arc::clone(&floor.control));
        let mut lane = Lane { floor: floor.clone(), gate: Arc::clone(&gate), number, slot: None, asked: 0 };
        std::thread::spawn(move || {
            lane.work();
            lane.close();
            drop(lane);
            drop(end);
        });
    }
    floor.control.await_lanes()
}

/// Counts the lane out even if the driver panics, which then ends the runner.
struct LaneEnd(Arc<Control>);

impl Drop for LaneEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let cause =
                Cause::new(CauseCode::Internal, "the driver panicked: a fault of Fleetest, please report it");
            self.0.request(Stop::Broken(cause));
        }
        self.0.lane_ends();
    }
}

/// The wire's `LeaseRequest`, with a part that is serialised already.
#[derive(Debug, Serialize)]
struct LeaseCall<'a> {
    request_id: String,
    slot: u32,
    finished: Option<&'a Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a str>,
}

/// What a lane does after it has asked for work.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Run(LeaseId, u64, Vec<LeasedEntry>),
    Pause(Duration),
    Announce,
    AskAgain,
    Leave { job_over: bool },
}

/// A stale lease was the previous one: the question itself stands and is asked anew.
fn decide(reply: Result<LeaseReply, LinkError>) -> Next {
    match reply {
        Ok(LeaseReply::Batch { lease, epoch, entries }) => Next::Run(lease, epoch, entries),
        Ok(LeaseReply::Wait { retry_after_ms }) => Next::Pause(Duration::from_millis(retry_after_ms.max(1))),
        Ok(LeaseReply::Unplanned) => Next::Announce,
        Ok(LeaseReply::Done) => Next::Leave { job_over: true },
        Err(LinkError::Stale) => Next::AskAgain,
        Err(LinkError::Fenced(_) | LinkError::Refused(_) | LinkError::Away(_)) => {
            Next::Leave { job_over: false }
        }
    }
}

struct Lane {
    floor: Floor,
    gate: Arc<Gate>,
    number: u32,
    slot: Option<Box<dyn Slot>>,
    asked: u64,
}

impl Lane {
    fn work(&mut self) {
        let mut closing = None;
        // A finished lease is reported even when there is nothing more to get, unless the runner stops or
        // drains: then whoever ends the session gives it back.
        while self.floor.control.wants_work() || (closing.is_some() && self.may_report()) {
            match self.ask(closing.take().as_ref()) {
                Next::Run(id, epoch, entries) => {
                    let lease = self.floor.outbox.open(id, epoch);
                    closing = self.run_batch(&lease, &entries).then_some(lease);
                }
                Next::Pause(wait) => self.floor.control.pause_slot(Instant::now() + wait),
                Next::Announce => self.floor.discovery.put(&self.floor.link, &self.floor.outbox),
                Next::AskAgain => {}
                Next::Leave { job_over } => {
                    if job_over {
                        self.floor.control.job_over();
                    }
                    return;
                }
            }
        }
    }

    /// Lets the slot take down what its tests shared, before the runner's last words.
    fn close(&mut self) {
        if self.floor.control.stopping() {
            return;
        }
        if let Some(cause) = self.slot.as_mut().and_then(|slot| slot.close()) {
            self.floor.control.regret(cause);
        }
    }

    fn may_report(&self) -> bool {
        !self.floor.control.stopping() && !self.floor.control.draining()
    }

    fn ask(&mut self, closing: Option<&Arc<Lease>>) -> Next {
        let outbox = &self.floor.outbox;
        let last = closing.and_then(|lease| outbox.seal(lease));
        if self.floor.control.stopping() {
            return Next::Leave { job_over: false };
        }
        self.asked += 1;
        let request_id = format!("{}-{}-{}", self.floor.nonce, self.number, self.asked);
        let (slot, finished, manifest) = (self.number, last.as_deref(), self.floor.discovery.unannounced());
        let reply = self.floor.link.lease(&LeaseCall { request_id, slot, finished, manifest });
        let reply = reply.map_err(|error| match error {
            // Asking again for ever would not end this disagreement.
            LinkError::Stale if closing.is_none() => {
                LinkError::Refused("a stale lease, but none was named".into())
            }
            other
            @ (LinkError::Stale | LinkError::Fenced(_) | LinkError::Refused(_) | LinkError::Away(_)) => other,
        });
        match &reply {
            Ok(LeaseReply::Batch { .. } | LeaseReply::Wait { .. }) => self.floor.discovery.known(),
            Ok(LeaseReply::Unplanned | LeaseReply::Done) => {}
            Err(error) => outbox.judge(error),
        }
        // After any other error the lease stays in the outbox, to be given back with its last part.
        if let (Some(lease), Ok(_) | Err(LinkError::Stale)) = (closing, &reply) {
            outbox.forget(lease);
        }
        decide(reply)
    }

    /// Runs a batch; false if the runner stops in the middle of it.
    fn run_batch(&mut self, lease: &Lease, entries: &[LeasedEntry]) -> bool {
        for entry in entries {
            if lease.is_dead() {
                break;
            }
            if let Err(error) = self.run_entry(lease, entry) {
                self.stop_for(error);
                return false;
            }
        }
        true
    }

    fn run_entry(&mut self, lease: &Lease, entry: &LeasedEntry) -> Result<(), DriverError> {
        let pass = self.gate.enter(entry.entry.alone).ok_or(DriverError::Stopped)?;
        if self.floor.control.stopping() {
            return Err(DriverError::Stopped);
        }
        let slot = match &mut self.slot {
            Some(slot) => slot,
            empty => empty.insert(self.floor.driver.open_slot(self.number)?),
        };
        let alone = entry.entry.alone || self.floor.lanes == 1;
        let mut sink = LeaseSink::new(&self.floor.outbox, lease, entry.index);
        slot.run(entry, alone, &mut sink)?;
        sink.close();
        drop(pass);
        Ok(())
    }

    fn stop_for(&self, error: DriverError) {
        match error {
            DriverError::Broken(cause) => self.floor.control.request(Stop::Broken(cause)),
            // After a stop this changes nothing; without one the driver has ended by itself.
            DriverError::Stopped => {
                let cause = Cause::new(CauseCode::Internal, "the driver stopped although nobody asked it to");
                self.floor.control.request(Stop::Broken(cause));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::wire::link::LeaseRequest;

    #[test]
    fn each_reply_has_one_consequence() {
        let batch = LeaseReply::Batch { lease: LeaseId(1), epoch: 2, entries: Vec::new() };
        let table = [
            (Ok(batch), Next::Run(LeaseId(1), 2, Vec::new())),
            (Ok(LeaseReply::Wait { retry_after_ms: 0 }), Next::Pause(Duration::from_millis(1))),
            (Ok(LeaseReply::Unplanned), Next::Announce),
            (Ok(LeaseReply::Done), Next::Leave { job_over: true }),
            (Err(LinkError::Stale), Next::AskAgain),
            (Err(LinkError::Away(String::new())), Next::Leave { job_over: false }),
            (Err(LinkError::Fenced(String::new())), Next::Leave { job_over: false }),
            (Err(LinkError::Refused(String::new())), Next::Leave { job_over: false }),
        ];
        for (reply, next) in table {
            assert_eq!(decide(reply), next);
        }
    }

    #[test]
    fn the_call_is_the_wire_type() {
        let part = Part { lease: LeaseId(3), epoch: 4, part: 5, events: Vec::new() };
        let call =
            LeaseCall { request_id: "r".into(), slot: 2, finished: Some(&part), manifest: Some("digest") };
        let wire: LeaseRequest = serde_json::from_str(&serde_json::to_string(&call).unwrap()).unwrap();
        assert_eq!(
            (wire.slot, wire.finished.map(|part| (part.lease, part.part))),
            (2, Some((LeaseId(3), 5)))
        );
        assert_eq!(wire.manifest.as_deref(), Some("digest"));
    }
}
