//! `Launcher` on ECS with Fargate: a runner is a task.
//!
//! Spare capacity is tried first, then the ordinary one, each in one zone after the other. Each of these tries has its
//! own client token, so that asking again starts nothing twice: ECS answers it with the task that is there, and with the
//! refusal if it was refused. Therefore a later pass has other tokens, and looks first whether there is a task. A task
//! says in `startedBy` and in its tags whose runner it is, so that it is found again by whoever has forgotten it. Should a
//! list lag behind in just such a moment, two tasks come up, and the one whose one-shot token is used already ends itself.
//!
//! Lists of ECS lag behind, so each launcher remembers the tasks that it started itself.

pub mod change;
mod ending;
pub mod request;
mod tries;

use crate::config::Fleet;
use crate::failure::{Course, Failure, Kind, by_words};
use crate::limits::DESCRIBE_TASKS_LIMIT;
use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskField};
use shared::domain::id::{JobNo, ShardAttempt};
use shared::ports::{LaunchOrder, Launcher, PortError, PortResult, RunnerState};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tries::Try;

pub use ending::{EndKind, Ending, judge};

/// Name of the port in errors.
const PORT: &str = "launcher";
/// Tasks that are remembered; a launcher that has more forgets them all, and looks them up again.
const REMEMBERED: usize = 4096;
/// What a stopped task says about who stopped it.
const STOP_REASON: &str = "its run needs it no more";

/// Starts, looks at and stops tasks.
#[derive(Debug, Clone)]
pub struct EcsLauncher {
    client: Client,
    fleet: Fleet,
    known: Arc<Mutex<BTreeMap<ShardAttempt, String>>>,
}

/// What one try came to.
enum Tried {
    Started(String),
    NoRoom(String),
}

/// The launch that a task's `startedBy` names, if it names one.
#[must_use]
pub fn launch_of(started_by: &str) -> Option<ShardAttempt> {
    let mut parts = started_by.split('/');
    let run = parts.next()?.parse().ok()?;
    let mut number = || parts.next()?.parse::<u32>().ok();
    let (job, shard, attempt) = (JobNo(number()?), number()?, number()?);
    parts.next().is_none().then_some(ShardAttempt { run, job, shard, attempt })
}

impl EcsLauncher {
    /// A launcher for a fleet.
    #[must_use]
    pub fn new(client: Client, fleet: Fleet) -> Self {
        Self { client, fleet, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ShardAttempt, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, shard: ShardAttempt, arn: &str) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(shard, arn.to_owned());
    }

    async fn launch_once(&self, order: &LaunchOrder, one: &Try<'_>) -> PortResult<Tried> {
        let subject = order.shard.to_string();
        let request = request::run_task(&self.client, &self.fleet, order, one)?;
        match request.send().await {
            Ok(answer) => started(&answer, &subject),
            Err(error) => {
                if let Some(RunTaskError::ConflictException(conflict)) = error.as_service_error() {
                    // The token's task was started with other settings: by an earlier version of the stack.
                    return taken(conflict.resource_ids(), &subject);
                }
                let failure = Failure::of(&error);
                if failure.kind == Kind::NoCapacity {
                    return Ok(Tried::NoRoom(failure.message));
                }
                Err(failure.into_port(PORT, subject))
            }
        }
    }

    /// The tasks of a launch that are wanted (or not any more), by ARN.
    async fn listed(&self, shard: &ShardAttempt, wanted: DesiredStatus) -> PortResult<Vec<String>> {
        let list = self.client.list_tasks().cluster(&self.fleet.cluster).started_by(shard.to_string());
        let answer = list.desired_status(wanted).send().await;
        let answer = answer.map_err(|error| Failure::of(&error).into_port(PORT, shard.to_string()))?;
        Ok(answer.task_arns.unwrap_or_default())
    }

    async fn live(&self, shard: &ShardAttempt) -> PortResult<Vec<String>> {
        let known = self.known().get(shard).cloned();
        match known {
            Some(arn) => Ok(vec![arn]),
            None => self.listed(shard, DesiredStatus::Running).await,
        }
    }

    async fn find(&self, shard: &ShardAttempt) -> PortResult<Vec<String>> {
        let live = self.live(shard).await?;
        if live.is_empty() { self.listed(shard, DesiredStatus::Stopped).await } else { Ok(live) }
    }

    /// What ECS knows of these tasks.
    async fn tasks(&self, subject: &str, mut arns: Vec<String>) -> PortResult<Vec<Task>> {
        arns.truncate(DESCRIBE_TASKS_LIMIT);
        let describe = self.client.describe_tasks().cluster(&self.fleet.cluster).set_tasks(Some(arns));
        let answer = describe.include(TaskField::Tags).send().await;
        let answer = answer.map_err(|error| Failure::of(&error).into_port(PORT, subject))?;
        Ok(answer.tasks.unwrap_or_default())
    }
}

