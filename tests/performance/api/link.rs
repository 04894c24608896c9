//! Result chunks: the runner link over the embedded adapters in a process of its own, and runners that only report.

use super::load::{Connection, request};
use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use axum::serve::ListenerExt as _;
use embedded::blobs::LocalBlobs;
use embedded::files::FileBlobs;
use embedded::queue::LocalQueue;
use embedded::sqlite::SqliteStore;
use embedded::system::{OsIds, SystemClock};
use serde_json::{Value, json};
use shared::domain::id::{ProjectId, RunId, ShardAttempt};
use shared::domain::shard::Clocks;
use shared::domain::spec::{Framework, RunSpec, Shards, Source, SuiteSpec};
use shared::ports::forge::NoForge;
use shared::ports::{IdSource as _, LaunchOrder, Launcher, PortResult, RunnerState, Unobserved};
use shared::service::token::TokenKey;
use shared::service::{Services, Settings, Stride};
use shared::wire::link::LINK_VERSION;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Units of each run; each chunk brings the results of one.
const UNITS: u32 = 20_000;
/// Cases of each unit.
const CASES: u32 = 50;

/// A launcher that starts nothing: the load plays the runners.
#[derive(Debug, Default)]
struct Tokens(Mutex<Vec<String>>);

#[async_trait]
impl Launcher for Tokens {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(order.bootstrap_token.clone());
        Ok(order.shard.client_token())
    }

    async fn describe(&self, _: &ShardAttempt) -> PortResult<RunnerState> {
        Ok(RunnerState::Running)
    }

    async fn stop(&self, _: &ShardAttempt) -> PortResult<()> {
        Ok(())
    }
}

/// Serves the link, with `runs` runs that wait for a runner each; prints their bootstrap tokens.
pub(crate) async fn serve(folder: PathBuf, runs: u32) -> Result<()> {
    let tokens = Arc::new(Tokens::default());
    let services = Arc::new(services(&folder, Arc::clone(&tokens))?);
    for _ in 0..runs {
        let run = RunId(services.ids.uuid());
        services.submit_as(run, &spec()).await?;
        services.plan(run).await?;
        services.launch(run).await?;
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let given = tokens.0.lock().unwrap_or_else(PoisonError::into_inner).join(" ");
    super::announce(format!("{} {given}", listener.local_addr()?));
    let router = http_api::link::router(services);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(super::parent_gone()).await?;
    Ok(())
}

fn services(folder: &Path, launcher: Arc<Tokens>) -> Result<Services> {
    let clock = Arc::new(SystemClock::default());
    // The receiving end of the wakes may go: nothing but the link is measured.
    let (queue, _) = LocalQueue::new();
    let store = SqliteStore::open_alone(&folder.join("state.db"), Arc::<SystemClock>::clone(&clock))?;
    let store = Arc::new(store);
    let blobs = LocalBlobs::new(Arc::clone(&store), FileBlobs::open(folder.join("blobs"))?);
    Ok(Services {
        store,
        blobs: Arc::new(blobs),
        queue: Arc::new(queue),
        launcher,
        forge: Arc::new(NoForge),
        clock,
        ids: Arc::new(OsIds),
        observer: Arc::new(Unobserved),
        settings: Settings {
            clocks: Clocks::default(),
            token_key: TokenKey::new(OsIds.secret()),
            max_shards: 1,
            batch_overhead_ms: 2,
            version: "bench".to_owned(),
            closing_bytes: 0,
            keep_history: false,
            slots: None,
            stride: Stride::default(),
        },
    })
}

fn spec() -> RunSpec {
    let suite = SuiteSpec { shards: Shards::Fixed(1), ..SuiteSpec::new("unit", Framework::Command) };
    RunSpec {
        project: ProjectId("bench".to_owned()),
        source: Source::Directory { path: "/".to_owned() },
        commit: None,
        branch: None,
        suites: vec![suite],
        fail_fast: None,
        filter: None,
        chosen: Vec::new(),
        timeout_ms: 3_600_000,
    }
}

/// A runner with its session and its manifest put.
pub(crate) struct Runner {
    address: SocketAddr,
    token: String,
}

impl Runner {
    pub(crate) async fn enter(address: SocketAddr, bootstrap: &str, slots: usize) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let body = json!({ "link_version": LINK_VERSION, "bootstrap_token": bootstrap, "boot_nonce": "benchnonce", "slots": slots });
        let session = call(&mut connection, "POST", "session", "none", &body).await?;
        let token = session["session_token"].as_str().context("no session")?.to_owned();
        let units: Vec<Value> =
            (0..UNITS).map(|unit| json!({ "key": format!("tests/test_{unit}.py") })).collect();
        call(&mut connection, "PUT", "manifest", &token, &json!({ "units": units, "setup_ms": 1 })).await?;
        Ok(Self { address, token })
    }

    /// Works as slot `slot` until `until`; returns how long each chunk took to be accepted.
    pub(crate) async fn report(&self, slot: usize, until: Instant) -> Result<Vec<Duration>> {
        let mut connection = Connection::open(self.address).await?;
        let (mut took, mut asked, mut finished) = (Vec::new(), 0, Value::Null);
        loop {
            asked += 1;
            let ask = json!({ "request_id": format!("{slot}-{asked}"), "slot": slot, "finished": finished });
            let lease = call(&mut connection, "POST", "lease", &self.token, &ask).await?;
            let entries = lease["entries"].as_array().cloned().unwrap_or_default();
            if entries.is_empty() {
                bail!("the bench needs more units than {UNITS}: {lease}");
            }
            let (id, epoch) = (&lease["lease"], &lease["epoch"]);
            for (part, entry) in entries.iter().enumerate() {
                let body = chunk(Place {
                    lease: id.as_str().context("no lease")?,
                    epoch: epoch.as_u64().context("no epoch")?,
                    part,
                    entry: entry["index"].as_u64().context("no entry")?,
                    unit: entry["unit"].as_str().context("no unit")?,
                    slot,
                });
                let sent = Instant::now();
                send(&mut connection, ("POST", "results"), &self.token, &body).await?;
                took.push(sent.elapsed());
                if Instant::now() >= until {
                    return Ok(took);
                }
            }
            finished = json!({ "lease": id, "epoch": epoch, "part": entries.len(), "events": [] });
        }
    }
}

