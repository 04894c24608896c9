//! What a run costs in requests to AWS: counted by the adapters, from the order to the verdict, and priced.
//!
//! Every function has clients and a memory of its own, as on AWS. The runners are scripted and go through the
//! functions, and each asks for work until it is told that there is none. Receiving and deleting messages is the platform's part, and
//! waiting for a run (heartbeats, sweeps, people who look) depends on how long it takes; neither is counted. The price has both calls of
//! the platform for each message in it.

use crate::cloud::{calm, cloud, received, sample};
use crate::rights::keeps_to_its_role;
use async_trait::async_trait;
use aws::config::Config;
use aws::count::Counted;
use aws::sqs::message::Body;
use aws_sdk_ecs::types::ContainerDefinition;
use functions::cloud::{Cloud, Tokens};
use functions::door::Door;
use functions::start::Function as _;
use serde_json::{Value, json};
use shared::domain::id::{JobNo, ProjectId, RunId, ShardAttempt};
use shared::domain::spec::{Framework, RunSpec, Shards, Source, SuiteSpec};
use shared::domain::time::Timestamp;
use shared::domain::unit::{DiscoveredUnit, manifest_digest};
use shared::domain::verdict::Verdict;
use shared::ports::{Document, Key, Page, PortResult, Store, Topic, Write};
use shared::service::Services;
use shared::wire::link::LINK_VERSION;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::emulator;
use testkit::world::quota::{page_units, read_units, write_units};

const CASES_PER_UNIT: usize = 20;
/// What a run may cost, each of its shards, and each batch.
const PER_RUN: u64 = 60;
const PER_SHARD: u64 = 4;
const PER_BATCH: u64 = 3;

fn spec(shards: u32) -> RunSpec {
    let suite = SuiteSpec { shards: Shards::Fixed(shards), ..SuiteSpec::new("unit", Framework::Command) };
    RunSpec {
        project: ProjectId("click".to_owned()),
        source: Source::Git { url: "https://github.com/acme/click.git".to_owned(), commit: "a".repeat(40) },
        commit: Some("a".repeat(40)),
        branch: Some("main".to_owned()),
        suites: vec![suite],
        fail_fast: None,
        filter: None,
        chosen: Vec::new(),
        timeout_ms: 3_600_000,
    }
}

/// Most that a run of ten shards and a thousand cases may cost beside its machines, in US$.
const LARGEST_PRICE: f64 = 0.001;

/// What things cost in us-east-1, in US$ per million, and who says so; nothing of it was checked against AWS's own pages.
struct Prices {
    /// airbyte.com, `DynamoDB` pricing, July 2025.
    write_unit: f64,
    read_unit: f64,
    /// c3x.dev, S3 request fees.
    put: f64,
    get: f64,
    /// cloudburn.io, SQS pricing, March 2026.
    message: f64,
    /// awsforengineers.com, May 2025.
    http: f64,
    /// Notes in a public repository, undated.
    invocation: f64,
}

const PRICES: Prices = Prices {
    write_unit: 0.625,
    read_unit: 0.125,
    put: 5.0,
    get: 0.4,
    message: 0.40,
    http: 1.00,
    invocation: 0.20,
};

/// What is paid by the size of documents, and what the functions are called.
#[derive(Debug, Default)]
struct Book {
    read_units: AtomicU64,
    write_units: AtomicU64,
    http: AtomicU64,
    messages: AtomicU64,
}

fn add(to: &AtomicU64, count: u64) {
    to.fetch_add(count, Ordering::Relaxed);
}

/// A store that counts units of reading and writing.
#[derive(Debug)]
struct Weighed {
    store: Arc<dyn Store>,
    book: Arc<Book>,
}

