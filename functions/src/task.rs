//! What ECS says about tasks: the end of a runner is noted at once, not when its silence is.

use crate::cloud::Cloud;
use crate::start::{Failed, Function};
use async_trait::async_trait;
use aws::ecs::change::TaskChange;
use lambda_runtime::Context;
use lambda_runtime::tracing::info;
use serde_json::Value;
use shared::ports::RunnerState;

/// The function for changes of tasks.
#[derive(Debug)]
pub struct TaskEvents {
    cloud: Cloud,
}

impl TaskEvents {
    /// The function.
    #[must_use]
    pub fn new(cloud: Cloud) -> Self {
        Self { cloud }
    }
}

#[async_trait]
impl Function for TaskEvents {
    async fn call(&self, event: Value, _: Context) -> Result<Value, Failed> {
        let change = TaskChange::read(&event, &self.cloud.config.fleet.container)?;
        let Some(TaskChange { shard, state }) = change else {
            info!("a task of somebody else");
            return Ok(Value::Null);
        };
        if let RunnerState::Stopped { exit_code, reason } = &state {
            let job = shard.job.0;
            info!(run = %shard.run, job, shard = shard.shard, attempt = shard.attempt, exit_code, %reason, "a runner ended");
        }
        self.cloud.services.one_runner_stopped(shard, &state).await?;
        Ok(Value::Null)
    }
}
