//! Lets an entry that must run alone do so: readers and one writer, the writer first.
//!
//! Once an entry waits to run alone no other may begin, so it cannot starve; it begins when the last running one
//! has ended. A waiter is let go when the runner stops.

use crate::session::control::Control;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Lanes {
    running: u32,
    alone: bool,
    alone_waiting: u32,
    closed: bool,
}

/// The gate before every entry.
#[derive(Debug, Default)]
pub struct Gate {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

/// The right to run one entry; dropping it lets others in.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    alone: bool,
}

impl Gate {
    /// A gate that opens for good once the runner stops.
    #[must_use]
    pub fn new(control: &Control) -> Arc<Self> {
        let gate = Arc::new(Self::default());
        let closing = Arc::clone(&gate);
        control.attach(Arc::new(move || closing.close()));
        gate
    }

    /// Waits for the right to run, alone if wanted; `None` once the runner stops.
    #[must_use]
    pub fn enter(&self, alone: bool) -> Option<Pass<'_>> {
        let mut lanes = self.lock();
        lanes.alone_waiting += u32::from(alone);
        let blocked = |lanes: &mut Lanes| {
            let others = if alone { lanes.running > 0 } else { lanes.alone_waiting > 0 };
            !lanes.closed && (lanes.alone || others)
        };
        lanes = self.changed.wait_while(lanes, blocked).unwrap_or_else(PoisonError::into_inner);
        lanes.alone_waiting -= u32::from(alone);
        if lanes.closed {
            return None;
        }
        lanes.alone = alone;
        lanes.running += u32::from(!alone);
        Some(Pass { gate: self, alone })
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut lanes = self.gate.lock();
        if self.alone {
            lanes.alone = false;
        } else {
            lanes.running = lanes.running.saturating_sub(1);
        }
        drop(lanes);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::control::Stop;
    use std::sync::atomic::{AtomicI32, Ordering};

    #[test]
    fn alone_excludes_everyone_and_others_run_together() {
        const LANES: i32 = 6;
        let gate = Gate::new(&Control::default());
        let inside = AtomicI32::new(0);
        let most = AtomicI32::new(0);
        std::thread::scope(|scope| {
            for lane in 0..LANES {
                let (gate, inside, most) = (&gate, &inside, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let alone = (lane + round) % 7 == 0;
                        let _pass = gate.enter(alone).unwrap();
                        let weight = if alone { LANES } else { 1 };
                        let now = inside.fetch_add(weight, Ordering::SeqCst) + weight;
                        assert!(now <= LANES, "someone ran beside an entry that runs alone");
                        if !alone {
                            most.fetch_max(now, Ordering::SeqCst);
                        }
                        std::thread::yield_now();
                        inside.fetch_sub(weight, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) > 1, "ordinary entries never ran together");
    }

    #[test]
    fn nobody_overtakes_an_entry_that_waits_to_run_alone() {
        let gate = Gate::default();
        let first = gate.enter(false).unwrap();
        std::thread::scope(|scope| {
            let alone = scope.spawn(|| drop(gate.enter(true).unwrap()));
            while gate.lock().alone_waiting == 0 {
                std::thread::yield_now();
            }
            let late = scope.spawn(|| drop(gate.enter(false).unwrap()));
            assert!(!late.is_finished());
            drop(first);
            alone.join().unwrap();
            late.join().unwrap();
        });
    }

    #[test]
    fn a_stop_lets_every_waiter_go() {
        let control = Control::default();
        let gate = Gate::new(&control);
        let _pass = gate.enter(false).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter(true).is_none());
            control.request(Stop::Cancelled);
            assert!(waiter.join().unwrap());
        });
    }
}
