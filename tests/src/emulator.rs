//! The AWS emulator that tests of the AWS adapters talk to: one that is running, or one of this process.
//!
//! `FLEETEST_AWS_ENDPOINT` names one that is running, as `cargo xtask ci` does. Without it the process starts its own
//! from `target/venv-aws` on a free port of loopback, and it ends with the process. Where neither is there the tests
//! fail and say what to do. Tests share an emulator and keep apart by names: see [`unique`].

#![expect(clippy::panic, reason = "a test without its emulator must not pass")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Names the emulator that is running, as in `http://127.0.0.1:4566`.
pub const ENDPOINT_VARIABLE: &str = "FLEETEST_AWS_ENDPOINT";
/// How long an emulator may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Another process may take the free port first.
const STARTS: u32 = 3;

static NAMES: AtomicU32 = AtomicU32::new(0);

/// The address of the emulator, as `http://127.0.0.1:PORT`.
pub fn endpoint() -> String {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| given().unwrap_or_else(|| own().0.clone())).clone()
}

/// A name that no other test of any process uses: small letters, digits and `-`.
pub fn unique(beginning: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = NAMES.fetch_add(1, Ordering::SeqCst);
    format!("{beginning}-{}-{count}-{:x}", std::process::id(), since.as_nanos())
}

#[expect(clippy::disallowed_methods, reason = "the variable is how tests are told")]
fn given() -> Option<String> {
    std::env::var(ENDPOINT_VARIABLE).ok().filter(|endpoint| !endpoint.is_empty())
}

/// Starts an emulator; the process keeps it for as long as it lives.
fn own() -> &'static (String, Child) {
    static OWN: OnceLock<(String, Child)> = OnceLock::new();
    OWN.get_or_init(|| {
        let python = python();
        for _ in 0..STARTS {
            let port = free_port();
            let (child, log) = start(&python, port);
            if let Some(child) = answers(child, port) {
                drop(std::fs::remove_file(&log));
                return (format!("http://127.0.0.1:{port}"), child);
            }
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            drop(std::fs::remove_file(&log));
            assert!(told.contains("in use"), "the AWS emulator did not start:\n{told}");
        }
        panic!("no free port for the AWS emulator in {STARTS} attempts")
    })
}

fn python() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    let found =
        here.ancestors().map(|folder| folder.join("venv-aws/bin/python")).find(|python| python.exists());
    found.unwrap_or_else(|| {
        panic!(
            "there is no AWS emulator: run `cargo xtask emulator` once, which installs it under `target/venv-aws`, or \
             let `{ENDPOINT_VARIABLE}` name one that is running"
        )
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map_or_else(|error| panic!("no free port on loopback: {error}"), |address| address.port())
}

fn start(python: &Path, port: u16) -> (Child, PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/emulator.py");
    let log = std::env::temp_dir().join(format!("{}.log", unique("fleetest-emulator")));
    let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
    let (stdout, stderr) = output.unwrap_or_else(|error| panic!("`{}`: {error}", log.display()));
    let mut command = Command::new(python);
    command.arg(script).arg(port.to_string()).stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
    let child = command.spawn().unwrap_or_else(|error| panic!("`{}`: {error}", python.display()));
    (child, log)
}

/// The child, once it answers; `None` if it ended instead.
fn answers(mut child: Child, port: u16) -> Option<Child> {
    let begin = Instant::now();
    while !is_healthy(port) {
        if !matches!(child.try_wait(), Ok(None)) {
            return None;
        }
        assert!(begin.elapsed() < PATIENCE, "the AWS emulator does not answer after {PATIENCE:?}");
        thread::sleep(PAUSE);
    }
    Some(child)
}

fn is_healthy(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, ANSWER_WITHIN) else { return false };
    if stream.set_read_timeout(Some(ANSWER_WITHIN)).is_err() {
        return false;
    }
    let request = "GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    asked.is_ok() && answer.starts_with("HTTP/1.1 200")
}
