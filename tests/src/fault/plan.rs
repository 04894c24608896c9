//! Plans: nothing, a script by call number, or rates drawn from a seed.

use super::{Call, Fault, FaultPlan};
use crate::memory::SplitMix;
use std::collections::BTreeMap;

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm;

impl FaultPlan for Calm {
    fn decide(&mut self, _call: &Call) -> Fault {
        Fault::Pass
    }
}

/// Faults at given call numbers; every other call passes.
///
/// For a sweep over all steps of a history: run it calm with [`super::Faults::recording`], then once for
/// each recorded number with one fault.
#[derive(Debug, Clone, Default)]
pub struct Scripted(BTreeMap<u64, Fault>);

impl Scripted {
    /// Faults by call number, counted from 0.
    #[must_use]
    pub fn new(faults: BTreeMap<u64, Fault>) -> Self {
        Self(faults)
    }

    /// One fault at one call.
    #[must_use]
    pub fn at(number: u64, fault: Fault) -> Self {
        Self(BTreeMap::from([(number, fault)]))
    }
}

impl FaultPlan for Scripted {
    fn decide(&mut self, call: &Call) -> Fault {
        self.0.get(&call.number).copied().unwrap_or(Fault::Pass)
    }
}

/// How often faults happen, in calls per thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Any port: not done, fails.
    pub fail_before: u64,
    /// Any port: done, fails.
    pub fail_after: u64,
    /// Queue: lost.
    pub drop: u64,
    /// Queue: sent twice.
    pub duplicate: u64,
    /// Queue: delayed by up to [`Self::delay_limit_ms`].
    pub delay: u64,
    /// Longest delay, in milliseconds.
    pub delay_limit_ms: u64,
}

impl Rates {
    /// A bad day: several per cent of everything.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            fail_before: 40,
            fail_after: 40,
            drop: 100,
            duplicate: 100,
            delay: 200,
            delay_limit_ms: 30_000,
        }
    }
}

/// Faults drawn from a seed.
#[derive(Debug, Clone)]
pub struct Seeded {
    random: SplitMix,
    rates: Rates,
}

impl Seeded {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self { random: SplitMix::new(seed), rates }
    }
}

impl FaultPlan for Seeded {
    fn decide(&mut self, call: &Call) -> Fault {
        // Two draws for every call, used or not: a changed rate then moves no later fault.
        let (fate, delay_ms) = (self.random.below(1_000), self.random.below(self.rates.delay_limit_ms + 1));
        let rates = &self.rates;
        let queue = if call.port == "queue" { 1 } else { 0 };
        let shares = [
            (rates.fail_before, Fault::FailBefore),
            (rates.fail_after, Fault::FailAfter),
            (rates.drop * queue, Fault::Drop),
            (rates.duplicate * queue, Fault::Duplicate),
            (rates.delay * queue, Fault::Delay(delay_ms)),
        ];
        let mut limit = 0;
        for (share, fault) in shares {
            limit += share;
            if fate < limit {
                return fault;
            }
        }
        Fault::Pass
    }
}
