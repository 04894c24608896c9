//! One lane of a simulated runner: leases, runs entries as the truth says, reports in parts, leases again.

use super::fleet::short;
use super::link::Answer;
use super::runner::Runner;
use super::truth::{Behaviour, CaseTruth, Collection, UnitTruth};
use shared::domain::case::{CaseId, CaseResult, Failure};
use shared::domain::id::LeaseId;
use shared::domain::outcome::Outcome;
use shared::domain::unit::{LeasedEntry, Selection, UnitEvent};
use shared::wire::link::{LeaseReply, LeaseRequest, ResultsRequest};
use std::convert::Infallible;
use std::sync::Arc;

/// How long a frozen runner stays frozen, in milliseconds: longer than anybody waits for it.
const FROZEN_MS: u64 = 4 * 3_600_000;

/// Events that a steady lane keeps at most before it reports.
const STEADY_EVENTS: usize = 1_000;

/// One lane.
#[derive(Debug)]
pub struct Slot {
    runner: Arc<Runner>,
    number: u32,
    asked: u32,
}

/// A lease being worked on.
struct Holding {
    lease: LeaseId,
    epoch: u64,
    part: u32,
    events: Vec<UnitEvent>,
}

impl Holding {
    fn seal(&mut self) -> ResultsRequest {
        let request = ResultsRequest {
            lease: self.lease,
            epoch: self.epoch,
            part: self.part,
            events: std::mem::take(&mut self.events),
        };
        self.part += 1;
        request
    }
}

/// How work on an entry or a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    InOrder,
    /// The lease went to others.
    Stale,
    /// The runner stops.
    Stopped,
    /// The runner is fenced.
    Fenced,
}

impl Slot {
    /// The lane of a runner.
    #[must_use]
    pub fn new(runner: &Arc<Runner>, number: u32) -> Self {
        Self { runner: Arc::clone(runner), number, asked: 0 }
    }

    /// Works until there is no more to do.
    pub async fn work(mut self) {
        let mut finished: Option<ResultsRequest> = None;
        loop {
            if self.runner.stopping() && finished.is_none() {
                return;
            }
            let answer = self.ask(finished.take()).await;
            self.runner.floor.fleet.working_on(&self.runner.id, self.number, None);
            match answer {
                Answer::Fenced => return self.runner.fence(),
                Answer::Stale => {}
                Answer::Done(LeaseReply::Done) => return,
                Answer::Done(LeaseReply::Unplanned) => {
                    if !self.runner.put_manifest().await {
                        return self.runner.fence();
                    }
                }
                Answer::Done(LeaseReply::Wait { retry_after_ms }) => {
                    self.runner.floor.hub.sleep(retry_after_ms.max(1)).await;
                }
                Answer::Done(LeaseReply::Batch { lease, epoch, entries }) => {
                    let mut holding = Holding { lease, epoch, part: 0, events: Vec::new() };
                    match self.batch(&mut holding, &entries).await {
                        Ended::InOrder => finished = Some(holding.seal()),
                        Ended::Stale => {}
                        Ended::Stopped => return self.runner.give_back(holding.seal()),
                        Ended::Fenced => return self.runner.fence(),
                    }
                }
            }
        }
    }

    async fn ask(&mut self, finished: Option<ResultsRequest>) -> Answer<LeaseReply> {
        self.asked += 1;
        let nonce = &self.runner.caller.nonce;
        let request_id = format!("{nonce}-{}-{}", self.number, self.asked);
        let manifest = self.runner.unannounced();
        let request = LeaseRequest { request_id, slot: self.number, finished, manifest };
        let caller = self.runner.caller.clone();
        let name = format!("lease {} slot {} no {}", short(&self.runner.id), self.number, self.asked);
        self.runner
            .floor
            .link
            .call(&name, |services| {
                let (caller, request) = (caller.clone(), request.clone());
                async move { services.lease(&caller, &request).await }
            })
            .await
    }

    async fn flush(&self, holding: &mut Holding) -> Ended {
        let request = holding.seal();
        let caller = self.runner.caller.clone();
        let name = format!("results {} slot {}", short(&self.runner.id), self.number);
        let answer = self
            .runner
            .floor
            .link
            .call(&name, |services| {
                let (caller, request) = (caller.clone(), request.clone());
                async move { services.results(&caller, &request).await }
            })
            .await;
        match answer {
            Answer::Done(_) => Ended::InOrder,
            Answer::Stale => Ended::Stale,
            Answer::Fenced => Ended::Fenced,
        }
    }

    async fn batch(&self, holding: &mut Holding, entries: &[LeasedEntry]) -> Ended {
        for leased in entries {
            if !self.runner.enter(leased.entry.alone).await {
                return Ended::Stopped;
            }
            let fleet = &self.runner.floor.fleet;
            fleet.working_on(&self.runner.id, self.number, Some(&leased.entry.unit));
            let ended = self.entry(holding, leased).await;
            self.runner.exit();
            if ended != Ended::InOrder {
                return ended;
            }
        }
        Ended::InOrder
    }

    async fn entry(&self, holding: &mut Holding, leased: &LeasedEntry) -> Ended {
        let hub = &self.runner.floor.hub;
        let at = hub.now();
        holding.events.push(UnitEvent::Started { entry: leased.index, slot: self.number, at });
        let Some(unit) = self.runner.suite.unit(&leased.entry.unit) else {
            hub.violation(format!("there is no unit `{}`", leased.entry.unit));
            return Ended::Stopped;
        };
        hub.sleep(hub.between(1, 500)).await;
        if leased.entry.careful {
            match self.flush(holding).await {
                Ended::InOrder => {}
                other @ (Ended::Stale | Ended::Stopped | Ended::Fenced) => return other,
            }
        }
        match unit.collection {
            Collection::Dies => {
                self.abort(holding, leased, None);
                Ended::InOrder
            }
            Collection::Errors => self.collection_error(holding, leased, unit),
            Collection::Works => self.cases(holding, leased, unit).await,
        }
    }

