//! `cargo xtask bench cold`: how long each function takes from its process's start to its first request for an event,
//! and how large it is; beside the least that a function can be.
//!
//! The platform is a small server on loopback that speaks as much of the runtime API as a start needs, and gives the
//! secret that some functions fetch. Nothing of AWS is in these figures: no download of the code, no sandbox, no network.

use super::{bill, section};
use crate::table::Table;
use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const FUNCTIONS: [&str; 9] =
    ["api", "coordinator", "plan", "launch", "aggregate", "task-events", "sweep", "schedule", "notify"];
const HELLO: &str = "hello";
const TARGET_MS: f64 = 50.0;
const TARGET_MB: f64 = 12.0;
const PATIENCE: Duration = Duration::from_secs(20);
const BYTES_PER_MB: f64 = 1_000_000.0;

/// What a stack gives its functions.
const ENVIRONMENT: [(&str, &str); 16] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("FLEETEST_TABLE", "fleetest"),
    ("FLEETEST_BUCKET", "fleetest"),
    ("FLEETEST_PLAN_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/plan"),
    ("FLEETEST_LAUNCH_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/launch"),
    ("FLEETEST_AGGREGATE_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/aggregate"),
    ("FLEETEST_EVENTS_DEAD_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/events-dead"),
    ("FLEETEST_CLUSTER", "runners"),
    ("FLEETEST_TASK_DEFINITION", "runner"),
    ("FLEETEST_SUBNETS", "subnet-1"),
    ("FLEETEST_EVENT_BUS", "fleetest"),
];

/// `cargo xtask bench cold`.
pub(crate) fn command(rounds: usize) -> Result<()> {
    if rounds == 0 {
        bail!("a median needs at least one round; use `--rounds 20` or more");
    }
    let built = built()?;
    let program = |name: &str| built.join(name).join("bootstrap");
    let platform = Platform::start()?;
    let mut programs = vec![(HELLO, program(HELLO))];
    programs.extend(FUNCTIONS.map(|name| (name, program(name))));
    let mut starts = vec![Vec::new(); programs.len()];
    // In turn, so that a busy moment of the machine hits all of them.
    for round in 0..=rounds {
        for ((name, program), starts) in programs.iter().zip(&mut starts) {
            let took = platform.start_of(program).with_context(|| format!("`{name}` did not start"))?;
            // The first one reads the program from the disk.
            if round > 0 {
                starts.push(took.as_secs_f64() * 1000.0);
            }
        }
    }
    let mut table = Table::new(&["function", "start, median", "slowest", "size", "target met"]);
    for ((name, program), starts) in programs.iter().zip(&mut starts) {
        let size_mb = std::fs::metadata(program).map_or(0.0, |file| megabytes(file.len()));
        starts.sort_by(f64::total_cmp);
        let median = starts.get(starts.len() / 2).copied().unwrap_or(f64::MAX);
        let slowest = starts.last().copied().unwrap_or(f64::MAX);
        let met = if median < TARGET_MS && size_mb < TARGET_MB { "yes" } else { "no" };
        let met = if *name == HELLO { "the yardstick" } else { met };
        table.row(vec![
            (*name).to_owned(),
            format!("{median:.1} ms"),
            format!("{slowest:.1} ms"),
            format!("{size_mb:.1} MB"),
            met.to_owned(),
        ]);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let text = format!(
        "# Starts of the functions\n\nFrom the start of the process to its first request for an event, {rounds} rounds in turn on a machine with \
         {cores} core(s), under a runtime API on loopback (targets: < {TARGET_MS} ms, < {TARGET_MB} MB). Four of them fetch the key of the tokens \
         meanwhile. Built as SAM builds them, {}, stripped.\nMade by `cargo xtask bench cold`.\n\n{}\n{}",
        std::env::consts::ARCH,
        table.markdown(),
        bill::text()?
    );
    say::out(&text);
    section::store(&place::root().join("docs").join("performance.md"), "cold", &text)
}

/// Builds the functions as SAM does; the folder of their programs.
fn built() -> Result<PathBuf> {
    let tools = toolbox::sam_programs()?;
    let path = toolbox::path_with(&tools)?;
    let build = |what: &[&str]| {
        let mut build = Command::new(tools.join("cargo-lambda"));
        build.args(["lambda", "build", "--release", "--skip-target-check"]).args(what);
        build.env("PATH", &path).current_dir(place::root().join("functions"));
        launch::check(&mut build)
    };
    // One by one: of several at once, cargo-lambda does not know whose settings count.
    for name in FUNCTIONS {
        build(&["--bin", name])?;
    }
    // The example by itself: it brings what only tests need, and functions that are built beside it are others than those of SAM.
    build(&["--examples", "--disable-optimizations"])?;
    Ok(place::target().join("lambda"))
}

#[expect(clippy::cast_precision_loss, reason = "a size is shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / BYTES_PER_MB
}

/// As much of Lambda as a start needs.
struct Platform {
    address: SocketAddr,
    asked: Receiver<Instant>,
}

impl Platform {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let address = listener.local_addr().context("no free port on loopback")?;
        let (sender, asked) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // A function that is gone took its connection with it.
                thread::spawn(move || drop(serve(&stream, &sender)));
            }
        });
        Ok(Self { address, asked })
    }

    /// Time from the start of a process to its first request for an event.
    fn start_of(&self, program: &Path) -> Result<Duration> {
        while self.asked.try_recv().is_ok() {}
        let url = format!("http://{}", self.address);
        let mut command = Command::new(program);
        command.env_clear().envs(ENVIRONMENT).env("AWS_LAMBDA_FUNCTION_NAME", "cold");
        command.env("AWS_LAMBDA_RUNTIME_API", self.address.to_string()).env("AWS_ENDPOINT_URL", &url);
        command.env("FLEETEST_TOKEN_KEY_SECRET", "key").env("FLEETEST_LINK_URL", &url);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let begin = Instant::now();
        let mut child =
            command.spawn().with_context(|| format!("could not start `{}`", launch::line(&command)))?;
        let asked = self.asked.recv_timeout(PATIENCE);
        drop(child.kill());
        drop(child.wait());
        Ok(asked.context("it asked for no event")?.duration_since(begin))
    }
}

/// Answers requests of one connection: secrets at once, events never.
fn serve(stream: &TcpStream, asked: &Sender<Instant>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        if first.contains("/invocation/next") {
            asked.send(now)?;
            continue;
        }
        let body = format!(r#"{{"Name":"key","SecretString":"{}"}}"#, "k".repeat(64));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\n";
        let mut stream = stream;
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
}