fn taken(arns: &[String], subject: &str) -> PortResult<Tried> {
    arns.first().map(|arn| Tried::Started(arn.clone())).ok_or_else(|| PortError::Unavailable {
        port: PORT,
        subject: subject.to_owned(),
        reason: "its token is in use, but by no task".to_owned(),
    })
}

fn started(answer: &RunTaskOutput, subject: &str) -> PortResult<Tried> {
    if let Some(arn) = answer.tasks().iter().find_map(|task| task.task_arn.clone()) {
        return Ok(Tried::Started(arn));
    }
    let told = answer.failures().first();
    let reason = told.and_then(|failure| failure.reason.clone()).unwrap_or_else(|| "no task".to_owned());
    let detail = told.and_then(|failure| failure.detail.clone()).unwrap_or_default();
    let kind = refusal(&reason, &detail);
    if kind.course() == Course::Retry && kind != Kind::Throttled {
        return Ok(Tried::NoRoom(reason));
    }
    Err(Failure { kind, code: reason, message: detail }.into_port(PORT, subject))
}

/// What stands in the `failures` of an answer that is called a success.
fn refusal(reason: &str, detail: &str) -> Kind {
    let lasting = ["MISSING", "INACTIVE", "ATTRIBUTE", "LOCATION", "UNSUPPORTED"];
    if let Some(kind) = by_words(reason).or_else(|| by_words(detail)) {
        return kind;
    }
    if lasting.iter().any(|word| reason.starts_with(word)) { Kind::Invalid } else { Kind::NoCapacity }
}

fn state(task: &Task, container: &str) -> RunnerState {
    match task.last_status().unwrap_or_default() {
        "STOPPED" | "DELETED" => {
            let ending = judge(task, container);
            RunnerState::Stopped { exit_code: ending.exit_code, reason: ending.reason }
        }
        "PROVISIONING" | "PENDING" | "ACTIVATING" => RunnerState::Pending,
        // On its way out it still runs.
        _ => RunnerState::Running,
    }
}

#[async_trait]
impl Launcher for EcsLauncher {
    async fn launch(&self, order: &LaunchOrder) -> PortResult<String> {
        let there = if order.again { self.live(&order.shard).await? } else { Vec::new() };
        if let Some(arn) = there.into_iter().next() {
            self.remember(order.shard, &arn);
            return Ok(arn);
        }
        let mut last = String::new();
        for one in tries::of(&self.fleet, order.shard) {
            match self.launch_once(order, &one).await? {
                Tried::Started(arn) => {
                    self.remember(order.shard, &arn);
                    return Ok(arn);
                }
                Tried::NoRoom(reason) => last = format!("{reason} ({one})"),
            }
        }
        let reason = format!("no room for it: {last}");
        Err(PortError::Unavailable { port: PORT, subject: order.shard.to_string(), reason })
    }

    async fn describe(&self, shard: &ShardAttempt) -> PortResult<RunnerState> {
        let arns = self.find(shard).await?;
        if arns.is_empty() {
            return Ok(RunnerState::Unknown);
        }
        let tasks = self.tasks(&shard.to_string(), arns).await?;
        let states: Vec<RunnerState> = tasks.iter().map(|task| state(task, &self.fleet.container)).collect();
        let live = states.iter().find(|state| !matches!(state, RunnerState::Stopped { .. }));
        Ok(live.or(states.first()).cloned().unwrap_or(RunnerState::Unknown))
    }

    async fn stop(&self, shard: &ShardAttempt) -> PortResult<()> {
        for arn in self.live(shard).await? {
            let stop = self.client.stop_task().cluster(&self.fleet.cluster).task(arn).reason(STOP_REASON);
            let Err(error) = stop.send().await else { continue };
            let failure = Failure::of(&error);
            // What ECS has forgotten is gone.
            let gone = failure.code == "InvalidParameterException" && failure.message.contains("not found");
            if !gone {
                return Err(failure.into_port(PORT, shard.to_string()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::id::RunId;

    #[test]
    fn a_launch_is_read_from_who_started_the_task() {
        let shard = ShardAttempt { run: RunId(1 << 100), job: JobNo(2), shard: 30, attempt: 4 };
        assert_eq!(launch_of(&shard.to_string()), Some(shard));
        for foreign in
            ["", "ecs-svc/123", "run_1/1/1/1", &format!("{shard}/1"), &format!("{}/1/1", shard.run)]
        {
            assert_eq!(launch_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn reasons_of_refusals_are_told_apart() {
        for (reason, kind) in [
            ("RESOURCE:ENI", Kind::NoCapacity),
            ("RESOURCE:MEMORY", Kind::NoCapacity),
            ("AGENT", Kind::NoCapacity),
            ("Capacity is unavailable at this time. Please try again later", Kind::NoCapacity),
            ("Rate exceeded", Kind::Throttled),
            ("MISSING", Kind::Invalid),
            ("ATTRIBUTE", Kind::Invalid),
        ] {
            assert_eq!(refusal(reason, ""), kind, "{reason}");
        }
    }
}