    fn abort(&self, holding: &mut Holding, leased: &LeasedEntry, suspect: Option<&CaseId>) {
        let reason = "killed by signal 11".to_owned();
        holding.events.push(UnitEvent::Aborted { entry: leased.index, suspect: suspect.cloned(), reason });
    }

    fn collection_error(&self, holding: &mut Holding, leased: &LeasedEntry, unit: &UnitTruth) -> Ended {
        let case = CaseTruth { id: CaseId(unit.key.clone()), behaviour: Behaviour::Fails, duration_ms: 1 };
        // The cases that were asked for by name answer for the unit; otherwise it answers for itself.
        let cases = match &leased.entry.selection {
            Selection::Only(cases) => cases.clone(),
            Selection::Except(cases) if cases.contains(&case.id) => Vec::new(),
            Selection::All | Selection::Except(_) => vec![case.id.clone()],
        };
        let announced = cases.clone();
        holding.events.push(UnitEvent::Announced {
            entry: leased.index,
            cases: announced,
            deselected: 0,
            more: false,
        });
        for id in cases {
            self.result(holding, leased, &CaseTruth { id, ..case.clone() }, Outcome::Errored);
        }
        self.finished(holding, leased);
        Ended::InOrder
    }

    async fn cases(&self, holding: &mut Holding, leased: &LeasedEntry, unit: &UnitTruth) -> Ended {
        let hub = &self.runner.floor.hub;
        let cases = self.collect(leased, unit);
        let ids = cases.iter().map(|case| case.id.clone()).collect();
        holding.events.push(UnitEvent::Announced {
            entry: leased.index,
            cases: ids,
            deselected: 0,
            more: false,
        });
        for (place, case) in cases.iter().enumerate() {
            if self.runner.stopping() {
                return Ended::Stopped;
            }
            let steady = self.runner.floor.steady;
            if !steady && place > 0 && !leased.entry.careful && hub.chance(100) {
                let slots = u32::try_from(hub.between(1, 4)).unwrap_or(1);
                let (entry, at) = (leased.index, hub.now());
                holding.events.push(UnitEvent::Yielded { entry, slots, overhead_us: 1, at });
                return Ended::InOrder;
            }
            if leased.entry.careful {
                let begun = UnitEvent::CaseStarted { entry: leased.index, case: case.id.clone() };
                holding.events.push(begun);
            }
            let due = if steady { holding.events.len() >= STEADY_EVENTS } else { hub.chance(150) };
            if leased.entry.careful || due {
                match self.flush(holding).await {
                    Ended::InOrder => {}
                    other @ (Ended::Stale | Ended::Stopped | Ended::Fenced) => return other,
                }
            }
            hub.sleep(case.duration_ms).await;
            match case.behaviour.outcome(leased.entry.attempt) {
                Some(outcome) => self.result(holding, leased, case, outcome),
                None if case.behaviour == Behaviour::KillsProcess => {
                    let sure = leased.entry.careful || hub.chance(300);
                    self.abort(holding, leased, sure.then_some(&case.id));
                    return Ended::InOrder;
                }
                None => match self.take_down(case).await {},
            }
        }
        self.finished(holding, leased);
        Ended::InOrder
    }

    fn collect(&self, leased: &LeasedEntry, unit: &UnitTruth) -> Vec<CaseTruth> {
        let key = (format!("{}/{}", self.runner.id.run, self.runner.id.job), unit.key.clone());
        let mut collected =
            self.runner.floor.collected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first_time = collected.insert(key);
        unit.collect(&leased.entry.selection, first_time)
    }

    /// Ends or freezes the whole runner; nothing after this happens in it.
    async fn take_down(&self, case: &CaseTruth) -> Infallible {
        let (hub, fleet) = (&self.runner.floor.hub, &self.runner.floor.fleet);
        if case.behaviour == Behaviour::KillsRunner {
            fleet.end(&self.runner.id, Some(137), "killed by a test");
        } else {
            fleet.pause(&self.runner.id, FROZEN_MS);
        }
        loop {
            hub.sleep(FROZEN_MS).await;
        }
    }

    fn result(&self, holding: &mut Holding, leased: &LeasedEntry, case: &CaseTruth, outcome: Outcome) {
        let failure = outcome.is_failure().then(|| Failure {
            kind: "simulated".to_owned(),
            message: "it did not hold".to_owned(),
            detail: String::new(),
        });
        let result = CaseResult {
            case: case.id.clone(),
            class: String::new(),
            name: case.id.0.clone(),
            file: None,
            line: None,
            attempt: leased.entry.attempt,
            outcome,
            started_at: self.runner.floor.hub.now(),
            duration_us: case.duration_ms * 1_000,
            slot: self.number,
            alone: leased.entry.alone,
            failure,
            reason: None,
            output: String::new(),
        };
        holding.events.push(UnitEvent::Case { entry: leased.index, result: Box::new(result) });
    }

    fn finished(&self, holding: &mut Holding, leased: &LeasedEntry) {
        let at = self.runner.floor.hub.now();
        holding.events.push(UnitEvent::Finished { entry: leased.index, overhead_us: 1_000, at });
    }
}
