//! A cloud of one test.

use crate::stage;
use aws::config::{Config, Fleet, Github};
use aws::sqs::{DEAD_SUFFIX, REASON_ATTRIBUTE, Received};
use functions::cloud::{Cloud, Tokens};
use lambda_runtime::Context;
use serde_json::Value;
use shared::domain::audit::Actor;
use shared::domain::id::{ProjectId, RunId};
use shared::domain::order::RunOrder;
use shared::domain::origin::Trigger;
use shared::domain::project::{Project, ProjectSettings};
use shared::ports::Topic;
use shared::service::key::NewKey;
use shared::service::order::Asker;
use shared::service::project::NewProject;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::emulator;

/// The run of all samples.
pub(crate) const SAMPLE_RUN: &str = "run_0199c0de5a1f7c3a9d2e4b6f80a1c2d3";
/// A cluster that there is not.
const NO_CLUSTER: &str = "runners";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A sample, as in `plan/one-wake`.
pub(crate) fn sample(name: &str) -> Value {
    let path = root().join("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// What the platform says of an event, with so much time left.
pub(crate) fn context(left: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
    context.deadline = u64::try_from(end.as_millis()).unwrap();
    context
}

/// The context of a function that is in no hurry.
pub(crate) fn calm() -> Context {
    context(Duration::from_secs(60))
}

/// Everything new, with the project `click` and the repository of the samples.
pub(crate) async fn cloud() -> Cloud {
    let cloud = bare().await;
    let new = NewProject {
        id: ProjectId("click".to_owned()),
        title: String::new(),
        repository: Some("https://github.com/acme/click.git".to_owned()),
        default_branch: "main".to_owned(),
        config: None,
        settings: ProjectSettings::default(),
    };
    cloud.services.create_project(&Actor::system(), new).await.unwrap();
    cloud
}

/// The same cloud with clients of its own, as another function has it.
pub(crate) async fn apart(cloud: &Cloud, tokens: Tokens) -> Cloud {
    Cloud::open(cloud.config.clone(), tokens).await.unwrap()
}

async fn bare() -> Cloud {
    let connection = stage::connection();
    let secret = emulator::unique("token-key");
    let create = connection.secrets_manager().create_secret().name(&secret).secret_string("k".repeat(64));
    create.send().await.unwrap();
    let bus = emulator::unique("bus");
    connection.eventbridge().create_event_bus().name(&bus).send().await.unwrap();
    let config = Config {
        account: stage::account(&emulator::endpoint()),
        table: stage::table(&connection).await,
        bucket: stage::bucket(&connection).await,
        queues: stage::queues(&connection).await,
        fleet: Fleet {
            cluster: NO_CLUSTER.to_owned(),
            task_definition: "runner".to_owned(),
            container: "runner".to_owned(),
            subnets: vec!["subnet-a".to_owned()],
            security_groups: Vec::new(),
            public_address: false,
            spot: true,
            link_url: "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com".to_owned(),
        },
        event_bus: bus,
        token_key_secret: secret,
        mail_from: None,
        github: Github::default(),
    };
    Cloud::open(config, Tokens::Used).await.unwrap()
}

/// A key that may do everything.
pub(crate) async fn key(cloud: &Cloud) -> String {
    let (_key, text) = cloud.services.create_key(&Actor::system(), NewKey::admin()).await.unwrap();
    text.reveal().to_owned()
}

pub(crate) async fn project(cloud: &Cloud) -> Project {
    cloud.services.project(&ProjectId("click".to_owned())).await.unwrap().value
}

/// Accepts the run of the samples, of a branch that nobody here can look up.
pub(crate) async fn accept_sample_run(cloud: &Cloud) -> RunId {
    let id: RunId = SAMPLE_RUN.parse().unwrap();
    let order = RunOrder { reference: Some("main".to_owned()), ..RunOrder::default() };
    let asker = Asker { actor: "system".to_owned(), trigger: Trigger::Request, parked: false };
    cloud.services.order_run(id, &project(cloud).await, &order, asker).await.unwrap();
    received(cloud, Topic::Plan).await;
    id
}

/// Takes everything that waits for a topic.
pub(crate) async fn received(cloud: &Cloud, topic: Topic) -> Vec<Received> {
    let (inbox, mut all) = (cloud.queue.inbox(topic), Vec::new());
    loop {
        let some = inbox.receive(0, 30).await.unwrap();
        if some.is_empty() {
            return all;
        }
        for message in &some {
            inbox.done(message).await.unwrap();
        }
        all.extend(some);
    }
}

/// Reasons of the dead letters of a topic.
pub(crate) async fn buried(cloud: &Cloud, topic: Topic) -> Vec<String> {
    let urls = &cloud.config.queues;
    let url = match topic {
        Topic::Plan => &urls.plan,
        Topic::Launch => &urls.launch,
        Topic::Aggregate => &urls.aggregate,
    };
    let receive = cloud.connection.sqs().receive_message().queue_url(format!("{url}{DEAD_SUFFIX}"));
    let receive = receive.max_number_of_messages(10).message_attribute_names("All");
    let messages = receive.send().await.unwrap().messages.unwrap_or_default();
    let reason = |message: aws_sdk_sqs::types::Message| {
        message.message_attributes.unwrap()[REASON_ATTRIBUTE].string_value.clone().unwrap()
    };
    messages.into_iter().map(reason).collect()
}
