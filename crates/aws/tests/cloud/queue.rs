//! The queue's contract on SQS, and what only SQS can get wrong.

use crate::adapters::START;
use crate::hosting::hosted;
use crate::stage;
use async_trait::async_trait;
use aws::config::QueueUrls;
use aws::connection::Connection;
use aws::limits::{
    CLAIM_ABOVE_BYTES, DELAY_LIMIT_S, QUEUE_BATCH_LIMIT, RECEIVE_WAIT_LIMIT_S, VISIBILITY_LIMIT_S,
};
use aws::s3::S3Blobs;
use aws::sqs::message::Poison;
use aws::sqs::{DEAD_SUFFIX, Opened, REASON_ATTRIBUTE, Received, SqsQueue, Unopened};
use serde_json::Value;
use shared::domain::id::RunId;
use shared::ports::{Blobs as _, Clock as _, PortError, PortResult, Queue as _, Topic, Wake};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::contract::block_on;
use testkit::contract::queue::QueueProbe;
use testkit::http::{Response, Server};
use testkit::memory::ManualClock;

testkit::queue_contract!(sqs_queue, (Probe::new().await, ()));

const HIDDEN_S: u64 = 30;

struct Cloud {
    queue: SqsQueue,
    urls: QueueUrls,
    blobs: S3Blobs,
    clock: Arc<ManualClock>,
    connection: Connection,
}

async fn cloud() -> Cloud {
    let connection = stage::connection();
    let urls = stage::queues(&connection).await;
    let blobs = S3Blobs::new(connection.s3(), stage::bucket(&connection).await);
    let clock = Arc::new(ManualClock::new(START));
    let queue =
        SqsQueue::new(connection.sqs(), urls.clone(), Arc::new(blobs.clone()), Arc::clone(&clock) as _);
    Cloud { queue, urls, blobs, clock, connection }
}

/// Receives from all queues, in real time.
struct Probe {
    cloud: Cloud,
    waiting: Mutex<VecDeque<Wake>>,
}

impl Probe {
    async fn new() -> Self {
        Self { cloud: cloud().await, waiting: Mutex::new(VecDeque::new()) }
    }

    async fn look(&self) {
        for topic in [Topic::Plan, Topic::Launch, Topic::Aggregate] {
            for message in hosted(self.cloud.queue.inbox(topic).receive(0, HIDDEN_S)).await.unwrap() {
                let opened = hosted(self.cloud.queue.open(&message.text)).await.unwrap();
                hosted(self.cloud.queue.inbox(topic).done(&message)).await.unwrap();
                let Opened::Wake(wake) = opened else { panic!("{opened:?}") };
                assert_eq!(wake.topic, topic);
                self.waiting.lock().unwrap().push_back(wake);
            }
        }
    }
}

#[async_trait]
impl QueueProbe for Probe {
    async fn send(&self, wake: Wake, delay_ms: u64) -> PortResult<()> {
        hosted(self.cloud.queue.send(wake, delay_ms)).await
    }

    async fn receive(&self, within_ms: u64) -> Option<Wake> {
        let begin = Instant::now();
        loop {
            let next = self.waiting.lock().unwrap().pop_front();
            if next.is_some() {
                return next;
            }
            if begin.elapsed() >= Duration::from_millis(within_ms) {
                return None;
            }
            self.look().await;
            hosted(async { tokio::time::sleep(Duration::from_millis(20)).await }).await;
        }
    }
}

fn wake(run: u128) -> Wake {
    Wake { topic: Topic::Launch, run: RunId(run) }
}

