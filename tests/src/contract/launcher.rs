//! What every `Launcher` must do.
//!
//! The launcher under test has room for exactly two runners, and a runner runs until it is stopped. Runners may
//! be real processes, so what happens "soon" is asked for again and again, within a generous limit.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed contract panics")]

use shared::domain::id::{JobNo, RunId, ShardAttempt};
use shared::ports::{LaunchOrder, Launcher, PortError, RunnerState};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

fn order(shard: u32, attempt: u32) -> LaunchOrder {
    let shard = ShardAttempt { run: RunId(1), job: JobNo(1), shard, attempt };
    LaunchOrder { shard, bootstrap_token: format!("token-{shard}"), slots: Some(1), round: 0, again: false }
}

async fn launch(launcher: &dyn Launcher, order: &LaunchOrder) -> String {
    launcher.launch(order).await.unwrap()
}

async fn is_live(launcher: &dyn Launcher, order: &LaunchOrder) -> bool {
    match launcher.describe(&order.shard).await.unwrap() {
        RunnerState::Pending | RunnerState::Running => true,
        RunnerState::Stopped { .. } | RunnerState::Unknown => false,
    }
}

/// Waits until the runner is over, and says how.
pub(crate) async fn stopped(launcher: &dyn Launcher, shard: &ShardAttempt) -> RunnerState {
    let started = Instant::now();
    loop {
        let state = launcher.describe(shard).await.unwrap();
        if matches!(state, RunnerState::Stopped { .. }) {
            return state;
        }
        assert!(started.elapsed() < PATIENCE, "still {state:?}");
        thread::sleep(PAUSE);
    }
}

/// After `launch` the runner is pending or running.
pub async fn a_launched_runner_is_live(launcher: &dyn Launcher) {
    let handle = launch(launcher, &order(1, 1)).await;
    assert!(!handle.is_empty());
    assert!(is_live(launcher, &order(1, 1)).await);
}

/// The second launch of an attempt answers the first one's handle and takes no room.
pub async fn launching_twice_starts_one_runner(launcher: &dyn Launcher) {
    let first = launch(launcher, &order(1, 1)).await;
    for _ in 0..3 {
        assert_eq!(launch(launcher, &order(1, 1)).await, first);
    }
    launch(launcher, &order(2, 1)).await;
    assert_eq!(launch(launcher, &order(1, 1)).await, first, "even when there is no room");
    launcher.stop(&order(1, 1).shard).await.unwrap();
    let end = stopped(launcher, &order(1, 1).shard).await;
    assert_eq!(launch(launcher, &order(1, 1)).await, first, "even when it is over");
    assert_eq!(launcher.describe(&order(1, 1).shard).await.unwrap(), end);
}

/// Shards and attempts have runners of their own.
pub async fn attempts_are_different_runners(launcher: &dyn Launcher) {
    let first = launch(launcher, &order(1, 1)).await;
    let second = launch(launcher, &order(1, 2)).await;
    assert_ne!(first, second);
    launcher.stop(&order(1, 1).shard).await.unwrap();
    stopped(launcher, &order(1, 1).shard).await;
    assert!(is_live(launcher, &order(1, 2)).await);
}

/// `Unknown` is an answer, not an error.
pub async fn what_was_never_launched_is_unknown(launcher: &dyn Launcher) {
    launch(launcher, &order(1, 1)).await;
    for other in [order(1, 2), order(2, 1)] {
        assert_eq!(launcher.describe(&other.shard).await.unwrap(), RunnerState::Unknown);
    }
}

/// The end is remembered, with a reason.
pub async fn a_stopped_runner_stays_stopped(launcher: &dyn Launcher) {
    launch(launcher, &order(1, 1)).await;
    launcher.stop(&order(1, 1).shard).await.unwrap();
    let state = stopped(launcher, &order(1, 1).shard).await;
    let RunnerState::Stopped { reason, .. } = &state else { panic!("{state:?}") };
    assert!(!reason.is_empty());
    assert_eq!(launcher.describe(&order(1, 1).shard).await.unwrap(), state);
}

/// Stopping is idempotent.
pub async fn stopping_twice_or_nothing_is_no_error(launcher: &dyn Launcher) {
    launcher.stop(&order(1, 1).shard).await.unwrap();
    assert_eq!(launcher.describe(&order(1, 1).shard).await.unwrap(), RunnerState::Unknown);
    launch(launcher, &order(1, 1)).await;
    launcher.stop(&order(1, 1).shard).await.unwrap();
    launcher.stop(&order(1, 1).shard).await.unwrap();
    stopped(launcher, &order(1, 1).shard).await;
    launcher.stop(&order(1, 1).shard).await.unwrap();
}

/// A full launcher refuses, forgets the order, and accepts it once there is room.
pub async fn no_room_is_unavailable_until_one_stops(launcher: &dyn Launcher) {
    launch(launcher, &order(1, 1)).await;
    launch(launcher, &order(2, 1)).await;
    let refused = launcher.launch(&order(3, 1)).await;
    assert!(matches!(refused, Err(PortError::Unavailable { .. })), "{refused:?}");
    assert_eq!(launcher.describe(&order(3, 1).shard).await.unwrap(), RunnerState::Unknown);
    launcher.stop(&order(1, 1).shard).await.unwrap();
    stopped(launcher, &order(1, 1).shard).await;
    launch(launcher, &order(3, 1)).await;
    assert!(is_live(launcher, &order(3, 1)).await);
}
