//! A scripted coordinator: the wire types over HTTP on a loopback port, with faults on demand.
//!
//! It checks what every coordinator may rely on (part numbers, epochs, bearer token) and keeps what it
//! accepted. It is strict on purpose: a runner that breaks the protocol is told so and fails its test.

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::domain::id::{LeaseId, RunId};
use shared::domain::spec::{Framework, JobSpec, Source, SuiteSpec};
use shared::domain::unit::{Entry, LeasedEntry, UnitEvent};
use shared::wire::link::{
    Ack, Command, FinishRequest, HeartbeatReply, HeartbeatRequest, LeaseReply, LeaseRequest, LogReply,
    LogRequest, ManifestReply, ManifestRequest, Problem, ReleaseRequest, ResultsReply, ResultsRequest,
    RunnerEnd, SessionReply, SessionRequest,
};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection breaks before the call has an effect.
    CutBefore,
    /// The call has its effect, and the connection breaks before the answer.
    CutAfter,
    /// This status, without an effect.
    Status(u16, &'static str),
}

pub(crate) type Faults = Box<dyn FnMut(&str) -> Fault + Send>;

#[derive(Default)]
pub(crate) struct OpenLease {
    epoch: u64,
    next_part: u32,
    entries: Vec<LeasedEntry>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) job: Option<JobSpec>,
    pub(crate) source: Option<Source>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) heartbeat_ms: u64,
    pub(crate) command: Option<Command>,
    pub(crate) queue: VecDeque<Vec<LeasedEntry>>,
    pub(crate) calls: Vec<String>,
    pub(crate) phases: Vec<String>,
    pub(crate) manifest: Option<ManifestRequest>,
    /// Shard of the runner; 1 if nothing is said.
    pub(crate) shard: Option<u32>,
    /// Digest of the manifest that another runner has put.
    pub(crate) put_by_another: Option<String>,
    /// Manifests that were named with a request for work.
    pub(crate) named: Vec<Option<String>>,
    pub(crate) events: Vec<UnitEvent>,
    pub(crate) duplicates: u32,
    pub(crate) released: Vec<ReleaseRequest>,
    pub(crate) logs: BTreeMap<String, (String, Option<String>)>,
    pub(crate) end: Option<RunnerEnd>,
    pub(crate) open: BTreeMap<LeaseId, OpenLease>,
    pub(crate) grants: BTreeMap<String, LeaseReply>,
    pub(crate) session: Option<String>,
    pub(crate) epoch: u64,
}

impl State {
    pub(crate) fn open_leases(&self) -> usize {
        self.open.len()
    }

    /// Entries with a `Finished` event, in the order of their reports.
    pub(crate) fn finished(&self) -> Vec<u32> {
        let finished = |event: &UnitEvent| matches!(event, UnitEvent::Finished { .. }).then(|| event.entry());
        self.events.iter().filter_map(finished).collect()
    }

    pub(crate) fn cases(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, UnitEvent::Case { .. })).count()
    }

    /// Takes all leases away: what they hold goes back to the queue and their epochs are stale.
    pub(crate) fn expire_leases(&mut self) {
        for (_, lease) in std::mem::take(&mut self.open) {
            self.queue.push_back(lease.entries);
        }
    }

    fn accept(&mut self, results: ResultsRequest) -> Result<u32, Problem> {
        let lease = self.open.get_mut(&results.lease).filter(|lease| lease.epoch == results.epoch);
        let lease = lease.ok_or_else(|| problem(409, "stale_lease", "another epoch"))?;
        if results.part > lease.next_part {
            return Err(problem(400, "invalid", "a gap in the parts"));
        }
        if results.part < lease.next_part {
            self.duplicates += 1;
            return Ok(lease.next_part);
        }
        lease.next_part += 1;
        self.events.extend(results.events);
        Ok(lease.next_part)
    }

    fn lease(&mut self, request: LeaseRequest) -> Result<LeaseReply, Problem> {
        if let Some(reply) = self.grants.get(&request.request_id) {
            self.duplicates += 1;
            return Ok(reply.clone());
        }
        self.named.push(request.manifest.clone());
        if let Some(finished) = request.finished {
            let id = finished.lease;
            self.accept(finished)?;
            self.open.remove(&id);
        }
        let unplanned = request.manifest.is_some() && request.manifest != self.put_by_another;
        let next = if unplanned { None } else { self.queue.pop_front() };
        let reply = match next {
            None if unplanned => LeaseReply::Unplanned,
            Some(entries) => {
                self.epoch += 1;
                let (lease, epoch) = (LeaseId(u128::from(self.epoch)), self.epoch);
                self.open.insert(lease, OpenLease { epoch, next_part: 0, entries: entries.clone() });
                LeaseReply::Batch { lease, epoch, entries }
            }
            None if self.open.is_empty() => LeaseReply::Done,
            // Long on purpose: a runner that sleeps through the end of its job would be seen.
            None => LeaseReply::Wait { retry_after_ms: 30_000 },
        };
        self.grants.insert(request.request_id, reply.clone());
        Ok(reply)
    }

    fn open_session(&mut self, request: &SessionRequest) -> Result<SessionReply, Problem> {
        let known = self.session.get_or_insert_with(|| request.boot_nonce.clone());
        if request.bootstrap_token != "bootstrap" || *known != request.boot_nonce {
            return Err(problem(401, "unauthorised", "the token is spent"));
        }
        let suite = SuiteSpec::new("unit", Framework::Command);
        let job = JobSpec { name: "unit".into(), suite, cell: BTreeMap::new() };
        Ok(SessionReply {
            session_token: "session".into(),
            run: RunId(1),
            shard: self.shard.unwrap_or(1),
            shards: self.shard.unwrap_or(1),
            job: self.job.clone().unwrap_or(job),
            source: self.source.clone().unwrap_or(Source::Directory { path: "/".into() }),
            filter: None,
            secrets: self.secrets.clone(),
            heartbeat_ms: self.heartbeat_ms,
        })
    }

    fn log(&mut self, request: LogRequest) -> Result<LogReply, Problem> {
        let (text, end) = self.logs.entry(request.stream).or_default();
        if request.offset != text.len() as u64 || end.is_some() {
            return Err(problem(400, "invalid", "a gap in the log"));
        }
        text.push_str(&request.text);
        *end = request.end;
        Ok(LogReply { next_offset: text.len() as u64 })
    }

    fn release(&mut self, request: ReleaseRequest) -> Result<Ack, Problem> {
        for part in request.leases.clone() {
            let id = part.lease;
            self.accept(part)?;
            self.open.remove(&id);
        }
        self.released.push(request);
        Ok(Ack {})
    }

    fn handle(&mut self, name: &str, body: &[u8]) -> Result<Vec<u8>, Problem> {
        match name {
            "session" => self.open_session(&parse(body)?).map(bytes),
            "manifest" => {
                self.manifest = Some(parse(body)?);
                Ok(bytes(ManifestReply { digest: "d".into(), yours: "d".into() }))
            }
            "lease" => self.lease(parse(body)?).map(bytes),
            "results" => self.accept(parse(body)?).map(|next_part| bytes(ResultsReply { next_part })),
            "heartbeat" => {
                self.phases.push(parse::<HeartbeatRequest>(body)?.phase);
                Ok(bytes(HeartbeatReply { command: self.command.unwrap_or(Command::Continue) }))
            }
            "logs" => self.log(parse(body)?).map(bytes),
            "release" => self.release(parse(body)?).map(bytes),
            "finish" => {
                self.end = Some(parse::<FinishRequest>(body)?.end);
                Ok(bytes(Ack {}))
            }
            other => Err(problem(404, "gone", other)),
        }
    }
}

