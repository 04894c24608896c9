//! The peer: an axum handler that does one SQLite query or insert, and nothing else.
//!
//! It holds the same documents in the form in which they are shown, reads and writes them as our store does (write-ahead
//! log, `synchronous=NORMAL`, one transaction per request, committed before it is answered), and answers with the same
//! bytes. It knows no caller, checks nothing and keeps nothing else.

use anyhow::{Context as _, Result};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Router, body::Bytes};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

const PAGE: i64 = 50;

/// What it is filled with, as the served instance has it.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// A finished run.
    pub(crate) run: String,
    /// A case of it.
    pub(crate) case: String,
    /// A run that was just created.
    pub(crate) created: String,
    /// What such a run is asked to do.
    pub(crate) spec: String,
}

/// Fills a database with as many runs and cases as the served instance has, of the same size.
pub(crate) fn fill(file: &FilePath, documents: &Documents, runs: u32, cases: u32) -> Result<()> {
    let mut connection = open(file)?;
    connection.execute_batch(
        "CREATE TABLE runs (sort TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
         CREATE TABLE cases (run INTEGER, no INTEGER, body TEXT NOT NULL, PRIMARY KEY (run, no)) WITHOUT ROWID;
         CREATE TABLE specs (sort TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
         CREATE TABLE chunks (no INTEGER PRIMARY KEY, body BLOB NOT NULL);
         CREATE TABLE samples (created TEXT NOT NULL, spec TEXT NOT NULL);",
    )?;
    let change = connection.transaction()?;
    change.execute("INSERT INTO samples VALUES (?1, ?2)", params![documents.created, documents.spec])?;
    {
        let mut row = change.prepare("INSERT INTO runs VALUES (?1, ?2)")?;
        let mut one = change.prepare("INSERT INTO cases VALUES (?1, ?2, ?3)")?;
        for number in 0..runs {
            row.execute(params![format!("{number:08}"), documents.run])?;
            for place in 0..cases {
                one.execute(params![number, place, documents.case])?;
            }
        }
    }
    change.commit()?;
    Ok(())
}

/// A short text that an instance keeps under a key.
pub(crate) fn kept(file: &FilePath, key: &str) -> Result<String> {
    let bytes: Vec<u8> = Connection::open(file)?
        .query_row("SELECT bytes FROM blobs WHERE key = ?1", [key], |row| row.get(0))
        .with_context(|| format!("the instance has no `{key}`"))?;
    Ok(String::from_utf8(bytes)?)
}

fn open(file: &FilePath) -> Result<Connection> {
    let connection =
        Connection::open(file).with_context(|| format!("could not open `{}`", file.display()))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

struct Bare {
    readers: Vec<Mutex<Connection>>,
    writer: Mutex<Connection>,
    created: String,
    spec: String,
    next: AtomicU32,
}

type Shared = State<Arc<Bare>>;

impl Bare {
    fn read<T>(&self, ask: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, StatusCode> {
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        let first =
            || self.readers.first().map(|reader| reader.lock().unwrap_or_else(PoisonError::into_inner));
        let connection = free.or_else(first).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        ask(&connection).or(Err(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

fn json(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}

async fn runs(State(bare): Shared) -> Result<impl IntoResponse, StatusCode> {
    bare.read(|connection| {
        let mut found = connection.prepare_cached("SELECT body FROM runs ORDER BY sort LIMIT ?1")?;
        let bodies: Vec<String> = found.query_map([PAGE], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(format!("{{\"items\":[{}]}}", bodies.join(",")))
    })
    .map(json)
}

async fn run(State(bare): Shared, Path(number): Path<u32>) -> Result<impl IntoResponse, StatusCode> {
    bare.read(|connection| {
        let mut found = connection.prepare_cached("SELECT body FROM runs WHERE sort = ?1")?;
        found.query_row([format!("{number:08}")], |row| row.get::<_, String>(0))
    })
    .map(json)
}

async fn cases(State(bare): Shared, Path(number): Path<u32>) -> Result<impl IntoResponse, StatusCode> {
    bare.read(|connection| {
        let mut found =
            connection.prepare_cached("SELECT body FROM cases WHERE run = ?1 ORDER BY no LIMIT ?2")?;
        let bodies: Vec<String> =
            found.query_map([i64::from(number), PAGE], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(format!("{{\"items\":[{}]}}", bodies.join(",")))
    })
    .map(json)
}

fn broken(_: rusqlite::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// A run: what it is asked to do, and its row in the list.
async fn create(State(bare): Shared, _: Bytes) -> Result<impl IntoResponse, StatusCode> {
    let sort = format!("{:08}", bare.next.fetch_add(1, Ordering::Relaxed));
    {
        let mut connection = bare.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let change = connection.transaction().map_err(broken)?;
        for (sql, body) in [
            ("INSERT INTO specs VALUES (?1, ?2)", &bare.spec),
            ("INSERT INTO runs VALUES (?1, ?2)", &bare.created),
        ] {
            let mut statement = change.prepare_cached(sql).map_err(broken)?;
            statement.execute(params![sort, body]).map_err(broken)?;
        }
        change.commit().map_err(broken)?;
    }
    Ok((StatusCode::ACCEPTED, json(bare.created.clone())))
}

async fn chunk(State(bare): Shared, body: Bytes) -> Result<impl IntoResponse, StatusCode> {
    let number = {
        let connection = bare.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement =
            connection.prepare_cached("INSERT INTO chunks (body) VALUES (?1)").map_err(broken)?;
        statement.insert([body.as_ref()]).map_err(broken)?
    };
    Ok(json(format!("{{\"next_part\":{number}}}")))
}

/// Serves until its parent is gone: standard input ends with it.
pub(crate) async fn serve(file: PathBuf) -> Result<()> {
    let readers = (0..4).map(|_| open(&file).map(Mutex::new)).collect::<Result<_>>()?;
    let writer = open(&file)?;
    let (created, spec) =
        writer.query_row("SELECT created, spec FROM samples", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Behind everything that was filled in.
    let next = AtomicU32::new(10_000_000);
    let bare = Arc::new(Bare { readers, writer: Mutex::new(writer), created, spec, next });
    let router = Router::new()
        .route("/runs", get(runs).post(create))
        .route("/runs/{number}", get(run))
        .route("/runs/{number}/cases", get(cases))
        .route("/chunks", post(chunk))
        .with_state(bare);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    super::announce(listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(super::parent_gone()).await?;
    Ok(())
}
