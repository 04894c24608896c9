//! Requests per second and latencies of a served instance, beside handlers that do only the bare query or insert.
//!
//! `cargo xtask bench api` runs it. Everything is on loopback: the served instance, the peers and the load are
//! processes of their own. Served and peer are measured in turn, round by round; medians are reported.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal, which ends on the first thing that is not as it should be"
)]

mod bare;
mod link;
mod load;
mod seed;
mod table;

use anyhow::{Context as _, Result, bail};
use load::{Ask, Connection, Load, request};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Around, Row, page};

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

/// Ticks of the kernel's clock in a second, on every Linux.
const TICKS: f64 = 100.0;

impl Served {
    /// Time it had a core so far.
    fn busy(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(')').context("no such process")?;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks / TICKS))
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
    command.env("PATH", no_git(folder)?);
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

/// A `PATH` with a git that never answers: what follows a created run waits for it, so that the request alone is measured.
fn no_git(folder: &Path) -> Result<OsString> {
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs)?;
    let git = programs.join("git");
    std::fs::write(&git, "#!/bin/sh\nexec sleep 3600\n")?;
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755))?;
    let mut path = programs.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    Ok(path)
}

fn own(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// Who is asked, where, and what.
type Target<'a> = (&'a Served, SocketAddr, Ask);

async fn loaded((served, address, ask): &Target<'_>, time: Duration) -> Result<Load> {
    let before = served.busy()?;
    let load = load::run(*address, CONNECTIONS, time, Arc::clone(ask)).await?;
    Ok(load.by(served.busy()?.saturating_sub(before), time))
}

async fn compared(
    what: &'static str,
    target: f64,
    wish: &Wish,
    ours: Target<'_>,
    bare: Target<'_>,
) -> Result<Row> {
    let time = Duration::from_secs(wish.seconds);
    let mut rounds = Vec::new();
    for round in 1..=wish.rounds {
        eprintln!("{what}: round {round} of {}", wish.rounds);
        rounds.push((loaded(&ours, time).await?, loaded(&bare, time).await?));
    }
    Ok(Row { what, target, rounds })
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
    let ids = seed::fill(address, &key, wish.runs, wish.cases).await?;
    let list_path = format!("/v1/projects/{}/runs", seed::PROJECT);
    let body = r#"{"branch":"load"}"#;
    let documents = documents(address, &key, (folder, &list_path, body)).await?;
    let database = folder.join("bare.db");
    bare::fill(&database, &documents, wish.runs, wish.cases)?;
    let peer = Served::start(own(&["bare", &database.display().to_string()])?)?;
    let peer_address: SocketAddr = peer.said.parse()?;

    let mut rows = reads(wish, (&served, address, &key), (&peer, peer_address), ids).await?;
    let held = hold(wish, address, &key).await?;
    rows.push(
        compared(
            "create run",
            0.4,
            wish,
            (&served, address, asking("POST", &key, body, move |_| list_path.clone())),
            (&peer, peer_address, asking("POST", "", body, |_| "/runs".to_owned())),
        )
        .await?,
    );
    let memory = served.memory_mib("VmHWM:")?;
    drop(served);
    let (row, link_memory) = chunks(wish, folder, (&peer, peer_address)).await?;
    rows.push(row);
    page(wish, &rows, &Around { held, memory, link_memory })
}

/// What the instance shows and keeps of its runs and cases, for the peer.
async fn documents(
    address: SocketAddr,
    key: &str,
    (folder, list_path, body): (&Path, &str, &str),
) -> Result<bare::Documents> {
    let mut connection = Connection::open(address).await?;
    let text = seed::ask(&mut connection, &request("GET", list_path, key, "")).await?;
    let list: serde_json::Value = serde_json::from_str(&text)?;
    let run = &list["items"][0];
    let cases_path = format!("/v1/runs/{}/cases", run["id"].as_str().context("no runs")?);
    let text = seed::ask(&mut connection, &request("GET", &cases_path, key, "")).await?;
    let cases: serde_json::Value = serde_json::from_str(&text)?;
    // Most are passed; failures come first.
    let case = cases["items"].as_array().and_then(|items| items.last()).context("no cases")?;
    let created = seed::ask(&mut connection, &request("POST", list_path, key, body)).await?;
    let made: serde_json::Value = serde_json::from_str(&created)?;
    let place = format!("runs/{}/spec.json", made["id"].as_str().context("no run")?);
    let spec = bare::kept(&folder.join("data/state.db"), &place)?;
    Ok(bare::Documents { run: run.to_string(), case: case.to_string(), created, spec })
}

