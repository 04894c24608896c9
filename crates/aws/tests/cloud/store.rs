//! The store's contract on DynamoDB, and what only DynamoDB can get wrong.

use crate::adapters::{self, START};
use crate::hosted::Hosted;
use crate::hosting::hosted;
use crate::stage;
use aws::connection::Connection;
use aws::dynamo::{DynamoStore, EXPIRY_S_ATTRIBUTE};
use aws::limits::BATCH_GET_LIMIT;
use serde_json::{Value, json};
use shared::domain::time::Timestamp;
use shared::ports::{
    COMMIT_LARGEST, Change, Condition, DOCUMENT_LIMIT_BYTES, IndexEntry, Key, PortError, Store as _, Write,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::contract::block_on;
use testkit::emulator;
use testkit::http::{self, Request, Response, Server};
use testkit::memory::ManualClock;

testkit::store_contract!(dynamo_store, adapters::store().await);

fn put(sort: &str, condition: Condition, body: &str, expires_at: Option<Timestamp>) -> Write {
    let change = Change::Put { body: body.to_owned(), expires_at, index: None };
    Write { key: Key::new("p", sort), condition, change }
}

fn store_at(connection: &Connection, table: &str) -> Hosted<DynamoStore> {
    Hosted(DynamoStore::new(connection.dynamodb(), table, Arc::new(ManualClock::new(START))))
}

fn version(store: &Hosted<DynamoStore>, sort: &str) -> Option<u64> {
    block_on(store.load(&Key::new("p", sort), START)).unwrap().map(|document| document.version)
}

/// A store behind a door that `spoil` may shut on a request before or after it took effect.
fn behind(
    spoil: impl Fn(&str, u32) -> Option<Spoil> + Send + Sync + 'static,
) -> (Hosted<DynamoStore>, Connection, Server) {
    let direct = stage::connection();
    let table = block_on(stage::table(&direct));
    let seen = AtomicU32::new(0);
    let door = Server::start(Arc::new(move |request| {
        let operation = request.header("x-amz-target").split('.').next_back().unwrap_or_default().to_owned();
        match spoil(&operation, seen.fetch_add(1, Ordering::SeqCst)) {
            None => http::forward(&emulator::endpoint(), &request).unwrap(),
            Some(Spoil::Half) => halved(&request),
            Some(Spoil::Before(status, code, message)) => refusal(status, code, message),
            Some(Spoil::After) => {
                http::forward(&emulator::endpoint(), &request).unwrap();
                refusal(500, "InternalServerError", "lost")
            }
        }
    }))
    .unwrap();
    let connection = Connection::new(stage::account(&door.url()));
    (store_at(&connection, &table), connection, door)
}

/// What a busy table answers to a request for several documents: some of them, and the keys of the others.
fn halved(request: &Request) -> Response {
    let mut answer = http::forward(&emulator::endpoint(), request).unwrap();
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let mut told: Value = serde_json::from_slice(&answer.body).unwrap();
    let (table, items) = told["Responses"].as_object_mut().unwrap().iter_mut().next().unwrap();
    let (table, items) = (table.clone(), items.as_array_mut().unwrap());
    let held_back = items.split_off(items.len() / 2);
    let asked = asked["RequestItems"][&table]["Keys"].as_array().unwrap();
    let is_of =
        |item: &Value, key: &Value| key.as_object().unwrap().iter().all(|(name, value)| item[name] == *value);
    let keys: Vec<&Value> =
        asked.iter().filter(|key| held_back.iter().any(|item| is_of(item, key))).collect();
    told["UnprocessedKeys"] = json!({ table: { "Keys": keys, "ConsistentRead": true } });
    answer.body = told.to_string().into_bytes();
    // The checksum and the length were those of the whole answer.
    answer.headers.retain(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    answer
}

enum Spoil {
    /// Only half of what was asked for.
    Half,
    Before(u16, &'static str, &'static str),
    After,
}

fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#);
    let headers = vec![("content-type".to_owned(), "application/x-amz-json-1.0".to_owned())];
    Response { headers, ..Response::new(status, body) }
}

#[test]
fn an_unconditional_put_of_an_expired_document_begins_anew() {
    let (store, _connection) = block_on(adapters::store());
    let long_ago = Some(Timestamp(1));
    for writes in [1, 2] {
        let commit = |condition, body: &str, expires_at| {
            let all = (0..writes).map(|n| put(&format!("{n}"), condition, body, expires_at)).collect();
            block_on(store.commit(all)).unwrap();
        };
        commit(Condition::Any, "1", None);
        commit(Condition::Any, "2", None);
        assert!(version(&store, "0").unwrap() >= 2);
        commit(Condition::Any, "3", long_ago);
        assert_eq!(version(&store, "0"), None);
        commit(Condition::Any, "4", None);
        assert_eq!(version(&store, "0"), Some(1), "with {writes} writes");
    }
}

#[test]
fn what_the_table_removes_itself_is_never_needed_any_more() {
    let (store, connection) = block_on(adapters::store());
    let ends = Timestamp(START.0 + 1);
    block_on(store.commit(vec![put("a", Condition::Absent, "x", Some(ends))])).unwrap();
    let table = store.0.table();
    let items = block_on(hosted(connection.dynamodb().scan().table_name(table).send())).unwrap();
    let expiry = items.items()[0].get(EXPIRY_S_ATTRIBUTE).unwrap().as_n().unwrap();
    let removed_at_ms = expiry.parse::<u64>().unwrap() * 1000;
    assert!(removed_at_ms >= ends.0, "the table's own removal would come early");
    // After the removal nothing is different.
    let key = Key::new("p", "a");
    block_on(store.commit(vec![Write { key, condition: Condition::Any, change: Change::Delete }])).unwrap();
    assert_eq!(block_on(store.load(&Key::new("p", "a"), ends)).unwrap(), None);
    block_on(store.commit(vec![put("a", Condition::Absent, "y", None)])).unwrap();
    assert_eq!(version(&store, "a"), Some(1));
}

#[test]
fn the_largest_commit_of_the_largest_documents_fits_and_is_read_page_by_page() {
    let (store, connection) = block_on(adapters::store());
    let long = |n: usize| format!("{n:0>512}");
    let body = "x".repeat(DOCUMENT_LIMIT_BYTES);
    let write = |n: usize| Write {
        key: Key::new("p".repeat(512), long(n)),
        condition: Condition::Absent,
        change: Change::Put {
            body: body.clone(),
            expires_at: Some(Timestamp(u64::MAX / 2)),
            index: Some(IndexEntry { name: "i".repeat(512), sort: long(n) }),
        },
    };
    block_on(store.commit((0..COMMIT_LARGEST).map(write).collect())).unwrap();
    let page = block_on(store.query(&"p".repeat(512), "", None, COMMIT_LARGEST, START)).unwrap();
    assert_eq!((page.documents.len(), page.next), (COMMIT_LARGEST, None));
    assert!(page.documents.iter().all(|document| *document.body == *body));
    let queries = connection.counts().so_far()[&("DynamoDB".to_owned(), "Query".to_owned())];
    assert!(queries >= 3, "2.5 MB came in {queries} answers");
    let keys = block_on(store.query_index(&"i".repeat(512), &long(COMMIT_LARGEST), COMMIT_LARGEST)).unwrap();
    assert_eq!(keys.len(), COMMIT_LARGEST);
}

#[test]
fn one_write_is_one_plain_request_and_several_are_one_transaction() {
    let (store, connection) = block_on(adapters::store());
    let before = connection.counts().total();
    block_on(store.commit(vec![put("a", Condition::Absent, "1", None)])).unwrap();
    block_on(store.commit(vec![put("a", Condition::Any, "2", None)])).unwrap();
    let two = vec![put("a", Condition::Version(2), "3", None), put("b", Condition::Absent, "1", None)];
    block_on(store.commit(two)).unwrap();
    block_on(store.load(&Key::new("p", "a"), START)).unwrap();
    assert_eq!(connection.counts().total() - before, 4);
    assert_eq!(connection.counts().of("DynamoDB"), connection.counts().total());
    let counted = connection.counts().so_far();
    for operation in ["PutItem", "UpdateItem", "TransactWriteItems", "GetItem"] {
        assert_eq!(counted[&("DynamoDB".to_owned(), operation.to_owned())], 1, "{operation}");
    }
}

#[test]
fn a_write_whose_answer_was_lost_is_no_conflict() {
    let lost = Arc::new(AtomicU32::new(0));
    let (store, _connection, _door) = behind(move |operation, _| {
        (operation == "PutItem" && lost.fetch_add(1, Ordering::SeqCst) == 0).then_some(Spoil::After)
    });
    let sent = block_on(store.commit(vec![put("a", Condition::Absent, "mine", None)]));
    assert!(matches!(sent, Err(PortError::Unavailable { .. })), "{sent:?}");
    assert_eq!(version(&store, "a"), Some(1), "the first attempt took effect");
    let again = block_on(store.commit(vec![put("a", Condition::Absent, "mine", None)]));
    assert!(matches!(again, Err(PortError::Conflict { .. })), "{again:?}");
}

#[test]
fn a_transaction_whose_answer_was_lost_is_done_once_and_said_so() {
    let lost = Arc::new(AtomicU32::new(0));
    let (store, _connection, _door) = behind(move |operation, _| {
        (operation == "TransactWriteItems" && lost.fetch_add(1, Ordering::SeqCst) == 0)
            .then_some(Spoil::After)
    });
    let two = vec![put("a", Condition::Absent, "1", None), put("b", Condition::Any, "1", None)];
    block_on(store.commit(two)).unwrap();
    assert_eq!((version(&store, "a"), version(&store, "b")), (Some(1), Some(1)));
}

#[test]
fn throttles_are_waited_out_and_counted() {
    let (store, connection, _door) = behind(|_, n| {
        (n < 2).then_some(Spoil::Before(400, "ProvisionedThroughputExceededException", "slow down"))
    });
    block_on(store.commit(vec![put("a", Condition::Absent, "1", None)])).unwrap();
    assert_eq!(connection.counts().of("DynamoDB"), 3);
    assert_eq!(version(&store, "a"), Some(1));
}

#[test]
fn endless_trouble_is_unavailable_and_refusals_are_denied() {
    for (status, code, message, lasting) in [
        (400, "ThrottlingException", "Rate exceeded", false),
        (500, "InternalServerError", "", false),
        (400, "RequestTimeTooSkewed", "", false),
        (400, "AccessDeniedException", "not authorized", true),
        (400, "UnrecognizedClientException", "The security token is invalid.", true),
        (400, "ValidationException", "Item size has exceeded the maximum allowed size", true),
    ] {
        let (store, _connection, _door) = behind(move |_, _| Some(Spoil::Before(status, code, message)));
        let two = vec![put("a", Condition::Any, "1", None), put("b", Condition::Any, "1", None)];
        for writes in [two[..1].to_vec(), two] {
            let failed = block_on(store.commit(writes)).unwrap_err();
            assert_eq!(matches!(failed, PortError::Denied { .. }), lasting, "{code}: {failed}");
            assert_eq!(matches!(failed, PortError::Unavailable { .. }), !lasting, "{code}: {failed}");
        }
        let failed = block_on(store.load(&Key::new("p", "a"), START)).unwrap_err();
        assert_eq!(matches!(failed, PortError::Denied { .. }), lasting, "{code}: {failed}");
    }
}

#[test]
fn a_missing_table_is_named_and_denied() {
    let store = store_at(&stage::connection(), "no-such-table");
    let loaded = block_on(store.load(&Key::new("p", "a"), START)).unwrap_err();
    let written = block_on(store.commit(vec![put("a", Condition::Any, "1", None)])).unwrap_err();
    for error in [loaded, written] {
        assert!(matches!(&error, PortError::Denied { subject, .. } if subject == "no-such-table"), "{error}");
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }
}

#[test]
fn nobody_at_home_is_unavailable() {
    let connection = Connection::new(stage::account("http://127.0.0.1:9"));
    let store = store_at(&connection, "table");
    let loaded = block_on(store.load(&Key::new("p", "a"), START)).unwrap_err();
    assert!(matches!(loaded, PortError::Unavailable { .. }), "{loaded}");
}

#[test]
fn what_a_busy_table_held_back_is_asked_for_again_and_not_for_ever() {
    let keys: Vec<Key> = (0..BATCH_GET_LIMIT + 1).map(|n| Key::new("p", format!("{n:03}"))).collect();
    let halved_times = |times: u32| {
        let left = AtomicU32::new(times);
        let spoil = move |operation: &str, _: u32| {
            let take = |left: u32| left.checked_sub(1);
            let is_next = operation == "BatchGetItem";
            (is_next && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok())
                .then_some(Spoil::Half)
        };
        let (store, connection, door) = behind(spoil);
        for key in &keys {
            block_on(store.commit(vec![put(&key.sort, Condition::Absent, "x", None)])).unwrap();
        }
        let found = block_on(store.load_many(&keys, START));
        (
            found,
            connection.counts().so_far().get(&("DynamoDB".to_owned(), "BatchGetItem".to_owned())).copied(),
            door,
        )
    };
    // A hundred are one request, and one more is another.
    let (found, requests, _door) = halved_times(0);
    assert_eq!((found.unwrap().iter().flatten().count(), requests), (keys.len(), Some(2)));
    let (found, requests, _door) = halved_times(2);
    let found: Vec<Key> = found.unwrap().into_iter().map(|document| document.unwrap().key).collect();
    assert_eq!((found, requests), (keys.clone(), Some(4)));
    let (found, _, _door) = halved_times(u32::MAX);
    assert!(matches!(found, Err(PortError::Unavailable { .. })), "{found:?}");
}