/// Exactly one message of the topic.
fn receive_one(cloud: &Cloud, hidden_s: u64) -> Received {
    let mut all = block_on(hosted(cloud.queue.inbox(Topic::Launch).receive(5, hidden_s))).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn open(cloud: &Cloud, text: &str) -> Result<Opened, Unopened> {
    block_on(hosted(cloud.queue.open(text)))
}

#[test]
fn a_long_text_is_claimed_and_a_short_one_is_not() {
    let cloud = block_on(cloud());
    for (length, claims) in [(CLAIM_ABOVE_BYTES, 0), (CLAIM_ABOVE_BYTES + 1, 1), (3 * CLAIM_ABOVE_BYTES, 2)] {
        // Every character has to be escaped.
        let text = "\"".repeat(length);
        block_on(hosted(cloud.queue.send_text(Topic::Launch, &text))).unwrap();
        let message = receive_one(&cloud, HIDDEN_S);
        assert_eq!(open(&cloud, &message.text).unwrap(), Opened::Text(text));
        block_on(hosted(cloud.queue.inbox(Topic::Launch).done(&message))).unwrap();
        assert_eq!(block_on(hosted(cloud.blobs.list("claims/"))).unwrap().len(), claims, "{length}");
    }
}

#[test]
fn a_claim_that_cannot_be_redeemed_is_poison() {
    let cloud = block_on(cloud());
    let text = "x".repeat(CLAIM_ABOVE_BYTES + 1);
    block_on(hosted(cloud.queue.send_text(Topic::Launch, &text))).unwrap();
    let message = receive_one(&cloud, HIDDEN_S);
    let key = block_on(hosted(cloud.blobs.list("claims/"))).unwrap().remove(0);
    block_on(hosted(cloud.blobs.put(&key, b"other".to_vec()))).unwrap();
    let changed = open(&cloud, &message.text);
    assert!(matches!(changed, Err(Unopened::Poison(Poison::ClaimChanged(_)))), "{changed:?}");
    block_on(hosted(cloud.blobs.delete(&key))).unwrap();
    let gone = open(&cloud, &message.text);
    assert!(matches!(gone, Err(Unopened::Poison(Poison::ClaimGone(_)))), "{gone:?}");
}

#[test]
fn a_wake_delayed_longer_than_a_queue_can_is_sent_on_until_it_is_due() {
    let cloud = block_on(cloud());
    let delay_ms = DELAY_LIMIT_S * 1000 + 1;
    let body = |not_before: u64| {
        format!(
            r#"{{"wake":{{"wake":{{"topic":"launch","run":"{}"}},"not_before_ms":{not_before}}}}}"#,
            RunId(1)
        )
    };
    let due = START.plus_ms(delay_ms).0;
    cloud.clock.advance_to(START.plus_ms(DELAY_LIMIT_S * 1000 - 500));
    assert_eq!(open(&cloud, &body(due)).unwrap(), Opened::SentOn(wake(1)));
    cloud.clock.advance_to(START.plus_ms(delay_ms));
    assert_eq!(open(&cloud, &body(due)).unwrap(), Opened::Wake(wake(1)));
    let message = receive_one(&cloud, HIDDEN_S);
    assert_eq!(open(&cloud, &message.text).unwrap(), Opened::Wake(wake(1)));
    assert!(cloud.clock.now().0 >= due);

    block_on(hosted(cloud.queue.send(wake(2), delay_ms))).unwrap();
    let at_once = block_on(hosted(cloud.queue.inbox(Topic::Launch).receive(0, HIDDEN_S))).unwrap();
    assert_eq!(at_once, [], "it was not delayed at all");
}

#[test]
fn a_hidden_message_comes_again_and_says_how_often() {
    let cloud = block_on(cloud());
    block_on(hosted(cloud.queue.send(wake(1), 0))).unwrap();
    let first = receive_one(&cloud, HIDDEN_S);
    assert_eq!(first.receptions, 1);
    assert_eq!(block_on(hosted(cloud.queue.inbox(Topic::Launch).receive(0, HIDDEN_S))).unwrap(), []);
    block_on(hosted(cloud.queue.inbox(Topic::Launch).hide(&first.receipt, 0))).unwrap();
    let second = receive_one(&cloud, HIDDEN_S);
    assert_eq!((second.receptions, &second.text), (2, &first.text));
    block_on(hosted(cloud.queue.inbox(Topic::Launch).done(&second))).unwrap();
}

#[test]
fn poison_is_buried_with_its_reason() {
    let cloud = block_on(cloud());
    let text = "no message of ours \u{1f600}";
    let Err(Unopened::Poison(poison)) = open(&cloud, text) else { panic!("it was opened") };
    block_on(hosted(cloud.queue.bury(Topic::Launch, text, &poison))).unwrap();
    let sqs = cloud.connection.sqs();
    let dead = sqs.receive_message().queue_url(format!("{}{DEAD_SUFFIX}", cloud.urls.launch));
    let dead = block_on(hosted(dead.message_attribute_names(REASON_ATTRIBUTE).wait_time_seconds(5).send()));
    let message = dead.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.body.unwrap(), text);
    let reason = message.message_attributes.unwrap()[REASON_ATTRIBUTE].string_value.clone().unwrap();
    assert!(reason.contains("not one of ours"), "{reason}");
}

