//! Every sample under `events/` through the function that it is for.

use crate::cloud::{
    SAMPLE_RUN, accept_sample_run, apart, buried, calm, cloud, context, key, project, received, root, sample,
};
use crate::rights::keeps_to_its_role;
use aws::limits::PUT_EVENTS_LIMIT;
use aws::sqs::DEAD_SUFFIX;
use aws::sqs::message::Body;

use functions::batch::Batch;
use functions::cloud::{Cloud, Tokens};
use functions::door::Door;
use functions::start::{Failed, Function};
use functions::task::TaskEvents;
use functions::tell;
use functions::tick::{Schedules, Sweep, Tell};
use serde_json::{Value, json};
use shared::domain::audit::Actor;
use shared::domain::id::{JobNo, RunId};
use shared::domain::order::RunOrder;
use shared::domain::origin::Trigger;
use shared::domain::run::RunStatus;
use shared::domain::shard::{Clocks, Shard};
use shared::domain::verdict::{Cause, CauseCode, Verdict};
use shared::ports::{Change, Condition, Topic, Wake, Write};
use shared::service::order::Asker;
use shared::service::repository::shard_key;
use shared::service::schedule::NewSchedule;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The samples that the tests below drive; another one under `events/` needs a test.
const DRIVEN: [&str; 34] = [
    "aggregate/claim-that-is-gone",
    "aggregate/one-wake",
    "aggregate/poison",
    "aggregate/same-wake-twice",
    "api/body-is-no-json",
    "api/create-run",
    "api/github-push",
    "api/health",
    "api/list-cases",
    "api/no-key",
    "api/run-not-modified",
    "coordinator/binary-body",
    "coordinator/heartbeat",
    "coordinator/session",
    "launch/one-wake",
    "launch/poison",
    "launch/same-wake-twice",
    "launch/too-early",
    "notify/not-ours",
    "notify/run-finished",
    "notify/tick",
    "plan/one-wake",
    "plan/poison",
    "plan/same-wake-twice",
    "schedule/tick",
    "sweep/redrive",
    "sweep/retain",
    "sweep/tick",
    "task-events/failed-to-start",
    "task-events/not-ours",
    "task-events/out-of-memory",
    "task-events/running",
    "task-events/spot-interruption",
    "task-events/stopped-in-order",
];

#[test]
fn no_sample_is_left_out() {
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(root().join("events")).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            let function = folder.file_name().unwrap().to_string_lossy().into_owned();
            let file = file.unwrap().path();
            found.insert(format!("{function}/{}", file.file_stem().unwrap().to_string_lossy()));
        }
    }
    assert_eq!(found, DRIVEN.map(str::to_owned).into());
}

/// Gives a function a sample.
async fn call(function: &impl Function, name: &str) -> Result<Value, Failed> {
    function.call(sample(name), calm()).await
}

