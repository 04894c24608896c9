//! What `fleetest run` and `fleetest serve` stand on alike: the services on the embedded adapters in one folder.
//!
//! It joins and starts nothing but the adapters' own threads; who drains the queue, hears of ends and serves the link
//! is the host's business.

use super::alarm::{Alarm, Watched};
use anyhow::Context as _;
use embedded::blobs::LocalBlobs;
use embedded::files::FileBlobs;
use embedded::process::{LaunchConfig, ProcessLauncher};
use embedded::queue::{LocalQueue, Receiver};
use embedded::sqlite::SqliteStore;
use embedded::system::{OsIds, SystemClock};
use shared::domain::id::ShardAttempt;
use shared::domain::shard::Clocks;
use shared::ports::forge::Forge;
use shared::ports::{Blobs, Observer, PortResult, RunnerState, Store};
use shared::service::token::TokenKey;
use shared::service::{Services, Settings, Stride};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// File of the folder that holds the documents.
pub(crate) const STORE_FILE: &str = "state.db";
/// Folder below the folder that holds the blobs.
pub(crate) const BLOBS_FOLDER: &str = "blobs";
/// Folder below the folder that holds the logs of runners.
pub(crate) const RUNNERS_FOLDER: &str = "runners";

/// What is to be laid.
pub(crate) struct Plot<'a> {
    /// The folder.
    pub(crate) dir: &'a Path,
    /// How runners start.
    pub(crate) launch: LaunchConfig,
    /// Settings.
    pub(crate) settings: Settings,
    /// Repositories.
    pub(crate) forge: Arc<dyn Forge>,
    /// Onlooker.
    pub(crate) observer: Arc<dyn Observer>,
    /// Raised by a lasting error of what is kept, where that should end everything.
    pub(crate) alarm: Option<&'a Alarm>,
}

/// The services and what the host has to look after.
pub(crate) struct Ground {
    pub(crate) services: Arc<Services>,
    pub(crate) launcher: Arc<ProcessLauncher>,
    pub(crate) wakes: Receiver,
    pub(crate) ends: UnboundedReceiver<(ShardAttempt, RunnerState)>,
}

/// Opens everything.
pub(crate) fn lay(plot: Plot<'_>) -> PortResult<Ground> {
    let clock = Arc::new(SystemClock::default());
    // Whoever lays the ground holds the folder's lock.
    let store = SqliteStore::open_alone(&plot.dir.join(STORE_FILE), Arc::<SystemClock>::clone(&clock))?;
    let store = Arc::new(store);
    let files = FileBlobs::open(plot.dir.join(BLOBS_FOLDER))?;
    let blobs = Arc::new(LocalBlobs::new(Arc::clone(&store), files));
    let (store, blobs): (Arc<dyn Store>, Arc<dyn Blobs>) = match plot.alarm {
        Some(alarm) => (
            Arc::new(Watched { inner: store, alarm: alarm.clone() }),
            Arc::new(Watched { inner: blobs, alarm: alarm.clone() }),
        ),
        None => (store, blobs),
    };
    let (end_sender, ends) = unbounded_channel();
    let mut launch = plot.launch;
    // Nobody listens any more once the host is gone.
    launch.on_exit = Arc::new(move |shard, state| drop(end_sender.send((shard, state))));
    let launcher = Arc::new(ProcessLauncher::new(launch));
    let (queue, wakes) = LocalQueue::new();
    let services = Arc::new(Services {
        store,
        blobs,
        queue: Arc::new(queue),
        launcher: Arc::<ProcessLauncher>::clone(&launcher),
        forge: plot.forge,
        clock,
        ids: Arc::new(OsIds),
        observer: plot.observer,
        settings: plot.settings,
    });
    Ok(Ground { services, launcher, wakes, ends })
}

/// Settings of a single machine.
pub(crate) fn settings(token_key: TokenKey) -> Settings {
    Settings {
        clocks: Clocks::default(),
        token_key,
        max_shards: 1,
        batch_overhead_ms: 2,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        closing_bytes: 0,
        keep_history: true,
        slots: None,
        stride: Stride::default(),
    }
}

/// Runners that are this program again, with their logs in the folder.
pub(crate) fn launch_config(dir: &Path, link_url: String) -> anyhow::Result<LaunchConfig> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let mut config = LaunchConfig::new(program, dir, link_url);
    config.args = vec!["__runner".into()];
    config.log_dir = Some(dir.join(RUNNERS_FOLDER));
    Ok(config)
}

/// Small answers must not wait for more to come.
pub(crate) struct NoDelay(pub(crate) TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let accepted = axum::serve::Listener::accept(&mut self.0).await;
        // A connection without it is slower, nothing else.
        drop(accepted.0.set_nodelay(true));
        accepted
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