async fn reads(
    wish: &Wish,
    (served, address, key): (&Served, SocketAddr, &str),
    (peer, peer_address): (&Served, SocketAddr),
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
            (served, address, asking("GET", key, "", move |_| list_path.clone())),
            (peer, peer_address, asking("GET", "", "", |_| "/runs".to_owned())),
        )
        .await?,
        compared(
            "run",
            0.5,
            wish,
            (served, address, asking("GET", key, "", move |n| format!("/v1/runs/{}", one(n)))),
            (peer, peer_address, asking("GET", "", "", move |n| format!("/runs/{}", n % runs))),
        )
        .await?,
        compared(
            "cases page",
            0.5,
            wish,
            (served, address, asking("GET", key, "", move |n| format!("/v1/runs/{}/cases", many(n)))),
            (peer, peer_address, asking("GET", "", "", move |n| format!("/runs/{}/cases", n % runs))),
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
    bare::fill(&database, &bare::Documents::default(), 1, 1)?;
    let peer = Served::start(own(&["bare", &database.display().to_string()])?)?;
    let (row, link_memory) = chunks(wish, folder, (&peer, peer.said.parse()?)).await?;
    page(wish, &[row], &Around { link_memory, ..Around::default() })
}

async fn chunks(
    wish: &Wish,
    folder: &Path,
    (peer, peer_address): (&Served, SocketAddr),
) -> Result<(Row, f64)> {
    let (mut rounds, mut memory) = (Vec::new(), 0.0_f64);
    let time = Duration::from_secs(wish.seconds);
    for round in 1..=wish.rounds {
        eprintln!("result chunk: round {round} of {}", wish.rounds);
        let place = folder.join(format!("link{round}"));
        std::fs::create_dir_all(&place)?;
        let server = Served::start(own(&["link", &place.display().to_string(), &RUNNERS.to_string()])?)?;
        let mine = reported(&server, time).await?;
        memory = memory.max(server.memory_mib("VmHWM:")?);
        drop(server);
        let ask: Ask = Arc::new(|number| request("POST", "/chunks", "", &link::sample(number)));
        rounds.push((mine, loaded(&(peer, peer_address, ask), time).await?));
    }
    Ok((Row { what: "result chunk (50 cases)", target: 0.4, rounds }, memory))
}

/// The load of runners that report to a link, which has said its address and their tokens.
async fn reported(server: &Served, time: Duration) -> Result<Load> {
    let mut words = server.said.split(' ');
    let address: SocketAddr = words.next().unwrap_or_default().parse()?;
    let mut runners = Vec::new();
    for token in words {
        runners.push(Arc::new(link::Runner::enter(address, token, CONNECTIONS / RUNNERS).await?));
    }
    let (began, before) = (Instant::now(), server.busy()?);
    let until = began + time;
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
    let took = began.elapsed();
    Ok(load::summed(all, took).by(server.busy()?.saturating_sub(before), took))
}

fn wish(args: &[String]) -> Result<Wish> {
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, or: u32| value(name).map_or(Ok(or), |text| text.parse());
    Ok(Wish {
        program: value("--program").context("--program PATH is missing; run `cargo xtask bench api`")?.into(),
        seconds: number("--seconds", 4)?.into(),
        hold_s: number("--hold", 60)?.into(),
        rounds: usize::try_from(number("--rounds", 5)?)?,
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