/// The same sample, in the name of somebody who may do everything.
async fn call_allowed(cloud: &Cloud, name: &str) -> Value {
    let mut event = sample(name);
    event["headers"]["authorization"] = format!("Bearer {}", key(cloud).await).into();
    Door::api(cloud.clone()).call(event, calm()).await.unwrap()
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn requests_to_the_api_are_answered() {
    let cloud = cloud().await;
    let door = Door::api(cloud.clone());
    let health = call(&door, "api/health").await.unwrap();
    assert_eq!(health["statusCode"], 200, "{health}");
    for refused in ["api/no-key", "api/create-run", "api/list-cases", "api/run-not-modified"] {
        let answer = call(&door, refused).await.unwrap();
        assert_eq!(answer["statusCode"], 401, "{refused}: {answer}");
        assert_eq!(answer["headers"]["content-type"], "application/problem+json");
    }
    let wrong = call_allowed(&cloud, "api/body-is-no-json").await;
    assert_eq!((&wrong["statusCode"], &body(&wrong)["code"]), (&json!(400), &json!("not_json")), "{wrong}");
}

#[tokio::test]
async fn a_run_is_created_and_shown() {
    let cloud = cloud().await;
    let created = call_allowed(&cloud, "api/create-run").await;
    assert_eq!(created["statusCode"], 202, "{created}");
    assert_eq!(received(&cloud, Topic::Plan).await.len(), 1);
    accept_sample_run(&cloud).await;
    let cases = call_allowed(&cloud, "api/list-cases").await;
    assert_eq!((&cases["statusCode"], &body(&cases)["items"]), (&json!(200), &json!([])), "{cases}");
    let mut event = sample("api/run-not-modified");
    event["headers"]["authorization"] = format!("Bearer {}", key(&cloud).await).into();
    let door = Door::api(cloud);
    let shown = door.call(event.clone(), calm()).await.unwrap();
    assert_eq!(shown["statusCode"], 200, "{shown}");
    event["headers"]["if-none-match"] = shown["headers"]["etag"].clone();
    let again = door.call(event, calm()).await.unwrap();
    assert_eq!(again["statusCode"], 304, "{again}");
}

#[tokio::test]
async fn a_push_makes_a_run_only_with_the_secret_of_the_project() {
    let cloud = cloud().await;
    let door = Door::api(cloud.clone());
    let unknown = call(&door, "api/github-push").await.unwrap();
    assert_eq!(unknown["statusCode"], 401, "{unknown}");
    let mut secrets = sample("api/create-run");
    secrets["rawPath"] = "/v1/projects/click/webhook-secrets".into();
    secrets["requestContext"]["http"]["method"] = "PUT".into();
    secrets["headers"]["authorization"] = format!("Bearer {}", key(&cloud).await).into();
    secrets["body"] = json!({"secret": "not-a-real-secret"}).to_string().into();
    let kept = door.call(secrets, calm()).await.unwrap();
    assert!([200, 204].map(Value::from).contains(&kept["statusCode"]), "{kept}");
    let taken = call(&door, "api/github-push").await.unwrap();
    assert_eq!(taken["statusCode"], 202, "{taken}");
    assert_eq!(received(&cloud, Topic::Plan).await.len(), 1);
}

#[tokio::test]
async fn calls_of_strangers_to_the_link_are_refused() {
    let door = Door::link(cloud().await);
    for name in ["coordinator/session", "coordinator/heartbeat", "coordinator/binary-body"] {
        let answer = call(&door, name).await.unwrap();
        assert_eq!(answer["statusCode"], 401, "{name}: {answer}");
    }
}

fn failures(answer: &Value) -> Vec<&str> {
    let all = answer["batchItemFailures"].as_array().unwrap();
    all.iter().map(|one| one["itemIdentifier"].as_str().unwrap()).collect()
}

async fn batch(cloud: &Cloud, topic: Topic, name: &str) -> Value {
    call(&Batch::new(cloud.clone(), topic), name).await.unwrap()
}

#[tokio::test]
async fn wakes_bring_a_run_to_its_end() {
    let cloud = cloud().await;
    let run = accept_sample_run(&cloud).await;
    for (topic, name) in [
        (Topic::Plan, "plan/one-wake"),
        (Topic::Plan, "plan/same-wake-twice"),
        (Topic::Launch, "launch/one-wake"),
        (Topic::Launch, "launch/same-wake-twice"),
        (Topic::Aggregate, "aggregate/one-wake"),
        (Topic::Aggregate, "aggregate/same-wake-twice"),
    ] {
        let answer = batch(&cloud, topic, name).await;
        assert!(failures(&answer).is_empty(), "{name}: {answer}");
    }
    let run = cloud.services.run(run).await.unwrap().value;
    assert_eq!(run.status, RunStatus::Finished);
    assert_eq!(run.judgement.unwrap().verdict, Verdict::Errored);
    assert_eq!(cloud.bus.flush(&cloud.services).await.unwrap(), 1);
    assert_eq!(cloud.bus.flush(&cloud.services).await.unwrap(), 0);
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_with_its_reason() {
    let cloud = cloud().await;
    for (topic, name) in [
        (Topic::Plan, "plan/poison"),
        (Topic::Launch, "launch/poison"),
        (Topic::Aggregate, "aggregate/poison"),
    ] {
        let answer = batch(&cloud, topic, name).await;
        assert!(failures(&answer).is_empty(), "{name}: {answer}");
        let reasons = buried(&cloud, topic).await;
        assert_eq!(reasons.len(), 2, "{name}: {reasons:?}");
        assert!(reasons.iter().all(|reason| reason.contains("not one of ours")), "{reasons:?}");
    }
    let answer = batch(&cloud, Topic::Aggregate, "aggregate/claim-that-is-gone").await;
    assert!(failures(&answer).is_empty(), "{answer}");
    let reasons = buried(&cloud, Topic::Aggregate).await;
    assert!(reasons.iter().any(|reason| reason.contains("is not there")), "{reasons:?}");
}

#[tokio::test]
async fn a_wake_that_came_too_early_is_sent_on() {
    let cloud = cloud().await;
    let answer = batch(&cloud, Topic::Launch, "launch/too-early").await;
    assert!(failures(&answer).is_empty(), "{answer}");
    // It waits in the queue, for as long as a queue can hold it.
    assert_eq!(received(&cloud, Topic::Launch).await, []);
    let url = &cloud.config.queues.launch;
    let ask = cloud.connection.sqs().get_queue_attributes().queue_url(url);
    let told = ask.attribute_names(aws_sdk_sqs::types::QueueAttributeName::All).send().await.unwrap();
    let delayed = &told.attributes.unwrap()
        [&aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessagesDelayed];
    assert_eq!(delayed, "1");
}

/// Writes down that the runner of the samples is being launched.
async fn launch_sample_shard(cloud: &Cloud) {
    let (run, job, now) = (SAMPLE_RUN.parse().unwrap(), JobNo(1), cloud.services.clock.now());
    let shard = Shard::wanted(run, job, 2, now).intend_launch(&Clocks::default(), now).unwrap();
    let body = serde_json::to_string(&shard).unwrap();
    let change = Change::Put { body, expires_at: None, index: None };
    let write = Write { key: shard_key(run, job, 2), condition: Condition::Any, change };
    cloud.services.store.commit(vec![write]).await.unwrap();
}

#[tokio::test]
async fn only_the_end_of_a_runner_of_ours_is_looked_into() {
    let cloud = cloud().await;
    accept_sample_run(&cloud).await;
    let own = apart(&cloud, Tokens::Unused).await;
    let function = TaskEvents::new(own.clone());
    for (name, looked_into) in [
        ("task-events/running", false),
        ("task-events/not-ours", false),
        ("task-events/stopped-in-order", true),
        ("task-events/out-of-memory", true),
        ("task-events/spot-interruption", true),
        ("task-events/failed-to-start", true),
    ] {
        launch_sample_shard(&cloud).await;
        call(&function, name).await.unwrap();
        let wake = Wake { topic: Topic::Aggregate, run: SAMPLE_RUN.parse().unwrap() };
        let wakes: Vec<Body> = received(&cloud, Topic::Aggregate)
            .await
            .iter()
            .map(|message| Body::decode(&message.text).unwrap())
            .collect();
        let expected = looked_into.then_some(Body::Wake { wake, not_before_ms: None });
        assert_eq!(wakes, Vec::from_iter(expected), "{name}");
        // Told once more it is no news.
        call(&function, name).await.unwrap();
        assert_eq!(received(&cloud, Topic::Aggregate).await.len(), 0, "{name}");
    }
    keeps_to_its_role("task-events", &own);
    let broken = function.call(json!({"source": "aws.ecs"}), calm()).await;
    assert!(matches!(broken, Err(Failed::Event(_))), "{broken:?}");
}

#[tokio::test]
async fn the_sweep_brings_a_run_to_its_end_by_itself() {
    let cloud = cloud().await;
    let run = accept_sample_run(&cloud).await;
    let own = apart(&cloud, Tokens::Used).await;
    let sweep = Sweep(own.clone());
    for _ in 0..3 {
        call(&sweep, "sweep/tick").await.unwrap();
    }
    assert_eq!(own.bus.flush(&own.services).await.unwrap(), 1);
    let found = cloud.services.run(run).await.unwrap().value;
    assert_eq!(found.status, RunStatus::Finished);
    call(&sweep, "sweep/retain").await.unwrap();
    assert!(cloud.services.run(run).await.is_ok(), "a new run is kept");
    keeps_to_its_role("sweep", &own);
}

#[tokio::test]
async fn ends_of_runs_are_told_as_many_at_a_time_as_the_bus_takes() {
    let cloud = cloud().await;
    for (count, requests) in [(PUT_EVENTS_LIMIT, 1), (PUT_EVENTS_LIMIT + 1, 2)] {
        for _ in 0..count {
            let id = RunId(cloud.services.ids.uuid());
            let order = RunOrder { reference: Some("main".to_owned()), ..RunOrder::default() };
            let asker = Asker { actor: "system".to_owned(), trigger: Trigger::Request, parked: false };
            cloud.services.order_run(id, &project(&cloud).await, &order, asker).await.unwrap();
            let cause = Cause::new(CauseCode::CancelledByUser, "not needed");
            cloud.services.cancel(id, cause).await.unwrap();
        }
        call(&Sweep(cloud.clone()), "sweep/tick").await.unwrap();
        let told = || cloud.connection.counts().of("EventBridge");
        let before = told();
        assert_eq!(cloud.bus.flush(&cloud.services).await.unwrap(), count);
        assert_eq!(told() - before, requests, "{count} ends");
    }
}

#[tokio::test]
async fn dead_letters_are_redriven_once_each() {
    let cloud = cloud().await;
    accept_sample_run(&cloud).await;
    // Poison, which dies again; a wake that failed too often; events that their functions could not be given.
    batch(&cloud, Topic::Plan, "plan/poison").await;
    let wake = sample("plan/one-wake")["Records"][0]["body"].as_str().unwrap().to_owned();
    let sqs = cloud.connection.sqs();
    let urls = &cloud.config.queues;
    let sends = async |url: &str, text: &str| {
        sqs.send_message().queue_url(url).message_body(text).send().await.unwrap();
    };
    sends(&format!("{}{DEAD_SUFFIX}", urls.plan), &wake).await;
    let stopped = sample("task-events/out-of-memory");
    let wrapped = json!({"version": "1.0", "requestContext": {}, "requestPayload": stopped});
    for text in [wrapped.to_string(), sample("sweep/tick").to_string(), "{".to_owned()] {
        sends(&urls.events_dead, &text).await;
    }
    launch_sample_shard(&cloud).await;
    received(&cloud, Topic::Aggregate).await;
    let own = apart(&cloud, Tokens::Used).await;
    let sweep = Sweep(own.clone());
    let answer = call(&sweep, "sweep/redrive").await.unwrap();
    let expected = json!({"messages": 3, "tasks": 1, "outdated": 1, "left": 1, "more": false});
    assert_eq!(answer, expected);
    assert_eq!(received(&cloud, Topic::Aggregate).await.len(), 1, "the end of the runner is news");
    let again: Vec<String> =
        received(&cloud, Topic::Plan).await.into_iter().map(|message| message.text).collect();
    assert!(again.len() == 3 && again.contains(&wake), "{again:?}");
    // What stays is not looked at again at once, and what was sent is not sent twice.
    let nothing = json!({"messages": 0, "tasks": 0, "outdated": 0, "left": 0, "more": false});
    assert_eq!(call(&sweep, "sweep/redrive").await.unwrap(), nothing);
    let late = sweep.call(sample("sweep/redrive"), context(Duration::ZERO)).await.unwrap();
    assert_eq!(late["more"], true, "{late}");
    keeps_to_its_role("sweep", &own);
}

#[tokio::test]
async fn the_clock_calls_and_strangers_are_passed_over() {
    let cloud = cloud().await;
    let new = NewSchedule {
        name: "each minute".to_owned(),
        cron: "* * * * *".to_owned(),
        zone: "UTC".to_owned(),
        order: RunOrder::default(),
        paused: false,
    };
    cloud.services.create_schedule(&Actor::system(), &project(&cloud).await, new).await.unwrap();
    let (firing, telling) = (apart(&cloud, Tokens::Unused).await, apart(&cloud, Tokens::Unused).await);
    call(&Schedules(firing.clone()), "schedule/tick").await.unwrap();
    let later = firing.services.clock.now().plus_ms(61_000);
    assert_eq!(firing.services.fire_due(later).await.unwrap().len(), 1);
    keeps_to_its_role("schedule", &firing);
    let tell = Tell(Arc::new(tell::notices(&telling).unwrap()));
    for name in ["notify/tick", "notify/run-finished", "notify/not-ours"] {
        call(&tell, name).await.unwrap();
    }
    keeps_to_its_role("notify", &telling);
    let (sweep, schedules) = (Sweep(cloud.clone()), Schedules(cloud));
    for wrong in [json!({"tick": "other"}), json!({}), json!(7)] {
        for answer in [
            sweep.call(wrong.clone(), calm()).await,
            schedules.call(wrong.clone(), calm()).await,
            tell.call(wrong.clone(), calm()).await,
        ] {
            assert!(matches!(answer, Err(Failed::Event(_))), "{wrong}: {answer:?}");
        }
    }
}
