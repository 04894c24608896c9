//! What a run costs in requests to AWS: counted by the adapters, from the order to the verdict.
//!
//! Every function has clients and a memory of its own, as on AWS. The runners are scripted and go through the
//! functions, and each asks for work until it is told that there is none. Receiving and deleting messages is the platform's part, and
//! waiting for a run (heartbeats, sweeps, people who look) depends on how long it takes; neither is counted.

use crate::cloud::{calm, cloud, received, sample};
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
use shared::domain::unit::{DiscoveredUnit, manifest_digest};
use shared::domain::verdict::Verdict;
use shared::ports::Topic;
use shared::wire::link::LINK_VERSION;
use testkit::emulator;

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

/// The functions that a run goes through.
struct Stack {
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
        let stack = Self {
            api: open(Tokens::Unused).await.unwrap(),
            plan: open(Tokens::Unused).await.unwrap(),
            launch: open(Tokens::Used).await.unwrap(),
            coordinator: open(Tokens::Used).await.unwrap(),
            aggregate: open(Tokens::Unused).await.unwrap(),
            watcher: open(Tokens::Unused).await.unwrap(),
        };
        assert_eq!(stack.requests(), 2, "the keys of the tokens: {:?}", stack.sent());
        stack
    }

    fn counted(&self) -> [(&'static str, &Cloud); 5] {
        let Self { api, plan, launch, coordinator, aggregate, watcher: _ } = self;
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
    session: String,
    manifest: Value,
    /// Digest of the manifest, until it is put.
    unannounced: Option<String>,
    finished: Value,
    asked: u32,
}

impl Runner {
    async fn enter(cloud: &Cloud, shard: ShardAttempt, units: usize) -> Self {
        let key = |unit: usize| format!("test_{unit}.py");
        let keys: Vec<Value> = (0..units).map(|unit| json!({"key": key(unit)})).collect();
        let units: Vec<DiscoveredUnit> = serde_json::from_value(keys.clone().into()).unwrap();
        let mut runner = Self {
            door: Door::link(cloud.clone()),
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

/// Plays a run of so many shards and units, and holds its price against what is allowed.
async fn play(shards: u32, units: usize) {
    let stack = Box::pin(Stack::with_fleet()).await;
    let before = stack.requests();
    let run = RunId(stack.api.services.ids.uuid());
    stack.api.services.submit_as(run, &spec(shards)).await.unwrap();
    stack.handle_wakes().await;
    let mut runners = Vec::new();
    for shard in 1..=shards {
        let attempt = ShardAttempt { run, job: JobNo(1), shard, attempt: 1 };
        runners.push(Runner::enter(&stack.coordinator, attempt, units).await);
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
}

#[tokio::test]
async fn a_small_run_is_cheap() {
    Box::pin(play(1, 5)).await;
}

#[tokio::test]
async fn the_price_of_a_run_follows_its_shards_and_batches() {
    Box::pin(play(10, 50)).await;
}