#[test]
fn a_dead_message_is_sent_again_as_it_was() {
    let cloud = block_on(cloud());
    let text = "no message of ours";
    let Err(Unopened::Poison(poison)) = open(&cloud, text) else { panic!("it was opened") };
    block_on(hosted(cloud.queue.bury(Topic::Launch, text, &poison))).unwrap();
    let dead = cloud.queue.dead(Topic::Launch);
    let letter = block_on(hosted(dead.receive(5, HIDDEN_S))).unwrap().remove(0);
    block_on(hosted(cloud.queue.send_again(Topic::Launch, &letter))).unwrap();
    block_on(hosted(dead.done(&letter))).unwrap();
    let again = receive_one(&cloud, HIDDEN_S);
    assert_eq!(again.text, text);
    assert!(again.sent_at >= letter.sent_at && letter.sent_at.0 > 0, "{letter:?} {again:?}");
}

#[test]
fn many_wakes_go_in_batches_of_ten() {
    let cloud = block_on(cloud());
    let before = cloud.connection.counts().of("SQS");
    let wakes: Vec<(Wake, u64)> = (0..25).map(|run| (wake(run), 0)).collect();
    block_on(hosted(cloud.queue.send_all(&wakes))).unwrap();
    let batches = u64::try_from(wakes.len().div_ceil(QUEUE_BATCH_LIMIT)).unwrap();
    assert_eq!(cloud.connection.counts().of("SQS") - before, batches);
    let mut arrived = std::collections::BTreeSet::new();
    while arrived.len() < wakes.len() {
        for message in block_on(hosted(cloud.queue.inbox(Topic::Launch).receive(5, HIDDEN_S))).unwrap() {
            let Opened::Wake(wake) = open(&cloud, &message.text).unwrap() else { panic!("{message:?}") };
            arrived.insert(wake);
        }
    }
}

#[test]
fn a_missing_queue_is_named_and_denied() {
    let cloud = block_on(cloud());
    let missing = format!("{}-missing", cloud.urls.plan);
    let urls = QueueUrls { launch: missing.clone(), ..cloud.urls.clone() };
    let queue =
        SqsQueue::new(cloud.connection.sqs(), urls, Arc::new(cloud.blobs.clone()), cloud.clock.clone());
    for error in [
        block_on(hosted(queue.send(wake(1), 0))).unwrap_err(),
        block_on(hosted(queue.send_all(&[(wake(1), 0)]))).unwrap_err(),
        block_on(hosted(queue.inbox(Topic::Launch).receive(0, 1))).unwrap_err(),
    ] {
        assert!(matches!(&error, PortError::Denied { subject, .. } if *subject == missing), "{error}");
    }
}

#[test]
fn nobody_waits_or_hides_longer_than_the_queue_allows() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let server = Server::start(Arc::new(move |request| {
        noted.lock().unwrap().push(serde_json::from_slice::<Value>(&request.body).unwrap());
        let headers = vec![("content-type".to_owned(), "application/x-amz-json-1.0".to_owned())];
        Response { headers, ..Response::new(200, "{}") }
    }))
    .unwrap();
    let connection = Connection::new(stage::account(&server.url()));
    let url = |name: &str| format!("{}/000000000000/{name}", server.url());
    let urls = QueueUrls {
        plan: url("plan"),
        launch: url("launch"),
        aggregate: url("aggregate"),
        events_dead: url("dead"),
    };
    let blobs = Arc::new(S3Blobs::new(connection.s3(), "bucket".to_owned()));
    let inbox =
        SqsQueue::new(connection.sqs(), urls, blobs, Arc::new(ManualClock::new(START))).inbox(Topic::Plan);
    let told = |name: &str| asked.lock().unwrap().pop().unwrap()[name].as_u64();
    for (more, hidden_s) in [
        (0, VISIBILITY_LIMIT_S),
        (1, VISIBILITY_LIMIT_S),
        (u64::MAX - VISIBILITY_LIMIT_S, VISIBILITY_LIMIT_S),
    ] {
        block_on(hosted(inbox.hide("receipt", VISIBILITY_LIMIT_S + more))).unwrap();
        assert_eq!(told("VisibilityTimeout"), Some(hidden_s));
    }
    block_on(hosted(inbox.hide("receipt", VISIBILITY_LIMIT_S - 1))).unwrap();
    assert_eq!(told("VisibilityTimeout"), Some(VISIBILITY_LIMIT_S - 1));
    for (wait_s, waited_s) in [
        (RECEIVE_WAIT_LIMIT_S - 1, RECEIVE_WAIT_LIMIT_S - 1),
        (RECEIVE_WAIT_LIMIT_S + 1, RECEIVE_WAIT_LIMIT_S),
    ] {
        block_on(hosted(inbox.receive(wait_s, VISIBILITY_LIMIT_S + 1))).unwrap();
        assert_eq!(told("WaitTimeSeconds"), Some(waited_s));
    }
}