#[async_trait]
impl Store for Weighed {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let found = self.store.load(key, now).await?;
        add(&self.book.read_units, read_units(found.as_ref()));
        Ok(found)
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        let found = self.store.load_many(keys, now).await?;
        add(&self.book.read_units, found.iter().map(|one| read_units(one.as_ref())).sum());
        Ok(found)
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        let page = self.store.query(partition, prefix, after, limit, now).await?;
        add(&self.book.read_units, page_units(&page.documents));
        Ok(page)
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        let keys = self.store.query_index(name, upto, limit).await?;
        add(&self.book.read_units, page_units(&[]));
        Ok(keys)
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        add(&self.book.write_units, write_units(&writes));
        self.store.commit(writes).await
    }
}

fn weighed(cloud: Cloud, book: &Arc<Book>) -> Cloud {
    let mut services = Services::clone(&cloud.services);
    services.store = Arc::new(Weighed { store: services.store, book: Arc::clone(book) });
    Cloud { services: Arc::new(services), ..cloud }
}

/// The functions that a run goes through.
struct Stack {
    book: Arc<Book>,
    api: Cloud,
    plan: Cloud,
    launch: Cloud,
    coordinator: Cloud,
    aggregate: Cloud,
    /// Looks on, and is not counted.
    watcher: Cloud,
}

impl Stack {
    /// A cloud in whose cluster tasks can be started.
    async fn with_fleet() -> Self {
        let cloud = cloud().await;
        let ecs = cloud.connection.ecs();
        let name = emulator::unique("cost");
        ecs.create_cluster().cluster_name(&name).send().await.unwrap();
        let container = ContainerDefinition::builder().name("runner").image("runner").build();
        ecs.register_task_definition().family(&name).container_definitions(container).send().await.unwrap();
        let mut config: Config = cloud.config;
        config.fleet.cluster.clone_from(&name);
        config.fleet.task_definition = name;
        let open = |tokens| Cloud::open(config.clone(), tokens);
        let book = Arc::default();
        let stack = Self {
            api: weighed(open(Tokens::Unused).await.unwrap(), &book),
            plan: weighed(open(Tokens::Unused).await.unwrap(), &book),
            launch: weighed(open(Tokens::Used).await.unwrap(), &book),
            coordinator: weighed(open(Tokens::Used).await.unwrap(), &book),
            aggregate: weighed(open(Tokens::Unused).await.unwrap(), &book),
            watcher: open(Tokens::Unused).await.unwrap(),
            book,
        };
        assert_eq!(stack.requests(), 2, "the keys of the tokens: {:?}", stack.sent());
        stack
    }