fn problem(status: u16, code: &str, detail: &str) -> Problem {
    Problem { code: code.into(), status, title: code.into(), detail: detail.into() }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| problem(400, "invalid", &error.to_string()))
}

fn bytes(reply: impl Serialize) -> Vec<u8> {
    serde_json::to_vec(&reply).unwrap()
}

pub(crate) struct Coordinator {
    pub(crate) url: String,
    state: Mutex<State>,
    changed: Condvar,
    faults: Mutex<Faults>,
}

impl Coordinator {
    pub(crate) fn start(state: State) -> Arc<Self> {
        Self::start_with(state, Box::new(|_| Fault::None))
    }

    pub(crate) fn start_with(state: State, faults: Faults) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let coordinator = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Mutex::new(State { heartbeat_ms: state.heartbeat_ms.max(20), ..state }),
            changed: Condvar::new(),
            faults: Mutex::new(faults),
        });
        let serving = Arc::clone(&coordinator);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (Arc::clone(&serving), stream.unwrap());
                std::thread::spawn(move || serving.serve(&stream));
            }
        });
        coordinator
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until the state is as wanted; the test harness's own time limit is the only one.
    pub(crate) fn await_state(&self, wanted: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| !wanted(state)).unwrap()
    }

    fn serve(&self, stream: &TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((name, bearer, body)) = read_request(&mut reader) {
            let fault = (self.faults.lock().unwrap())(&name);
            if fault == Fault::CutBefore {
                return;
            }
            let mut state = self.state();
            state.calls.push(name.clone());
            let answer = match fault {
                Fault::Status(status, code) => Err(problem(status, code, "as the script says")),
                _ if name != "session" && bearer.as_deref() != Some("Bearer session") => {
                    Err(problem(401, "unauthorised", "no session"))
                }
                Fault::None | Fault::CutBefore | Fault::CutAfter => state.handle(&name, &body),
            };
            drop(state);
            self.changed.notify_all();
            if fault == Fault::CutAfter || respond(stream, answer).is_none() {
                return;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Option<String>, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let name = line.split(' ').nth(1)?.strip_prefix("/runner/v1/")?.to_owned();
    let (mut length, mut bearer) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((key, value)) = header.trim().split_once(':') else { break };
        match key.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => bearer = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((name, bearer, body))
}

fn respond(mut stream: &TcpStream, answer: Result<Vec<u8>, Problem>) -> Option<()> {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(problem) => (problem.status, bytes(&problem)),
    };
    let mut message = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    message.extend(body);
    stream.write_all(&message).ok()
}

/// Batches of single entries.
pub(crate) fn batches(sizes: &[u32]) -> VecDeque<Vec<LeasedEntry>> {
    let mut index = 0;
    let mut entry = || {
        let leased = LeasedEntry { index, entry: Entry::whole(&format!("unit-{index}"), 1) };
        index += 1;
        leased
    };
    sizes.iter().map(|size| (0..*size).map(|_| entry()).collect()).collect()
}
