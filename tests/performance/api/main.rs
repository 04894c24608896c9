//! Requests per second and latencies of a served instance, beside handlers that do only the bare query or insert.
//!
//! `cargo xtask bench api` runs it. Everything is on loopback: the served instance, the peers and the load are
//! processes of their own. Served and peer are measured in turn, round by round; medians are reported.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a program for people at a terminal, which ends on the first thing that is not as it should be"
)]

mod bare;
mod link;
mod load;
mod seed;

use anyhow::{Context as _, Result, bail};
use load::{Ask, Connection, Load, request};
use std::fmt::{Display, Write as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 64;
const HELD: usize = 500;
/// Runs of the link's load, each with its share of the connections as slots.
const RUNNERS: usize = 8;

/// What is asked for.
#[derive(Debug, Clone)]
struct Wish {
    program: PathBuf,
    seconds: u64,
    hold_s: u64,
    rounds: usize,
    runs: u32,
    cases: u32,
}

/// Tells the parent where a child process listens.
fn announce(place: impl Display) {
    println!("{place}");
    // The parent reads a line; a pipe that is gone ends this process anyway.
    drop(std::io::stdout().flush());
}

/// Ends when standard input does: the parent holds its other end.
async fn parent_gone() {
    let waited = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
    drop(waited);
}

/// A process that is ended with this value.
struct Served {
    child: Child,
    said: String,
}

impl Served {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start a server")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?);
        let mut said = String::new();
        lines.read_line(&mut said)?;
        // What else it says must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(Self { child, said: said.trim().to_owned() })
    }

    /// A number of its `/proc/…/status`, in MiB.
    fn memory_mib(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        let kib: f64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `fleetest serve` with its address and its admin key.
fn instance(program: &Path, folder: &Path) -> Result<(Served, SocketAddr, String)> {
    let said = folder.join("serve.log");
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--slots", "1", "--rate-limit", "0", "--data"])
        .arg(folder.join("data"));
    command.stderr(std::fs::File::create(&said)?);
    let served = Served::start(command)?;
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let log = format!("{}\n{}", served.said, std::fs::read_to_string(&said)?);
        let key = log.split_whitespace().find(|word| word.starts_with("fl_"));
        let address = log.split(|c: char| c.is_whitespace() || c == '/').find_map(|word| word.parse().ok());
        if let (Some(key), Some(address)) = (key, address) {
            return Ok((served, address, key.to_owned()));
        }
        if Instant::now() > until {
            bail!("`serve` did not say its address and key: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn own(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// A row of the table: what, the target's share of the peer, and the loads of both.
struct Row {
    what: &'static str,
    target: f64,
    ours: Load,
    bare: Load,
}

fn median(mut loads: Vec<Load>) -> Result<Load> {
    loads.sort_by(|a, b| a.requests_per_s.total_cmp(&b.requests_per_s));
    loads.get(loads.len() / 2).cloned().context("no round")
}

async fn compared(
    what: &'static str,
    target: f64,
    wish: &Wish,
    ours: (SocketAddr, Ask),
    bare: (SocketAddr, Ask),
) -> Result<Row> {
    let time = Duration::from_secs(wish.seconds);
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=wish.rounds {
        eprintln!("{what}: round {round} of {}", wish.rounds);
        mine.push(load::run(ours.0, CONNECTIONS, time, Arc::clone(&ours.1)).await?);
        theirs.push(load::run(bare.0, CONNECTIONS, time, Arc::clone(&bare.1)).await?);
    }
    Ok(Row { what, target, ours: median(mine)?, bare: median(theirs)? })
}

fn asking(
    method: &'static str,
    token: &str,
    body: &str,
    path: impl Fn(u64) -> String + Send + Sync + 'static,
) -> Ask {
    let (token, body) = (token.to_owned(), body.to_owned());
    Arc::new(move |number| request(method, &path(number), &token, &body))
}

async fn measure(wish: &Wish, folder: &Path) -> Result<String> {
    let (served, address, key) = instance(&wish.program, folder)?;
    eprintln!("seeding {} runs of {} cases", wish.runs, wish.cases);
    seed::fill(address, &key, wish.runs, wish.cases).await?;
    let mut connection = Connection::open(address).await?;
    let list_path = format!("/v1/projects/{}/runs", seed::PROJECT);
    let list = seed::ask(&mut connection, &request("GET", &list_path, &key, "")).await?;
    let list: serde_json::Value = serde_json::from_str(&list)?;
    let ids: Vec<String> = list["items"]
        .as_array()
        .context("no runs")?
        .iter()
        .map(|run| run["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let first = ids.first().context("no runs")?.clone();
    let cases_of =
        seed::ask(&mut connection, &request("GET", &format!("/v1/runs/{first}/cases"), &key, "")).await?;
    let cases_of: serde_json::Value = serde_json::from_str(&cases_of)?;
    let database = folder.join("bare.db");
    bare::fill(
        &database,
        &list["items"][0].to_string(),
        &cases_of["items"][0].to_string(),
        wish.runs,
        wish.cases,
    )?;
    let peer = Served::start(own(&["bare", &database.display().to_string()])?)?;
    let peer_address: SocketAddr = peer.said.parse()?;

    let mut rows = reads(wish, (address, &key), peer_address, ids).await?;
    let body = r#"{"branch":"load"}"#;
    let held = hold(wish, address, &key).await?;
    rows.push(
        compared(
            "create run",
            0.4,
            wish,
            (address, asking("POST", &key, body, move |_| list_path.clone())),
            (peer_address, asking("POST", "", body, |_| "/runs".to_owned())),
        )
        .await?,
    );
    rows.push(chunks(wish, folder, peer_address).await?);
    let memory = served.memory_mib("VmHWM:")?;
    Ok(page(wish, &rows, held, memory))
}

async fn reads(
    wish: &Wish,
    (address, key): (SocketAddr, &str),
    peer_address: SocketAddr,
    ids: Vec<String>,
) -> Result<Vec<Row>> {
    let pick = move |number: u64| ids[usize::try_from(number).unwrap_or(0) % ids.len()].clone();
    let (one, many) = (pick.clone(), pick);
    let runs = u64::from(wish.runs);
    let list_path = format!("/v1/projects/{}/runs", seed::PROJECT);
    Ok(vec![
        compared(
            "run list",
            0.5,
            wish,
            (address, asking("GET", key, "", move |_| list_path.clone())),
            (peer_address, asking("GET", "", "", |_| "/runs".to_owned())),
        )
        .await?,
        compared(
            "run",
            0.5,
            wish,
            (address, asking("GET", key, "", move |n| format!("/v1/runs/{}", one(n)))),
            (peer_address, asking("GET", "", "", move |n| format!("/runs/{}", n % runs))),
        )
        .await?,
        compared(
            "cases page",
            0.5,
            wish,
            (address, asking("GET", key, "", move |n| format!("/v1/runs/{}/cases", many(n)))),
            (peer_address, asking("GET", "", "", move |n| format!("/runs/{}/cases", n % runs))),
        )
        .await?,
    ])
}

async fn hold(wish: &Wish, address: SocketAddr, key: &str) -> Result<u64> {
    eprintln!("{HELD} connections for {} s", wish.hold_s);
    let path = format!("/v1/projects/{}", seed::PROJECT);
    load::hold(address, HELD, Duration::from_secs(wish.hold_s), asking("GET", key, "", move |_| path.clone()))
        .await
}

/// The runner link alone.
async fn measure_link(wish: &Wish, folder: &Path) -> Result<String> {
    let database = folder.join("bare.db");
    bare::fill(&database, "{}", "{}", 1, 1)?;
    let peer = Served::start(own(&["bare", &database.display().to_string()])?)?;
    let row = chunks(wish, folder, peer.said.parse()?).await?;
    Ok(page(wish, &[row], 0, 0.0))
}

async fn chunks(wish: &Wish, folder: &Path, peer: SocketAddr) -> Result<Row> {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    let sample = link::sample();
    for round in 1..=wish.rounds {
        eprintln!("result chunk: round {round} of {}", wish.rounds);
        let place = folder.join(format!("link{round}"));
        std::fs::create_dir_all(&place)?;
        let server = Served::start(own(&["link", &place.display().to_string(), &RUNNERS.to_string()])?)?;
        let mut words = server.said.split(' ');
        let address: SocketAddr = words.next().unwrap_or_default().parse()?;
        let mut runners = Vec::new();
        for token in words {
            runners.push(Arc::new(link::Runner::enter(address, token, CONNECTIONS / RUNNERS).await?));
        }
        let began = Instant::now();
        let until = began + Duration::from_secs(wish.seconds);
        let mut tasks = Vec::new();
        for runner in &runners {
            for slot in 1..=CONNECTIONS / RUNNERS {
                let runner = Arc::clone(runner);
                tasks.push(tokio::spawn(async move { runner.report(slot, until).await }));
            }
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        mine.push(load::summed(all, began.elapsed()));
        theirs.push(
            load::run(
                peer,
                CONNECTIONS,
                Duration::from_secs(wish.seconds),
                asking("POST", "", &sample, |_| "/chunks".to_owned()),
            )
            .await?,
        );
    }
    Ok(Row { what: "result chunk (50 cases)", target: 0.4, ours: median(mine)?, bare: median(theirs)? })
}

fn page(wish: &Wish, rows: &[Row], held: u64, memory_mib: f64) -> String {
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    let mut text = format!(
        "# The API\n\nA served instance with {} runs of {} cases; {CONNECTIONS} connections from another process on loopback; medians of {} rounds of {} s, the peer in turn. \
         The peer is an axum handler that does only the SQLite query or insert. Machine: {} core(s). Made by `cargo xtask bench api`.\n\n\
         | request | per s | p50 ms | p95 ms | p99 ms | peer per s | ratio | target | met |\n|---|---|---|---|---|---|---|---|---|\n",
        wish.runs,
        wish.cases,
        wish.rounds,
        wish.seconds,
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    );
    for row in rows {
        let ratio = row.ours.requests_per_s / row.bare.requests_per_s;
        let met = ratio >= row.target && row.ours.p95 < Duration::from_millis(50);
        let cells = [
            row.what.to_owned(),
            format!("{:.0}", row.ours.requests_per_s),
            ms(row.ours.p50),
            ms(row.ours.p95),
            ms(row.ours.p99),
            format!("{:.0}", row.bare.requests_per_s),
            format!("{ratio:.2}"),
            format!("≥ {} and p95 < 50 ms", row.target),
            if met { "yes" } else { "no" }.to_owned(),
        ];
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let _ = writeln!(
        text,
        "\n{HELD} connections held for {} s: {held} answers, no error. Peak resident memory of `fleetest serve`: {memory_mib:.1} MiB (target < 150).",
        wish.hold_s
    );
    text
}

fn wish(args: &[String]) -> Result<Wish> {
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, or: u32| value(name).map_or(Ok(or), |text| text.parse());
    Ok(Wish {
        program: value("--program").context("--program PATH is missing; run `cargo xtask bench api`")?.into(),
        seconds: number("--seconds", 5)?.into(),
        hold_s: number("--hold", 60)?.into(),
        rounds: usize::try_from(number("--rounds", 3)?)?,
        runs: number("--runs", 1000)?,
        cases: number("--cases", 1000)?,
    })
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match args.first().map(String::as_str) {
        Some("bare") => runtime.block_on(bare::serve(args.get(1).context("no file")?.into())),
        Some("link") => {
            let runs = args.get(2).context("no number")?.parse()?;
            runtime.block_on(link::serve(args.get(1).context("no folder")?.into(), runs))
        }
        _ => {
            let wish = wish(&args)?;
            let folder = tempfile::tempdir()?;
            let link_only = args.iter().any(|arg| arg == "--link-only");
            let text = runtime.block_on(async {
                if link_only {
                    measure_link(&wish, folder.path()).await
                } else {
                    measure(&wish, folder.path()).await
                }
            })?;
            println!("{text}");
            Ok(())
        }
    }
}
