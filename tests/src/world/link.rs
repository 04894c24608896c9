//! The network between a runner and the services: requests and answers get lost, come twice and come late.
//!
//! A request is served by a task of its own, which goes on when the runner has given up waiting or has died. The
//! runner repeats a request until it has an answer that means something.

use super::{Hub, Owner, Slip};
use crate::memory::SplitMix;
use shared::domain::queue::Rejected;
use shared::service::{ServiceError, ServiceResult, Services};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// How long a runner waits for an answer, in milliseconds.
const ANSWER_LIMIT_MS: u64 = 20_000;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// It never arrives.
    RequestLost,
    /// It is served; the answer never arrives.
    AnswerLost,
    /// It arrives twice, the second time so many milliseconds later.
    Twice(u64),
    /// It arrives after so many milliseconds.
    Late(u64),
}

/// Decides about requests, one after the other.
#[derive(Debug)]
pub enum LinkPlan {
    /// Nothing goes wrong.
    Calm,
    /// This happens to the request with this number.
    At(u64, Mishap),
    /// So many of 1,000 requests go wrong, each in some way.
    Rough(u64, SplitMix),
}

/// The network.
#[derive(Debug)]
pub struct Link {
    hub: Arc<Hub>,
    services: Arc<Services>,
    plan: Mutex<(u64, LinkPlan)>,
}

/// An answer that a runner can act on.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// The lease is over.
    Stale,
    /// The runner is not wanted any more.
    Fenced,
}

impl Link {
    /// A network over services.
    #[must_use]
    pub fn new(hub: Arc<Hub>, services: Arc<Services>, plan: LinkPlan) -> Arc<Self> {
        Arc::new(Self { hub, services, plan: Mutex::new((0, plan)) })
    }

    /// From now on this plan decides.
    pub fn replace(&self, plan: LinkPlan) {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).1 = plan;
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn mishap(&self) -> Mishap {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let number = plan.0;
        plan.0 += 1;
        match &mut plan.1 {
            LinkPlan::Calm => Mishap::None,
            LinkPlan::At(at, mishap) => {
                if *at == number {
                    *mishap
                } else {
                    Mishap::None
                }
            }
            LinkPlan::Rough(per_mille, random) => {
                if !random.chance(*per_mille) {
                    return Mishap::None;
                }
                let latest_ms = if random.chance(200) { 240_000 } else { 5_000 };
                let late_ms = random.below(latest_ms);
                match random.below(4) {
                    0 => Mishap::RequestLost,
                    1 => Mishap::AnswerLost,
                    2 => Mishap::Twice(late_ms),
                    _ => Mishap::Late(late_ms),
                }
            }
        }
    }

    /// Makes a request until it is answered.
    pub async fn call<T, F>(&self, name: &str, make: impl Fn(Arc<Services>) -> F + Send + Sync) -> Answer<T>
    where
        T: Send + 'static,
        F: Future<Output = ServiceResult<T>> + Send + 'static,
    {
        loop {
            let mishap = self.mishap();
            if mishap != Mishap::None {
                self.hub.note(|| format!("{name}: {mishap:?}"));
            }
            let slip: Arc<Slip<ServiceResult<T>>> = Arc::default();
            let deaf: Arc<Slip<ServiceResult<T>>> = Arc::default();
            match mishap {
                Mishap::None => self.serve(name, 0, make(Arc::clone(&self.services)), &slip),
                Mishap::RequestLost => {}
                Mishap::AnswerLost => self.serve(name, 0, make(Arc::clone(&self.services)), &deaf),
                Mishap::Twice(ms) => {
                    self.serve(name, 0, make(Arc::clone(&self.services)), &slip);
                    self.serve(name, ms, make(Arc::clone(&self.services)), &deaf);
                }
                Mishap::Late(ms) => self.serve(name, ms, make(Arc::clone(&self.services)), &slip),
            }
            let Some(answer) = slip.wait(&self.hub, ANSWER_LIMIT_MS).await else { continue };
            match answer {
                Ok(value) => return Answer::Done(value),
                Err(ServiceError::Shard(_) | ServiceError::BadToken) => return Answer::Fenced,
                Err(ServiceError::Rejected(Rejected::StaleLease)) => return Answer::Stale,
                Err(ServiceError::Port(error)) => {
                    self.hub.note(|| format!("{name} failed: {error}"));
                    self.hub.sleep(self.hub.between(500, 5_000)).await;
                }
                Err(error) => {
                    self.hub.violation(format!("{name}: a right request was refused: {error}"));
                    return Answer::Fenced;
                }
            }
        }
    }

    fn serve<T, F>(&self, name: &str, late_ms: u64, work: F, slip: &Arc<Slip<ServiceResult<T>>>)
    where
        T: Send + 'static,
        F: Future<Output = ServiceResult<T>> + Send + 'static,
    {
        let (hub, slip) = (Arc::clone(&self.hub), Arc::clone(slip));
        let called = name.to_owned();
        self.hub.spawn(format!("serve {name}"), Owner::Service, async move {
            if late_ms > 0 {
                hub.sleep(late_ms).await;
            }
            hub.turn().await;
            hub.note(|| called);
            let answer = work.await;
            slip.fill(&hub, answer);
        });
    }
}
