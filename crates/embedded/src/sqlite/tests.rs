//! The store's contract on both kinds of database, and what only SQLite can get wrong.

use super::*;
use rusqlite::Connection;
use shared::ports::{Change, Condition};
use std::fs;
use tempfile::TempDir;
use testkit::contract::block_on;
use testkit::memory::ManualClock;

const START: Timestamp = Timestamp(1_767_225_600_000);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START))
}

fn in_file() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (SqliteStore::open(&folder.path().join("store.db"), clock()).unwrap(), folder)
}

testkit::store_contract!(sqlite_file, in_file());
testkit::store_contract!(sqlite_alone, alone());
testkit::store_contract!(sqlite_memory, (SqliteStore::in_memory(clock()).unwrap(), ()));

fn alone() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (SqliteStore::open_alone(&folder.path().join("store.db"), clock()).unwrap(), folder)
}

fn put(sort: &str, condition: Condition, body: &str) -> Write {
    let change = Change::Put { body: body.to_owned(), expires_at: None, index: None };
    Write { key: Key::new("p", sort), condition, change }
}

fn load(store: &SqliteStore, sort: &str) -> Option<Document> {
    block_on(store.load(&Key::new("p", sort), START)).unwrap()
}

#[test]
fn documents_outlive_the_store() {
    let (store, folder) = in_file();
    block_on(store.commit(vec![put("a", Condition::Absent, "kept")])).unwrap();
    drop(store);
    let again = SqliteStore::open(&folder.path().join("store.db"), clock()).unwrap();
    assert_eq!(load(&again, "a").unwrap().body.as_ref(), "kept");
}

#[test]
fn two_stores_of_one_file_see_each_others_commits() {
    let (first, folder) = in_file();
    let second = SqliteStore::open(&folder.path().join("store.db"), clock()).unwrap();
    block_on(first.commit(vec![put("a", Condition::Absent, "1")])).unwrap();
    block_on(second.commit(vec![put("a", Condition::Version(1), "2")])).unwrap();
    let stale = block_on(first.commit(vec![put("a", Condition::Version(1), "3")]));
    assert!(matches!(stale, Err(PortError::Conflict { .. })), "{stale:?}");
    assert_eq!(load(&first, "a").unwrap().body.as_ref(), "2");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (store, folder) = in_file();
    drop(store);
    let path = folder.path().join("store.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let opened = SqliteStore::open(&path, clock());
    let Err(PortError::Denied { reason, .. }) = opened else { panic!("{opened:?}") };
    assert!(reason.contains("schema 7; this one knows 3"), "{reason}");
    let kept: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
    assert_eq!(kept, 7);
}

#[test]
fn a_file_that_is_no_database_is_corrupt() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    fs::write(&path, "this is not a database, ".repeat(100)).unwrap();
    let opened = SqliteStore::open(&path, clock());
    assert!(matches!(opened, Err(PortError::Corrupt { .. })), "{opened:?}");
}

#[test]
fn a_missing_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let opened = SqliteStore::open(&folder.path().join("none/store.db"), clock());
    assert!(matches!(opened, Err(PortError::Denied { .. })), "{opened:?}");
}

#[test]
fn opening_removes_what_has_expired() {
    let (store, folder) = in_file();
    for (sort, expires_at) in [("past", START), ("future", START.plus_ms(1))] {
        let change = Change::Put { body: String::new(), expires_at: Some(expires_at), index: None };
        let write = Write { key: Key::new("p", sort), condition: Condition::Absent, change };
        block_on(store.commit(vec![write])).unwrap();
    }
    drop(store);
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path, clock()).unwrap());
    let left: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT group_concat(sort) FROM documents", [], |r| r.get(0))
        .unwrap();
    assert_eq!(left, "future");
}

#[test]
fn a_body_may_grow_and_shrink_and_leaves_nothing_behind() {
    let (store, folder) = in_file();
    let (short, long) = ("s".repeat(100), "l".repeat(50_000));
    for body in [&short, &long, &long, &short, &long] {
        block_on(store.commit(vec![put("a", Condition::Any, body)])).unwrap();
        assert_eq!(load(&store, "a").unwrap().body.as_ref(), body);
        let page = block_on(store.query("p", "", None, 10, START)).unwrap();
        assert_eq!((page.documents.len(), page.documents[0].body.as_ref()), (1, body.as_str()));
    }
    let gone = Write { key: Key::new("p", "a"), condition: Condition::Version(5), change: Change::Delete };
    block_on(store.commit(vec![gone])).unwrap();
    let change = Change::Put { body: long, expires_at: Some(START), index: None };
    let expired = Write { key: Key::new("p", "b"), condition: Condition::Absent, change };
    block_on(store.commit(vec![expired])).unwrap();
    drop(store);
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path, clock()).unwrap());
    let left: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM bodies", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_file_of_the_first_version_is_read_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("schema.sql")).unwrap();
    let long = "l".repeat(50_000);
    let insert = "INSERT INTO documents (partition, sort, version, body) VALUES ('p', ?1, 1, ?2)";
    old.execute(insert, ["a", &long]).unwrap();
    old.execute(insert, ["b", "short"]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = SqliteStore::open(&path, clock()).unwrap();
    assert_eq!(
        (load(&store, "a").unwrap().body, load(&store, "b").unwrap().body),
        (long.into(), "short".into())
    );
    block_on(store.commit(vec![put("a", Condition::Version(1), "new")])).unwrap();
    assert_eq!(load(&store, "a").unwrap().body.as_ref(), "new");
}

