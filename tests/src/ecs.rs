//! A strict ECS for the calls that a launcher makes, on HTTP, written from the AWS documentation.
//!
//! What emulators let through is refused here: bad counts, tokens and overrides, tokens that come again with another
//! request. Tasks go through their whole life, one step at each description. Lists lag behind if told so. Time stands
//! still until it is moved; a token is forgotten an hour after its task, the task too.

#![expect(clippy::panic, reason = "a test without its server must not pass")]
#![expect(clippy::indexing_slicing, reason = "what JSON does not have is null")]

mod rules;
mod tasks;

use crate::http::{Request, Response, Server};
use crate::memory::lock;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

pub use tasks::End;

/// The cluster that is there.
pub const CLUSTER: &str = "fleet";
/// The task definition that is there.
pub const TASK_DEFINITION: &str = "runner:1";
/// Its container.
pub const CONTAINER: &str = "runner";
/// Tasks and tokens are forgotten so long after the end.
const MEMORY_S: u64 = 3600;
/// The names of operations begin so.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

/// What the next launch answers instead of what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// An error, by status, code and words.
    Error(u16, String, String),
    /// No task, and a failure with this reason in an answer that is called a success.
    Failure(String),
    /// The task is started and the answer is lost.
    Lost,
}

/// What the cluster is like.
#[derive(Debug, Default)]
pub(crate) struct State {
    tasks: Vec<tasks::FakeTask>,
    tokens: BTreeMap<String, rules::Remembered>,
    troubles: VecDeque<Trouble>,
    /// Providers and subnets without capacity.
    full: BTreeSet<(String, String)>,
    task_limit: Option<usize>,
    /// Lists that do not see a new task yet.
    lag: u32,
    now_s: u64,
    launches: Vec<Value>,
}

/// The fake.
#[derive(Debug)]
pub struct FakeEcs {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Default for FakeEcs {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeEcs {
    /// A cluster with room for everything.
    #[must_use]
    pub fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let inside = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| answer(&mut lock(&inside), &request)));
        let server = server.unwrap_or_else(|error| panic!("no server on loopback: {error}"));
        Self { server, state }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Lets at most so many tasks run at once.
    pub fn limit_tasks(&self, limit: usize) {
        lock(&self.state).task_limit = Some(limit);
    }

    /// Takes the capacity of a provider in a subnet away.
    pub fn fill(&self, provider: &str, subnet: &str) {
        lock(&self.state).full.insert((provider.to_owned(), subnet.to_owned()));
    }

    /// Gives all capacity back.
    pub fn empty(&self) {
        lock(&self.state).full.clear();
    }

    /// Makes the next launches fail, one after the other.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        lock(&self.state).troubles.extend(troubles);
    }

    /// Lets a task show up in lists only after it was missed so often.
    pub fn lag(&self, lists: u32) {
        lock(&self.state).lag = lists;
    }

    /// Moves time.
    pub fn advance_s(&self, seconds: u64) {
        lock(&self.state).now_s += seconds;
    }

    /// Ends a task.
    pub fn end(&self, arn: &str, end: End) {
        let mut state = lock(&self.state);
        let now_s = state.now_s;
        if let Some(task) = state.tasks.iter_mut().find(|task| task.arn == arn) {
            task.end(end, now_s);
        }
    }

    /// How many tasks were ever started.
    #[must_use]
    pub fn started(&self) -> usize {
        lock(&self.state).tasks.len()
    }

    /// The launches that were asked for, as they came.
    #[must_use]
    pub fn launches(&self) -> Vec<Value> {
        lock(&self.state).launches.clone()
    }
}

/// An error as ECS sends it.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    sent(status, &json!({ "__type": code, "message": message }))
}

fn sent(status: u16, body: &Value) -> Response {
    let headers = vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())];
    Response { headers, ..Response::new(status, body.to_string()) }
}

fn answer(state: &mut State, request: &Request) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return error(400, "SerializationException", "the body is no JSON");
    };
    if body["cluster"].as_str() != Some(CLUSTER) {
        return error(400, "ClusterNotFoundException", "Cluster not found.");
    }
    state.forget();
    let done = match request.header("x-amz-target").strip_prefix(TARGET) {
        Some("RunTask") => rules::run_task(state, &body),
        Some("ListTasks") => state.list(&body),
        Some("DescribeTasks") => state.describe(&body),
        Some("StopTask") => state.stop(&body),
        Some(_) | None => Err(error(400, "InvalidAction", "there is no such operation here")),
    };
    done.map_or_else(|refused| refused, |answer| sent(200, &answer))
}

impl State {
    fn forget(&mut self) {
        let (now_s, tokens) = (self.now_s, &mut self.tokens);
        let over = |task: &tasks::FakeTask| task.ended_s.is_some_and(|at| now_s >= at + MEMORY_S);
        for task in self.tasks.iter_mut().filter(|task| over(task)) {
            task.forgotten = true;
            tokens.retain(|_, remembered| remembered.arn.as_ref() != Some(&task.arn));
        }
    }

    fn list(&mut self, body: &Value) -> Result<Value, Response> {
        let wanted = body["desiredStatus"].as_str().unwrap_or("RUNNING");
        if !["RUNNING", "STOPPED"].contains(&wanted) {
            return Err(error(400, "InvalidParameterException", "desiredStatus is wrong"));
        }
        let started_by = body["startedBy"].as_str();
        let mut arns = Vec::new();
        for task in &mut self.tasks {
            let fits = started_by.is_none_or(|by| by == task.started_by) && task.desired() == wanted;
            if task.forgotten || !fits {
                continue;
            }
            if task.unseen == 0 {
                arns.push(task.arn.clone());
            }
            task.unseen = task.unseen.saturating_sub(1);
        }
        Ok(json!({ "taskArns": arns }))
    }

    fn describe(&mut self, body: &Value) -> Result<Value, Response> {
        let asked: Vec<&str> =
            body["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if asked.is_empty() || asked.len() > 100 {
            return Err(error(400, "InvalidParameterException", "Tasks must have 1 to 100 entries."));
        }
        let with_tags = body["include"].as_array().is_some_and(|all| all.contains(&json!("TAGS")));
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in asked {
            match self.tasks.iter_mut().find(|task| task.arn == arn && !task.forgotten) {
                Some(task) => {
                    found.push(task.shown(with_tags));
                    task.step();
                }
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "tasks": found, "failures": failures }))
    }

    fn stop(&mut self, body: &Value) -> Result<Value, Response> {
        let (arn, now_s) = (body["task"].as_str().unwrap_or_default(), self.now_s);
        let reason = body["reason"].as_str().unwrap_or_default();
        let task = self.tasks.iter_mut().find(|task| task.arn == arn && !task.forgotten);
        let Some(task) = task else {
            return Err(error(400, "InvalidParameterException", "The referenced task was not found."));
        };
        if reason.len() > 1024 {
            return Err(error(400, "InvalidParameterException", "the reason is too long"));
        }
        task.end(End::Asked(reason.to_owned()), now_s);
        Ok(json!({ "task": task.shown(false) }))
    }
}
