//! From a rule to a receiver: the services in memory, the step that hosts repeat, and a real socket at the end.

use super::receiver::{Receiver, loopback};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use notify::client::Outbound;
use notify::outbox::step;
use notify::sender::Sender;
use serde_json::Value;
use shared::domain::audit::Actor;
use shared::domain::id::ProjectId;
use shared::domain::notify::{Channel, Occasion};
use shared::domain::project::ProjectSettings;
use shared::domain::secret::Secret;
use shared::domain::shard::Clocks;
use shared::domain::time::Timestamp;
use shared::ports::Unobserved;
use shared::ports::forge::NoForge;
use shared::service::notify::{NewRule, Notices};
use shared::service::project::NewProject;
use shared::service::token::TokenKey;
use shared::service::{Services, Settings, Stride};
use std::sync::Arc;
use testkit::memory::{ManualClock, MemoryBlobs, MemoryLauncher, MemoryQueue, MemoryStore, SeededIds};

fn services(clock: &Arc<ManualClock>) -> Services {
    Services {
        store: Arc::new(MemoryStore::new(Arc::clone(clock) as _)),
        blobs: Arc::new(MemoryBlobs::default()),
        queue: Arc::new(MemoryQueue::new(Arc::clone(clock) as _)),
        launcher: Arc::new(MemoryLauncher::default()),
        forge: Arc::new(NoForge),
        clock: Arc::clone(clock) as _,
        ids: Arc::new(SeededIds::new(1)),
        observer: Arc::new(Unobserved),
        settings: Settings {
            clocks: Clocks::default(),
            token_key: TokenKey::new("k".repeat(64)),
            max_shards: 1,
            batch_overhead_ms: 1,
            version: "0".to_owned(),
            closing_bytes: 0,
            keep_history: true,
            slots: None,
            stride: Stride::default(),
        },
    }
}

fn project() -> NewProject {
    NewProject {
        id: ProjectId("web".to_owned()),
        title: "Web <Team>".to_owned(),
        repository: None,
        default_branch: "main".to_owned(),
        config: None,
        settings: ProjectSettings::default(),
    }
}

#[tokio::test]
async fn one_step_brings_every_message_to_its_receiver() {
    let receiver = Receiver::start(|got| match got.path.as_str() {
        "/busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let services = Arc::new(services(&clock));
    let (actor, web) = (Actor::system(), ProjectId("web".to_owned()));
    services.create_project(&actor, project()).await.unwrap();
    for path in ["/slack", "/busy"] {
        let new = NewRule {
            name: path.to_owned(),
            on: [Occasion::Failure].into_iter().collect(),
            branches: Vec::new(),
            channel: Channel::Slack { url: Secret::new(receiver.url(path)) },
            paused: false,
        };
        let rule = services.create_rule(&actor, &web, new).await.unwrap();
        services.test_rule(&web, rule.id).await.unwrap();
    }
    let sender = Sender::new(Outbound::new(loopback()).unwrap(), None, None);
    let notices =
        Arc::new(Notices { services: Arc::clone(&services), notifier: Arc::new(sender), run_link: None });
    assert_eq!((step(&notices).await.unwrap(), step(&notices).await.unwrap()), (2, 0));
    let got = receiver.got();
    let slack = got.iter().find(|got| got.path == "/slack").unwrap();
    let body: Value = serde_json::from_slice(&slack.body).unwrap();
    assert_eq!(body["text"], "Web &lt;Team&gt;: a test message of Fleetest");
    assert_eq!(body["blocks"][0]["type"], "header");
    clock.advance_ms(10_000);
    assert_eq!(step(&notices).await.unwrap(), 1, "the busy one is tried again after its pause");
    let mut statuses: Vec<&str> = Vec::new();
    let deliveries = services.deliveries(&web, None, 10).await.unwrap().items;
    statuses.extend(deliveries.iter().map(|delivery| delivery.status.as_str()));
    statuses.sort_unstable();
    assert_eq!(statuses, ["delivered", "pending"]);
}
