//! The server of one `fleetest run`: the services on embedded adapters, the runner link on loopback.
//!
//! The same services and the same link as everywhere. What the cloud does with triggers is done here by one loop
//! over wakes, ends of runners and a timer; losing any of them costs time only, because the timer sweeps.

use super::RunOrder;
use super::alarm::Alarm;
use super::ground::{self, Ground, NoDelay, Plot};
use crate::exit::Problem;
use crate::interrupt::StopFlag;
use anyhow::Context as _;
use embedded::process::{LaunchConfig, ProcessLauncher};
use embedded::queue::Receiver;
use embedded::system::OsIds;
use shared::domain::id::{RunId, ShardAttempt};
use shared::domain::shard::Clocks;
use shared::domain::spec::{RunSpec, Shards};
use shared::domain::verdict::{Cause, CauseCode};
use shared::ports::forge::NoForge;
use shared::ports::{IdSource as _, Notice, Observer, PortError, RunnerState, Wake};
use shared::service::token::TokenKey;
use shared::service::{ServiceError, Services, Settings};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

/// Everything is looked at this often, whatever was heard.
const SWEEP: Duration = Duration::from_secs(1);
/// How long ended runners may take for their last work (tear-down of sessions) before they are killed.
const TEARDOWN: Duration = Duration::from_secs(30);
/// A wake that failed is handled again after this long…
const AGAIN_MS: u64 = 200;
/// …and this many failures in a row end the run.
const FAILURES: u32 = 50;

/// The host of a run.
pub(super) struct Host {
    pub(super) services: Arc<Services>,
    launcher: Arc<ProcessLauncher>,
    watched: Arc<OnceLock<RunId>>,
    finished: Arc<AtomicBool>,
    alarm: Alarm,
    wakes: Receiver,
    ends: UnboundedReceiver<(ShardAttempt, RunnerState)>,
    failures: u32,
}

/// Passes notices of the run that is watched on, and remembers that it is over. Other runs are leftovers of a killed
/// predecessor, which are only closed.
#[derive(Debug)]
struct Onlooker {
    notices: Sender<Notice>,
    watched: Arc<OnceLock<RunId>>,
    finished: Arc<AtomicBool>,
}

impl Observer for Onlooker {
    fn notice(&self, run: RunId, notice: Notice) {
        if self.watched.get() != Some(&run) {
            return;
        }
        if notice == Notice::Finished {
            self.finished.store(true, Ordering::Release);
        }
        // A display that is gone is no fault of the run.
        drop(self.notices.send(notice));
    }
}

impl Host {
    /// Opens the state folder, binds the link and serves it.
    pub(super) async fn start(order: &RunOrder, notices: Sender<Notice>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no loopback port can be bound")?;
        let link_url = format!("http://{}", listener.local_addr()?);
        let alarm = Alarm::default();
        let finished = Arc::new(AtomicBool::new(false));
        let watched = Arc::new(OnceLock::new());
        let onlooker = Onlooker { notices, watched: Arc::clone(&watched), finished: Arc::clone(&finished) };
        let Ground { services, launcher, wakes, ends } = ground::lay(Plot {
            dir: &order.state_dir,
            launch: launch_config(order, link_url)?,
            settings: settings(order.keep_history),
            forge: Arc::new(NoForge),
            observer: Arc::new(onlooker),
            alarm: Some(&alarm),
        })
        .map_err(|error| explain(error.into()))?;
        let router = http_api::link::router(Arc::clone(&services));
        tokio::spawn(async move { axum::serve(NoDelay(listener), router).await });
        Ok(Self { services, launcher, watched, finished, alarm, wakes, ends, failures: 0 })
    }

    /// Closes what a killed predecessor left open in this state folder.
    pub(super) async fn close_abandoned(&mut self) -> anyhow::Result<usize> {
        let closed = self.services.close_abandoned().await.map_err(explain)?;
        Ok(closed.len())
    }

    /// Accepts the run, to be watched from its first moment on.
    pub(super) async fn submit(&self, spec: &RunSpec) -> anyhow::Result<RunId> {
        let run = RunId(self.services.ids.uuid());
        // Only one run is ever submitted; a second one would not be watched.
        self.watched.set(run).ok();
        self.services.submit_as(run, spec).await.map_err(explain)
    }