    fn counted(&self) -> [(&'static str, &Cloud); 5] {
        let Self { api, plan, launch, coordinator, aggregate, watcher: _, book: _ } = self;
        [
            ("api", api),
            ("plan", plan),
            ("launch", launch),
            ("coordinator", coordinator),
            ("aggregate", aggregate),
        ]
    }

    /// Requests of the four services that work is done with.
    fn requests(&self) -> u64 {
        self.counted().iter().map(|(_, cloud)| cloud.connection.counts().total()).sum()
    }

    /// What each function has sent.
    fn sent(&self) -> Vec<(&'static str, Counted)> {
        self.counted().iter().map(|(name, cloud)| (*name, cloud.connection.counts().so_far())).collect()
    }

    fn check_rights(&self) {
        for (function, cloud) in self.counted() {
            keeps_to_its_role(function, cloud);
        }
    }

    /// Each thing that is paid, how often, and what that is in US$.
    fn bill(&self, shards: u32) -> Vec<(&'static str, u64, f64)> {
        let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
        let counts = self.sent();
        for ((service, operation), count) in counts.iter().flat_map(|(_, counted)| counted) {
            let kind = match (service.as_str(), operation.as_str()) {
                ("S3", "GetObject" | "HeadObject") => "objects read",
                ("S3", _) => "objects written or listed",
                ("SQS", _) => "messages sent",
                _ => continue,
            };
            *sent.entry(kind).or_default() += count;
        }
        let of = |kind: &str| sent.get(kind).copied().unwrap_or(0);
        let book = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (messages, http) = (book(&self.book.messages), book(&self.book.http));
        let bill = [
            ("units of writing", book(&self.book.write_units), PRICES.write_unit),
            ("units of reading", book(&self.book.read_units), PRICES.read_unit),
            ("objects written or listed", of("objects written or listed"), PRICES.put),
            ("objects read", of("objects read"), PRICES.get),
            // Sent, received and deleted.
            ("requests for messages", of("messages sent") + 2 * messages, PRICES.message),
            ("requests over HTTP", http, PRICES.http),
            // Of each task is told that it runs and that it has stopped.
            ("calls of functions", http + messages + 2 * u64::from(shards), PRICES.invocation),
        ];
        bill.map(|(what, count, price)| (what, count, price * count as f64 / 1e6)).to_vec()
    }

    /// Handles every wake that waits.
    async fn handle_wakes(&self) {
        loop {
            let mut handled = 0;
            for (topic, cloud) in [
                (Topic::Plan, &self.plan),
                (Topic::Launch, &self.launch),
                (Topic::Aggregate, &self.aggregate),
            ] {
                for message in received(&self.watcher, topic).await {
                    let Body::Wake { wake, .. } = Body::decode(&message.text).unwrap() else {
                        panic!("{message:?}")
                    };
                    cloud.services.handle(wake).await.unwrap();
                    add(&self.book.messages, 1);
                    handled += 1;
                }
            }
            if handled == 0 {
                return;
            }
        }
    }
}

/// What a runner that asks for work is told.
enum Told {
    Batch,
    Wait,
    Done,
}

/// A runner that does as it is told.
struct Runner {
    door: Door,
    book: Arc<Book>,
    session: String,
    manifest: Value,
    /// Digest of the manifest, until it is put.
    unannounced: Option<String>,
    finished: Value,
    asked: u32,
}

impl Runner {
    async fn enter(stack: &Stack, shard: ShardAttempt, units: usize) -> Self {
        let cloud = &stack.coordinator;
        let key = |unit: usize| format!("test_{unit}.py");
        let keys: Vec<Value> = (0..units).map(|unit| json!({"key": key(unit)})).collect();
        let units: Vec<DiscoveredUnit> = serde_json::from_value(keys.clone().into()).unwrap();
        let mut runner = Self {
            door: Door::link(cloud.clone()),
            book: Arc::clone(&stack.book),
            session: String::new(),
            manifest: json!({"units": keys, "setup_ms": 1}),
            unannounced: Some(manifest_digest(&units).unwrap()),
            finished: Value::Null,
            asked: 0,
        };
        let bootstrap = cloud.services.settings.token_key.bootstrap(shard);
        let body = json!({"link_version": LINK_VERSION, "bootstrap_token": bootstrap, "boot_nonce": format!("nonce{:08}", shard.shard), "slots": 1});
        let session = runner.call("POST", "session", &body).await;
        runner.session = session["session_token"].as_str().unwrap().to_owned();
        if shard.shard == 1 {
            runner.announce().await;
        }
        runner
    }

    async fn announce(&mut self) {
        self.call("PUT", "manifest", &self.manifest).await;
        self.unannounced = None;
    }

    async fn call(&self, method: &str, name: &str, body: &Value) -> Value {
        let mut event = sample("coordinator/heartbeat");
        event["rawPath"] = format!("/runner/v1/{name}").into();
        event["requestContext"]["http"]["method"] = method.into();
        event["headers"]["authorization"] = format!("Bearer {}", self.session).into();
        event["body"] = body.to_string().into();
        add(&self.book.http, 1);
        let answer = self.door.call(event, calm()).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
    }