#[test]
fn the_log_is_brought_home_beside_the_commits() {
    let (store, folder) = in_file();
    let written = 16;
    for number in 0..written {
        block_on(store.put_blob(&format!("blob-{number}"), vec![7; 1024 * 1024], false)).unwrap();
    }
    // Neither a commit has done it (the log is too short) nor the end of the store, which waits for what was begun.
    drop(store);
    let home = fs::metadata(folder.path().join("store.db")).unwrap().len();
    assert!(home >= 8 * 1024 * 1024, "{home} bytes of {written} MiB are home");
}

#[test]
fn a_file_that_was_removed_takes_nothing_more() {
    let (store, folder) = in_file();
    block_on(store.commit(vec![put("a", Condition::Absent, "1")])).unwrap();
    let path = folder.path().join("store.db");
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        let refused = block_on(store.commit(vec![put("b", Condition::Absent, "1")]));
        let Err(PortError::Denied { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("removed"), "{reason}");
        // Another one of the same name is no help.
        fs::write(&path, b"").unwrap();
    }
}

fn submit(commits: Vec<Vec<Write>>) -> (Vec<Commit>, Vec<oneshot::Receiver<PortResult<()>>>) {
    let pair = |writes| {
        let (reply, receiver) = oneshot::channel();
        (Commit { work: Work::Documents(writes), reply }, receiver)
    };
    commits.into_iter().map(pair).unzip()
}

fn answers(receivers: Vec<oneshot::Receiver<PortResult<()>>>) -> Vec<String> {
    let text = |answer: PortResult<()>| answer.map_or_else(|error| error.to_string(), |()| "done".to_owned());
    receivers.into_iter().map(|receiver| text(block_on(receiver).unwrap())).collect()
}

#[test]
fn a_conflict_in_a_group_concerns_only_its_own_commit() {
    let mut session = Session::open_memory().unwrap();
    session.prepare(START).unwrap();
    let (group, receivers) = submit(vec![
        vec![put("a", Condition::Absent, "1")],
        vec![put("b", Condition::Absent, "x"), put("a", Condition::Absent, "2")],
        vec![put("a", Condition::Version(1), "3")],
    ]);
    session.commit_group(group, START);
    assert_eq!(answers(receivers), ["done", "store: `p/a` was changed by someone else", "done"]);
    assert_eq!(session.load(None, Key::new("p", "a"), START).unwrap().unwrap().body.as_ref(), "3");
    assert_eq!(session.load(None, Key::new("p", "b"), START).unwrap(), None);
}

#[test]
fn a_full_disk_is_named_and_hits_only_the_commit_that_needs_room() {
    let mut session = Session::open_memory().unwrap();
    session.prepare(START).unwrap();
    let pages: i64 = session.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    session.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let large = "x".repeat(50_000);
    let (group, receivers) = submit(vec![
        vec![put("small", Condition::Absent, "1")],
        vec![put("other", Condition::Absent, "1"), put("large", Condition::Absent, &large)],
        vec![put("last", Condition::Absent, "1")],
    ]);
    session.commit_group(group, START);
    assert_eq!(answers(receivers), ["done", "store: `memory` was refused: disk is full", "done"]);
    let wanted = Wanted { partition: "p".to_owned(), prefix: String::new(), after: None, limit: 10 };
    let page = session.query(None, wanted, START).unwrap();
    let sorts: Vec<_> = page.documents.iter().map(|document| document.key.sort.as_str()).collect();
    assert_eq!(sorts, ["last", "small"]);
}

#[test]
fn a_foreign_row_is_corrupt() {
    let mut session = Session::open_memory().unwrap();
    session.prepare(START).unwrap();
    let insert = "INSERT INTO documents (partition, sort, version, body) VALUES ('p', 'a', 1, x'ff')";
    session.connection.execute_batch(insert).unwrap();
    let found = session.load(None, Key::new("p", "a"), START);
    assert!(matches!(found, Err(PortError::Corrupt { .. })), "{found:?}");
}

#[test]
fn a_writer_elsewhere_makes_the_store_unavailable() {
    let (store, folder) = in_file();
    drop(store);
    let path = folder.path().join("store.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut session = Session::open_file(&path).unwrap();
    session.connection.busy_timeout(std::time::Duration::from_millis(1)).unwrap();
    let (group, receivers) = submit(vec![vec![put("a", Condition::Absent, "1")]]);
    session.commit_group(group, START);
    let [answer] = answers(receivers).try_into().unwrap();
    assert!(answer.contains("unavailable: another process is writing"), "{answer}");
}

#[test]
fn a_new_file_is_careful_once_it_is_prepared() {
    let folder = TempDir::new().unwrap();
    let mut session = Session::open_file(&folder.path().join("store.db")).unwrap();
    session.prepare(START).unwrap();
    let pragma = |name: &str| {
        session
            .connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
    };
    assert_eq!(pragma("synchronous").unwrap(), rusqlite::types::Value::Integer(1));
    assert_eq!(pragma("journal_mode").unwrap(), rusqlite::types::Value::Text("wal".to_owned()));
    assert_eq!(pragma("busy_timeout").unwrap(), rusqlite::types::Value::Integer(5_000));
}