    /// Drives the run until it is over; once `stop` is raised, it is cancelled.
    pub(super) async fn drive(&mut self, run: RunId, stop: &StopFlag) -> anyhow::Result<()> {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut cancelled = false;
        while !self.finished.load(Ordering::Acquire) {
            let result = tokio::select! {
                biased;
                error = self.alarm.raised() => return Err(explain(error.into())),
                () = stop.raised(), if !cancelled => {
                    let cause = Cause::new(CauseCode::CancelledByUser, "the run was interrupted");
                    let asked = self.services.cancel(run, cause).await;
                    cancelled = asked.is_ok();
                    if !cancelled {
                        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
                    }
                    asked
                }
                Some((shard, state)) = self.ends.recv() => self.ended(run, shard, &state).await,
                Some(wake) = self.wakes.next() => self.handle(wake).await,
                _ = sweep.tick() => self.look(run).await,
            };
            self.judge(result)?;
        }
        Ok(())
    }

    /// Looks at everything. The run may be over although nobody said so: of a verdict that was written without an
    /// answer no notice is ever given.
    async fn look(&self, run: RunId) -> Result<(), ServiceError> {
        self.services.sweep_run(run).await?;
        if self.services.is_over(run).await? {
            self.finished.store(true, Ordering::Release);
        }
        Ok(())
    }

    async fn handle(&self, wake: Wake) -> Result<(), ServiceError> {
        let result = self.services.handle(wake).await;
        if result.is_err() {
            // The sweep would do it too, only later.
            drop(self.services.queue.send(wake, AGAIN_MS).await);
        }
        result
    }

    async fn ended(&self, run: RunId, shard: ShardAttempt, state: &RunnerState) -> Result<(), ServiceError> {
        self.services.runner_stopped(shard, state).await?;
        // Its place is free for whoever waits for room.
        self.services.launch(run).await
    }

    fn judge(&mut self, result: Result<(), ServiceError>) -> anyhow::Result<()> {
        match result {
            Ok(()) => self.failures = 0,
            Err(ServiceError::Port(PortError::Conflict { .. })) => {}
            Err(error @ ServiceError::Port(PortError::Denied { .. } | PortError::Corrupt { .. })) => {
                return Err(explain(error));
            }
            Err(error) => {
                self.failures += 1;
                if self.failures >= FAILURES {
                    return Err(explain(error));
                }
            }
        }
        Ok(())
    }

    /// Waits for the runners to end, and ends those that take too long or when `stop` is raised.
    pub(super) async fn settle(&mut self, stop: &StopFlag) {
        let patience = tokio::time::sleep(TEARDOWN);
        tokio::pin!(patience);
        while self.launcher.live() > 0 {
            tokio::select! {
                () = &mut patience => break,
                () = stop.raised() => break,
                ended = self.ends.recv() => if ended.is_none() { break },
            }
        }
        self.launcher.kill_all(Duration::from_secs(5));
    }

    /// Kills every runner at once.
    pub(super) fn abort(&self) {
        self.launcher.kill_all(Duration::from_secs(5));
    }
}

fn settings(keep_history: bool) -> Settings {
    let clocks = Clocks { wait_ms: 20, launch_retry_ms: 100, ..Clocks::default() };
    Settings { clocks, keep_history, ..ground::settings(TokenKey::new(OsIds.secret())) }
}

fn launch_config(order: &RunOrder, link_url: String) -> anyhow::Result<LaunchConfig> {
    let mut config = ground::launch_config(&order.state_dir, link_url)?;
    let widest = order.spec.suites.iter().map(|suite| match suite.shards {
        Shards::Auto => 1,
        Shards::Fixed(count) => count,
    });
    config.capacity = usize::try_from(widest.max().unwrap_or(1)).unwrap_or(1).max(1);
    Ok(config)
}

/// An error of the services in words for the user.
pub(super) fn explain(error: ServiceError) -> anyhow::Error {
    let hint = match &error {
        ServiceError::Port(PortError::Denied { .. }) => {
            "make room or give access, then run again; `--no-history` keeps state in the temporary directory"
        }
        ServiceError::Port(PortError::Corrupt { .. }) => {
            "remove the project's `.fleetest` folder and run again; its history is lost"
        }
        ServiceError::Port(_)
        | ServiceError::Rejected(_)
        | ServiceError::Shard(_)
        | ServiceError::BadToken
        | ServiceError::Invalid(_)
        | ServiceError::Member(_)
        | ServiceError::NotFound(_) => "run again; if it stays, remove the project's `.fleetest` folder",
    };
    Problem::could_not_run("the run's state cannot be kept").hint(hint).because(error).into()
}