/// Where a chunk belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    lease: &'a str,
    epoch: u64,
    part: usize,
    entry: u64,
    unit: &'a str,
    slot: usize,
}

/// The results of one unit, as a runner writes them; written by hand, because the load has its share of the cores.
fn chunk(place: Place<'_>) -> String {
    let Place { lease, epoch, part, entry, unit, slot } = place;
    let mut text = format!(
        r#"{{"lease":"{lease}","epoch":{epoch},"part":{part},"events":[{{"event":"started","entry":{entry},"slot":{slot},"at":1}},{{"event":"announced","entry":{entry},"cases":["#
    );
    text.reserve(16 * 1024);
    for case in 0..CASES {
        let comma = if case == 0 { "" } else { "," };
        // Writing to a string cannot fail, here and below.
        let _ = write!(text, r#"{comma}"{unit}::test_number_{case}""#);
    }
    text.push_str(r#"],"deselected":0}"#);
    for case in 0..CASES {
        let _ = write!(
            text,
            r#",{{"event":"case","entry":{entry},"result":{{"case":"{unit}::test_number_{case}","class":"{unit}","name":"test_number_{case}","file":"{unit}","line":{case},"attempt":1,"outcome":"passed","started_at":1,"duration_us":1000,"slot":{slot},"alone":false}}}}"#
        );
    }
    let _ = write!(text, r#",{{"event":"finished","entry":{entry},"overhead_us":1,"at":2}}]}}"#);
    text
}

/// A chunk for the peer, made in the same way.
pub(crate) fn sample(number: u64) -> String {
    let (lease, unit) = (format!("lease_{number:032x}"), format!("tests/test_{}.py", number % 20_000));
    chunk(Place { lease: &lease, epoch: 1, part: 0, entry: 1, unit: &unit, slot: 1 })
}

async fn call(
    connection: &mut Connection,
    method: &str,
    name: &str,
    token: &str,
    body: &Value,
) -> Result<Value> {
    send(connection, (method, name), token, &body.to_string()).await
}

async fn send(
    connection: &mut Connection,
    (method, name): (&str, &str),
    token: &str,
    body: &str,
) -> Result<Value> {
    let text = request(method, &format!("/runner/v1/{name}"), token, body);
    let answer = connection.ask(&text).await?;
    let said = String::from_utf8_lossy(&answer.body);
    if answer.status >= 300 {
        bail!("{name}: {} {said}", answer.status);
    }
    serde_json::from_str(&said).with_context(|| format!("{name}: {said}"))
}
