//! The simulated runner: one process that speaks the link as the real one does, and sees the truth.
//!
//! It may be killed or paused at any await; what it has sent by then is on its way. It keeps the protocol: the
//! parts of a lease are numbered without gaps and a part is repeated unchanged.

use super::fleet::{Fleet, short};
use super::link::{Answer, Link};
use super::slot::Slot;
use super::truth::SuiteTruth;
use super::{Hub, Owner, Slip};
use shared::domain::id::ShardAttempt;
use shared::domain::unit::manifest_digest;
use shared::domain::verdict::{Cause, CauseCode};
use shared::ports::LaunchOrder;
use shared::service::token::{Caller, TokenKey};
use shared::wire::link::{
    Command, FinishRequest, LINK_VERSION, LogRequest, ManifestRequest, ReleaseRequest, ResultsRequest,
    RunnerEnd, SessionReply, SessionRequest,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What every runner of a world shares.
#[derive(Debug)]
pub struct Floor {
    /// Time and chance.
    pub hub: Arc<Hub>,
    /// The network.
    pub link: Arc<Link>,
    /// The processes.
    pub fleet: Arc<Fleet>,
    /// The key of the tokens, to read them as the router does.
    pub key: TokenKey,
    /// The truth, by suite.
    pub suites: Vec<Arc<SuiteTruth>>,
    /// Whether slots report when a batch is over, and share nothing: much happens at once then.
    pub steady: bool,
    /// Units that were collected before, by job and unit: what vanishes is gone then.
    pub collected: Mutex<BTreeSet<(String, String)>>,
}

/// What the parts of one process share.
#[derive(Debug, Default)]
struct Shared {
    cancelled: bool,
    fenced: bool,
    ended: u32,
    busy: u32,
    alone: bool,
    giving_back: Vec<ResultsRequest>,
    announced: bool,
}

/// One runner process.
#[derive(Debug)]
pub struct Runner {
    /// The world around it.
    pub floor: Arc<Floor>,
    /// Who it is.
    pub id: ShardAttempt,
    /// Its session.
    pub caller: Caller,
    /// Its suite.
    pub suite: Arc<SuiteTruth>,
    /// Digest of what it discovers.
    digest: String,
    shared: Mutex<Shared>,
}

/// Starts the process of an order; it begins to work after `delay_ms`.
pub fn start(floor: &Arc<Floor>, order: LaunchOrder, delay_ms: u64) {
    let floor = Arc::clone(floor);
    let hub = Arc::clone(&floor.hub);
    let id = order.shard;
    hub.spawn(short(&id), Owner::Runner(id), async move {
        floor.hub.sleep(delay_ms).await;
        let code = come_forward(&floor, &order).await;
        floor.fleet.end(&id, Some(code), if code == 0 { "it ended" } else { "it ended early" });
    });
}

async fn come_forward(floor: &Arc<Floor>, order: &LaunchOrder) -> i32 {
    let nonce = format!("{:016x}", floor.hub.below(u64::MAX));
    let slots = order.slots.unwrap_or(2);
    let request = SessionRequest {
        link_version: LINK_VERSION,
        bootstrap_token: order.bootstrap_token.clone(),
        boot_nonce: nonce,
        slots,
    };
    let name = format!("session {}", short(&order.shard));
    let answer = floor
        .link
        .call(&name, |services| {
            let request = request.clone();
            async move { services.open_session(&request).await }
        })
        .await;
    let reply: SessionReply = match answer {
        Answer::Done(reply) => reply,
        Answer::Stale | Answer::Fenced => return 3,
    };
    let Ok(caller) = floor.key.read_session(&reply.session_token) else {
        floor.hub.violation("the session token is not readable");
        return 3;
    };
    let Some(suite) = floor.suites.iter().find(|suite| suite.name == reply.job.suite.name) else {
        floor.hub.violation(format!("there is no suite `{}`", reply.job.suite.name));
        return 3;
    };
    let Ok(digest) = manifest_digest(&suite.discovered()) else {
        floor.hub.violation("the manifest has no digest");
        return 3;
    };
    let runner = Arc::new(Runner {
        floor: Arc::clone(floor),
        id: order.shard,
        caller,
        suite: Arc::clone(suite),
        digest,
        shared: Mutex::new(Shared::default()),
    });
    runner.work(slots, reply.heartbeat_ms).await
}

impl Runner {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it should take up nothing more.
    pub fn stopping(&self) -> bool {
        let shared = self.shared();
        shared.cancelled || shared.fenced || self.floor.fleet.told_to_stop(&self.id)
    }

    /// Others have its place.
    pub fn fence(&self) {
        self.shared().fenced = true;
    }

    /// Keeps a lease's last part, to be given back at the end.
    pub fn give_back(&self, part: ResultsRequest) {
        self.shared().giving_back.push(part);
    }

    async fn work(self: &Arc<Self>, slots: u32, heartbeat_ms: u64) -> i32 {
        self.spawn_heartbeat(heartbeat_ms);
        self.floor.hub.sleep(self.floor.hub.between(50, 8_000)).await;
        self.log(0, "set-up\n", None).await;
        if self.suite.broken {
            let cause = Cause::new(CauseCode::SetupFailed, "the set-up command failed");
            return self.finish(RunnerEnd::Broken { cause }).await;
        }
        if self.id.shard == 1 && !self.put_manifest().await {
            return 3;
        }
        let done: Arc<Slip<()>> = Arc::default();
        for number in 1..=slots {
            let (runner, done) = (Arc::clone(self), Arc::clone(&done));
            let name = format!("{} slot {number}", short(&self.id));
            self.floor.hub.spawn(name, Owner::Runner(self.id), async move {
                Slot::new(&runner, number).work().await;
                let ended = {
                    let mut shared = runner.shared();
                    shared.ended += 1;
                    shared.ended
                };
                if ended == slots {
                    done.fill(&runner.floor.hub, ());
                }
            });
        }
        done.wait(&self.floor.hub, u64::MAX / 2).await.unwrap_or_default();
        self.leave().await
    }

    async fn leave(&self) -> i32 {
        let (fenced, leases) = {
            let mut shared = self.shared();
            (shared.fenced, std::mem::take(&mut shared.giving_back))
        };
        if fenced {
            return 3;
        }
        if !leases.is_empty() {
            let request = ReleaseRequest { leases, reason: "asked to stop".to_owned() };
            let caller = self.caller.clone();
            let released = self
                .floor
                .link
                .call(&format!("release {}", short(&self.id)), |services| {
                    let (caller, request) = (caller.clone(), request.clone());
                    async move { services.release(&caller, &request).await }
                })
                .await;
            if !matches!(released, Answer::Done(())) {
                return 3;
            }
        }
        self.log(7, "tests\n", Some("complete")).await;
        let end = if self.floor.fleet.told_to_stop(&self.id) { RunnerEnd::Released } else { RunnerEnd::Done };
        self.finish(end).await
    }

    async fn finish(&self, end: RunnerEnd) -> i32 {
        let (caller, request) = (self.caller.clone(), FinishRequest { end });
        let name = format!("finish {} {:?}", short(&self.id), request.end);
        let answer = self
            .floor
            .link
            .call(&name, |services| {
                let (caller, request) = (caller.clone(), request.clone());
                async move { services.finish(&caller, &request).await }
            })
            .await;
        // A repeated last word is answered with the fence that the first one put up.
        i32::from(!matches!(answer, Answer::Done(()) | Answer::Fenced))
    }

    /// Names the manifest that is not put yet.
    pub fn unannounced(&self) -> Option<String> {
        (!self.shared().announced).then(|| self.digest.clone())
    }

    /// Puts the manifest; false if the runner is not wanted any more.
    pub async fn put_manifest(&self) -> bool {
        let request = ManifestRequest { units: self.suite.discovered(), setup_ms: 100, notes: Vec::new() };
        let caller = self.caller.clone();
        let answer = self
            .floor
            .link
            .call(&format!("manifest {}", short(&self.id)), |services| {
                let (caller, request) = (caller.clone(), request.clone());
                async move { services.put_manifest(&caller, &request).await }
            })
            .await;
        match answer {
            Answer::Done(reply) => {
                self.shared().announced = true;
                if reply.digest != reply.yours || reply.yours != self.digest {
                    self.floor.hub.violation("the same discovery has two digests");
                }
                true
            }
            Answer::Stale | Answer::Fenced => false,
        }
    }

    async fn log(&self, offset: u64, text: &str, end: Option<&str>) {
        let request = LogRequest {
            stream: "runner".to_owned(),
            offset,
            text: text.to_owned(),
            end: end.map(str::to_owned),
        };
        let caller = self.caller.clone();
        // A log that cannot be stored stops nothing.
        let _: Answer<_> = self
            .floor
            .link
            .call(&format!("log {}", short(&self.id)), |services| {
                let (caller, request) = (caller.clone(), request.clone());
                async move { services.append_log(&caller, &request).await }
            })
            .await;
    }

    fn spawn_heartbeat(self: &Arc<Self>, heartbeat_ms: u64) {
        let runner = Arc::clone(self);
        let hub = Arc::clone(&self.floor.hub);
        let name = format!("{} heartbeat", short(&self.id));
        hub.spawn(name.clone(), Owner::Runner(self.id), async move {
            loop {
                runner.floor.hub.sleep(heartbeat_ms).await;
                let caller = runner.caller.clone();
                let answer = runner
                    .floor
                    .link
                    .call(&name, |services| {
                        let caller = caller.clone();
                        async move { services.heartbeat(&caller).await }
                    })
                    .await;
                match answer {
                    Answer::Done(reply) if reply.command == Command::Continue => {}
                    Answer::Done(_) => runner.shared().cancelled = true,
                    Answer::Stale | Answer::Fenced => {
                        runner.fence();
                        return;
                    }
                }
            }
        });
    }

    /// Waits until the slot may run an entry; false if the runner stops instead.
    pub async fn enter(&self, alone: bool) -> bool {
        loop {
            if self.stopping() {
                return false;
            }
            {
                let mut shared = self.shared();
                let free = if alone { shared.busy == 0 } else { true };
                if free && !shared.alone {
                    shared.busy += 1;
                    shared.alone = alone;
                    return true;
                }
            }
            self.floor.hub.sleep(50).await;
        }
    }

    /// The slot has run its entry.
    pub fn exit(&self) {
        let mut shared = self.shared();
        shared.busy -= 1;
        shared.alone = false;
    }
}
