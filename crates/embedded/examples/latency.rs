//! Prints how long the embedded adapters take: `cargo run -p embedded --example latency`.
//!
//! Medians and 99th percentiles of single calls, one after the other, on a file in a temporary folder.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a product")]

use embedded::files::FileBlobs;
use embedded::process::{LaunchConfig, ProcessLauncher};
use embedded::sqlite::SqliteStore;
use embedded::system::SystemClock;
use shared::domain::id::{JobNo, RunId, ShardAttempt};
use shared::domain::time::Timestamp;
use shared::ports::{Blobs, Change, Condition, Key, LaunchOrder, Launcher, Store, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use testkit::contract::block_on;

const CALLS: u32 = 5_000;

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |per_mille: usize| times.get((times.len() - 1) * per_mille / 1_000).copied().unwrap_or_default();
    println!("{name:32} median {:>9.1?}   99 % {:>9.1?}", at(500), at(990));
}

fn timed(calls: u32, mut call: impl FnMut(u32)) -> Vec<Duration> {
    let time = |n| {
        let started = Instant::now();
        call(n);
        started.elapsed()
    };
    (0..calls).map(time).collect()
}

fn put(sort: String, body: &str) -> Write {
    let change = Change::Put { body: body.to_owned(), expires_at: None, index: None };
    Write { key: Key::new("run#1", sort), condition: Condition::Any, change }
}

fn store(name: &str, store: &dyn Store) {
    let body = "x".repeat(400);
    let two = |n: u32| vec![put(format!("unit#{:04}", n % 500), &body), put("job#1".to_owned(), &body)];
    show(&format!("{name}: commit of 2 writes"), timed(CALLS, |n| block_on(store.commit(two(n))).unwrap()));
    let key = |n: u32| Key::new("run#1", format!("unit#{:04}", n % 500));
    let load = |n| drop(block_on(store.load(&key(n), Timestamp(1))).unwrap().unwrap());
    show(&format!("{name}: load"), timed(CALLS, load));
    let query = |_| drop(block_on(store.query("run#1", "unit#", None, 100, Timestamp(1))).unwrap());
    show(&format!("{name}: query of 100"), timed(CALLS / 10, query));
}

/// Commits from many threads at once share transactions.
fn crowd(store: &dyn Store) {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                for n in 0..CALLS / 16 {
                    block_on(store.commit(vec![put(format!("crowd#{thread}#{n}"), "{}")])).unwrap();
                }
            });
        }
    });
    println!("{:32} {:>9.1?} each", "file: commits of 16 threads", started.elapsed() / CALLS);
}

fn launches(folder: &std::path::Path) {
    let (sender, ends) = mpsc::channel();
    let sender = Mutex::new(sender);
    let mut config = LaunchConfig::new("/bin/true", folder, "http://127.0.0.1:1");
    config.on_exit = Arc::new(move |_, _| sender.lock().unwrap().send(Instant::now()).unwrap());
    let launcher = ProcessLauncher::new(config);
    let (mut calls, mut lives) = (Vec::new(), Vec::new());
    for attempt in 0..200 {
        let shard = ShardAttempt { run: RunId(1), job: JobNo(1), shard: 1, attempt };
        let order =
            LaunchOrder { shard, bootstrap_token: "token".to_owned(), slots: None, round: 0, again: false };
        let started = Instant::now();
        block_on(launcher.launch(&order)).unwrap();
        calls.push(started.elapsed());
        lives.push(ends.recv().unwrap() - started);
    }
    show("launch", calls);
    show("launch of `true` to its end", lives);
}

fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let clock = Arc::new(SystemClock::default());
    let opened = Instant::now();
    let file = SqliteStore::open(&folder.path().join("store.db"), Arc::clone(&clock) as _).unwrap();
    println!("{:32} {:>9.1?}", "file: create", opened.elapsed());
    store("file", &file);
    crowd(&file);
    let closed = Instant::now();
    drop(file);
    println!("{:32} {:>9.1?}", "file: close", closed.elapsed());
    let opened = Instant::now();
    let file = SqliteStore::open(&folder.path().join("store.db"), Arc::clone(&clock) as _).unwrap();
    println!("{:32} {:>9.1?}", "file: open again", opened.elapsed());
    drop(file);
    store("memory", &SqliteStore::in_memory(clock).unwrap());
    let blobs = FileBlobs::open(folder.path().join("blobs")).unwrap();
    let bytes = vec![0; 4_096];
    show("put of 4 KiB", timed(1_000, |n| block_on(blobs.put(&format!("a/{n}"), bytes.clone())).unwrap()));
    show("fetch of 4 KiB", timed(1_000, |n| drop(block_on(blobs.fetch(&format!("a/{n}"), None)).unwrap())));
    launches(folder.path());
}
