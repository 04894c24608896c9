//! What ECS tells on its own accord: the event of a task's change of state.

use super::{launch_of, state};
use aws_sdk_ecs::types::{Container, Task, TaskStopCode};
use serde::Deserialize;
use serde_json::Value;
use shared::domain::id::ShardAttempt;
use shared::ports::RunnerState;

/// `source` of such events.
pub const SOURCE: &str = "aws.ecs";
/// `detail-type` of such events.
pub const TASK_STATE_CHANGE: &str = "ECS Task State Change";

/// A runner whose task changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    /// Whose task it is.
    pub shard: ShardAttempt,
    /// The state that it is in now.
    pub state: RunnerState,
}

#[derive(Debug, Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
    detail: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    last_status: String,
    started_by: Option<String>,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    #[serde(default)]
    containers: Vec<One>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    name: Option<String>,
    exit_code: Option<i32>,
    reason: Option<String>,
}

impl TaskChange {
    /// Reads an event; `None` if it is about something else, or about a task of somebody else.
    ///
    /// # Errors
    /// It is no event, or not one of the form that ECS has published.
    pub fn read(event: &Value, container: &str) -> Result<Option<Self>, serde_json::Error> {
        let event = Event::deserialize(event)?;
        if event.source != SOURCE || event.kind != TASK_STATE_CHANGE {
            return Ok(None);
        }
        let detail = Detail::deserialize(event.detail)?;
        let Some(shard) = detail.started_by.as_deref().and_then(launch_of) else { return Ok(None) };
        Ok(Some(Self { shard, state: state(&task(detail), container) }))
    }
}

fn task(detail: Detail) -> Task {
    let containers = detail.containers.into_iter().map(|one| {
        Container::builder().set_name(one.name).set_exit_code(one.exit_code).set_reason(one.reason).build()
    });
    Task::builder()
        .last_status(detail.last_status)
        .set_stop_code(detail.stop_code.as_deref().map(TaskStopCode::from))
        .set_stopped_reason(detail.stopped_reason)
        .set_containers(Some(containers.collect()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(detail: &Value) -> Value {
        json!({"source": SOURCE, "detail-type": TASK_STATE_CHANGE, "detail": detail})
    }

    #[test]
    fn only_events_of_our_tasks_are_read() {
        let shard: ShardAttempt = launch_of("run_000000000000000000000000000000a1/1/2/3").unwrap();
        let running = event(&json!({"lastStatus": "RUNNING", "startedBy": shard.to_string()}));
        let change = TaskChange { shard, state: RunnerState::Running };
        assert_eq!(TaskChange::read(&running, "runner").unwrap(), Some(change));
        let mut foreign = running.clone();
        foreign["source"] = "com.example".into();
        assert_eq!(TaskChange::read(&foreign, "runner").unwrap(), None);
        let service = event(&json!({"lastStatus": "RUNNING", "startedBy": "ecs-svc/1"}));
        assert_eq!(TaskChange::read(&service, "runner").unwrap(), None);
        let nobody = event(&json!({"lastStatus": "RUNNING"}));
        assert_eq!(TaskChange::read(&nobody, "runner").unwrap(), None);
        for broken in [json!({}), json!("text"), event(&json!({"startedBy": shard.to_string()}))] {
            assert!(TaskChange::read(&broken, "runner").is_err(), "{broken}");
        }
    }
}