    /// Asks for a batch, and runs it if there is one.
    async fn work(&mut self) -> Told {
        self.asked += 1;
        let ask = json!({"request_id": self.asked.to_string(), "slot": 1, "finished": self.finished, "manifest": self.unannounced});
        let reply = self.call("POST", "lease", &ask).await;
        assert_ne!(reply["reply"], "unplanned", "the first runner has put the manifest");
        self.finished = Value::Null;
        let Some(entries) = reply["entries"].as_array() else {
            return if reply["reply"] == "wait" { Told::Wait } else { Told::Done };
        };
        let mut events = Vec::new();
        for entry in entries {
            let (index, unit) = (&entry["index"], entry["unit"].as_str().unwrap());
            let cases: Vec<String> = (0..CASES_PER_UNIT).map(|case| format!("{unit}::test_{case}")).collect();
            events.push(json!({"event": "started", "entry": index, "slot": 1, "at": 1}));
            events.push(json!({"event": "announced", "entry": index, "cases": cases, "deselected": 0}));
            events.extend(cases.iter().enumerate().map(|(case, id)| {
                json!({"event": "case", "entry": index, "result": {"case": id, "class": unit, "name": format!("test_{case}"),
                    "file": unit, "line": 1, "attempt": 1, "outcome": "passed", "started_at": 1, "duration_us": 1000,
                    "slot": 1, "alone": false}})
            }));
            events.push(json!({"event": "finished", "entry": index, "overhead_us": 1, "at": 2}));
        }
        self.finished =
            json!({"lease": reply["lease"], "epoch": reply["epoch"], "part": 0, "events": events});
        Told::Batch
    }

    async fn leave(self) {
        self.call("POST", "finish", &json!({"end": {"end": "done"}})).await;
    }
}

/// Runs everything there is, in turn; the number of batches.
async fn work_off(runners: &mut [Runner]) -> u64 {
    let mut batches = 0;
    let mut waiting: Vec<&mut Runner> = runners.iter_mut().collect();
    while !waiting.is_empty() {
        let mut again = Vec::new();
        for runner in waiting {
            match runner.work().await {
                Told::Batch => batches += 1,
                Told::Wait => {}
                Told::Done => continue,
            }
            again.push(runner);
        }
        waiting = again;
    }
    batches
}

#[expect(clippy::print_stdout, reason = "`cargo xtask bench cold` puts the bill into the documentation")]
/// Plays a run of so many shards and units, and holds its price against what is allowed.
async fn play(shards: u32, units: usize) -> f64 {
    let stack = Box::pin(Stack::with_fleet()).await;
    let before = stack.requests();
    let run = RunId(stack.api.services.ids.uuid());
    stack.api.services.submit_as(run, &spec(shards)).await.unwrap();
    stack.handle_wakes().await;
    let mut runners = Vec::new();
    for shard in 1..=shards {
        let attempt = ShardAttempt { run, job: JobNo(1), shard, attempt: 1 };
        runners.push(Runner::enter(&stack, attempt, units).await);
    }
    let batches = work_off(&mut runners).await;
    for runner in runners {
        runner.leave().await;
    }
    stack.handle_wakes().await;
    let requests = stack.requests() - before;
    let found = stack.watcher.services.run(run).await.unwrap().value;
    assert_eq!(found.judgement.as_ref().unwrap().verdict, Verdict::Passed, "{found:?}");
    assert_eq!(found.figures.unwrap().counts.passed, u64::try_from(units * CASES_PER_UNIT).unwrap());
    let most = PER_RUN + PER_SHARD * u64::from(shards) + PER_BATCH * batches;
    assert!(
        requests <= most,
        "{requests} requests for {shards} shards and {batches} batches: {:?}",
        stack.sent()
    );
    stack.check_rights();
    let bill = stack.bill(shards);
    let price: f64 = bill.iter().map(|(_, _, price)| price).sum();
    let cases = units * CASES_PER_UNIT;
    println!(
        "bill {}",
        json!({ "shards": shards, "cases": cases, "batches": batches, "requests": requests, "most": most, "usd": price, "lines": bill })
    );
    price
}

#[tokio::test]
async fn a_small_run_is_cheap() {
    assert!(Box::pin(play(1, 5)).await < LARGEST_PRICE);
}

#[tokio::test]
async fn the_price_of_a_run_follows_its_shards_and_batches() {
    assert!(Box::pin(play(10, 50)).await < LARGEST_PRICE);
}
