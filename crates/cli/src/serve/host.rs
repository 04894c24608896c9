//! The loops of an instance: wakes, turns, ends of runners, the sweep, retention.
//!
//! Every loop is a task of its own, so that none waits for another; what one of them loses, the sweep makes up for.

use super::drain::drain;
use super::log::Log;
use super::place::Place;
use crate::engine::ground::{Ground, RUNNERS_FOLDER};
use embedded::process::ProcessLauncher;
use shared::domain::id::ShardAttempt;
use shared::ports::RunnerState;
use shared::service::Services;
use shared::service::notify::Notices;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Everything is looked at this often, whatever was heard.
const SWEEP: Duration = Duration::from_secs(5);
/// Schedules are looked at this often.
const SCHEDULES: Duration = Duration::from_secs(1);
/// Notifications that are due are sent this often.
const NOTICES: Duration = Duration::from_secs(2);
/// Retention looks this often…
const RETAIN: Duration = Duration::from_secs(180);
/// …forgets so many runs at a time…
const RETAIN_RUNS: usize = 20;
/// …and goes on after this pause while there is more.
const RETAIN_PAUSE: Duration = Duration::from_millis(200);
/// Turns are given at most this often…
const TURN: Duration = Duration::from_millis(10);
/// …and with many runs not for more than a part of the time.
const REST_PER_TURN: u32 = 2;
/// Logs of runners are kept this long.
const RUNNER_LOGS: Duration = Duration::from_secs(14 * 24 * 3600);

/// A running instance.
pub(super) struct Host {
    pub(super) services: Arc<Services>,
    launcher: Arc<ProcessLauncher>,
    loops: JoinSet<()>,
}

impl Host {
    /// Starts every loop.
    pub(super) fn start(ground: Ground, notices: Notices, place: Arc<Place>, log: &Log) -> Self {
        let Ground { services, launcher, wakes, ends } = ground;
        let bell = Arc::new(Notify::new());
        bell.notify_one();
        let mut loops = JoinSet::new();
        loops.spawn(drain(Arc::clone(&services), wakes, Arc::clone(&bell), log.clone()));
        loops.spawn(turns(Arc::clone(&services), Arc::clone(&bell), log.clone()));
        loops.spawn(listen(Arc::clone(&services), ends, bell, log.clone()));
        loops.spawn(sweeps(Arc::clone(&services), log.clone()));
        loops.spawn(schedules(Arc::clone(&services), log.clone()));
        loops.spawn(tell(notices, log.clone()));
        loops.spawn(retention(Arc::clone(&services), place, log.clone()));
        Self { services, launcher, loops }
    }

    /// Ends the loops, and the runners: in order within `patience`, else at once. What they were at goes on with the
    /// next start. Returns how many runs are left for that.
    pub(super) async fn stop(mut self, patience: Duration) -> usize {
        // First of all nothing new starts, and no end of a runner is taken for a crash of its tests.
        self.loops.shutdown().await;
        self.launcher.stop_all();
        let started = Instant::now();
        while self.launcher.live() > 0 && started.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.launcher.kill_all(Duration::from_secs(2));
        self.services.unfinished().await.unwrap_or_default()
    }
}

/// Repeats `work` every so often, for ever.
async fn every<F: Future<Output = ()>>(period: Duration, work: impl Fn() -> F) {
    let mut timer = tokio::time::interval(period);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        work().await;
    }
}

async fn turns(services: Arc<Services>, bell: Arc<Notify>, log: Log) {
    loop {
        bell.notified().await;
        let started = Instant::now();
        if let Err(error) = services.dispatch().await {
            log.trouble("runners cannot be started", &error);
        }
        tokio::time::sleep(TURN.max(started.elapsed() * REST_PER_TURN)).await;
    }
}

async fn listen(
    services: Arc<Services>,
    mut ends: UnboundedReceiver<(ShardAttempt, RunnerState)>,
    bell: Arc<Notify>,
    log: Log,
) {
    while let Some((shard, state)) = ends.recv().await {
        if let Err(error) = services.runner_stopped(shard, &state).await {
            log.trouble(&format!("the end of runner {shard} cannot be noted"), &error);
        }
        bell.notify_one();
    }
}

async fn sweeps(services: Arc<Services>, log: Log) {
    every(SWEEP, || async {
        if let Err(error) = services.sweep().await {
            log.trouble("not every run can be looked at", &error);
        }
    })
    .await;
}

async fn schedules(services: Arc<Services>, log: Log) {
    every(SCHEDULES, || async {
        if let Err(error) = services.fire_due(services.clock.now()).await {
            log.trouble("not every schedule can be looked at", &error);
        }
    })
    .await;
}

async fn tell(notices: Notices, log: Log) {
    let notices = Arc::new(notices);
    every(NOTICES, || async {
        if let Err(error) = notify::outbox::step(&notices).await {
            log.trouble("not every notification can be sent", &error);
        }
    })
    .await;
}

async fn retention(services: Arc<Services>, place: Arc<Place>, log: Log) {
    every(RETAIN, || async {
        while forget_some(&services, &place, &log).await {
            tokio::time::sleep(RETAIN_PAUSE).await;
        }
        forget_logs(place.dir.join(RUNNERS_FOLDER)).await;
    })
    .await;
}

/// Forgets some runs; whether there may be more.
async fn forget_some(services: &Services, place: &Place, log: &Log) -> bool {
    let Some(_right) = place.deleting() else { return false };
    if let Err(error) = services.forget_sources(services.clock.now()).await {
        log.trouble("old uploads cannot be removed", &error);
    }
    match services.retain(RETAIN_RUNS).await {
        Ok(forgotten) => forgotten.len() >= RETAIN_RUNS,
        Err(error) => {
            log.trouble("old runs cannot be removed", &error);
            false
        }
    }
}

/// Removes old logs of runners. They are no part of a run, only a help when something is wrong with runners.
async fn forget_logs(folder: PathBuf) {
    // What cannot be removed now is tried again.
    drop(tokio::task::spawn_blocking(move || remove_older(&folder, SystemTime::now() - RUNNER_LOGS)).await);
}

fn remove_older(folder: &Path, than: SystemTime) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|meta| meta.modified());
        if written.is_ok_and(|at| at < than) {
            drop(fs::remove_file(entry.path()));
        }
    }
}
