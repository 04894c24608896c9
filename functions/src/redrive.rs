//! Dead letters, handled once more after what killed them was repaired.
//!
//! A queue's own redrive would not do: it only knows where the letters came from that it moved itself, not those that a
//! function buried with a reason, and the dead events of rules, schedules and functions have no queue to go back to.

use crate::cloud::Cloud;
use crate::start::{Failed, Function as _};
use crate::task::TaskEvents;
use aws::events::{RUN_FINISHED, SOURCE};
use aws::sqs::{Inbox, Received};
use lambda_runtime::Context;
use lambda_runtime::tracing::warn;
use serde::Serialize;
use serde_json::Value;
use shared::domain::time::Timestamp;
use shared::ports::Topic;
use tokio::time::Instant;

/// A queue that has no message for so long has none.
const WAIT_S: u64 = 2;
/// Letters that were looked at and stay are not seen again for so long: longer than a function may run.
const HIDDEN_S: u64 = 120;

/// What became of the dead letters.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Redriven {
    /// Messages that are in their queues again.
    pub messages: usize,
    /// Ends of tasks that were looked into.
    pub tasks: usize,
    /// Calls of the clock and news of runs; both come by themselves again, so these were removed.
    pub outdated: usize,
    /// Letters that still cannot be handled, and stay; the log says why.
    pub left: usize,
    /// Whether the time was over before the letters were.
    pub more: bool,
}

/// What a dead event is about.
#[derive(Debug, PartialEq, Eq)]
enum Dead {
    /// The end of a task, perhaps.
    Task(Value),
    /// It will be, or was, made up for.
    Outdated,
    /// Nobody here sends such events.
    Unknown,
}

impl Dead {
    /// Reads what a rule, a schedule or a function left behind; a function wraps its event.
    fn read(text: &str) -> Self {
        let Ok(mut event) = serde_json::from_str::<Value>(text) else { return Self::Unknown };
        if let Some(wrapped) = event.get_mut("requestPayload") {
            event = wrapped.take();
        }
        let field = |name: &str| event.get(name).and_then(Value::as_str);
        match (field("source"), field("detail-type")) {
            (Some("aws.ecs"), _) => Self::Task(event),
            (Some(SOURCE), Some(RUN_FINISHED)) => Self::Outdated,
            _ if field("tick").is_some() => Self::Outdated,
            _ => Self::Unknown,
        }
    }
}

/// The letters of one queue, as they were when this began.
struct Letters {
    dead: Inbox,
    begun: Timestamp,
    stop: Instant,
}

impl Letters {
    /// The next ones, if any. Those that died since are for another time, and stay hidden until then.
    async fn next(&self, redriven: &mut Redriven) -> Result<Option<Vec<Received>>, Failed> {
        while Instant::now() < self.stop {
            let letters = self.dead.receive(WAIT_S, HIDDEN_S).await?;
            if letters.is_empty() {
                return Ok(None);
            }
            let old: Vec<Received> =
                letters.into_iter().filter(|letter| letter.sent_at < self.begun).collect();
            if !old.is_empty() {
                return Ok(Some(old));
            }
        }
        redriven.more = true;
        Ok(None)
    }
}

/// Handles every letter once that was dead when this began.
pub async fn redrive(cloud: &Cloud, context: &Context, stop: Instant) -> Result<Redriven, Failed> {
    let begun = cloud.services.clock.now();
    let letters = |dead: Inbox| Letters { dead, begun, stop };
    let mut redriven = Redriven::default();
    for topic in [Topic::Plan, Topic::Launch, Topic::Aggregate] {
        send_again(cloud, topic, &letters(cloud.queue.dead(topic)), &mut redriven).await?;
    }
    let (events, tasks) = (letters(cloud.queue.dead_events()), TaskEvents::new(cloud.clone()));
    while let Some(some) = events.next(&mut redriven).await? {
        for letter in some {
            if is_settled(&tasks, &letter, context, &mut redriven).await {
                events.dead.done(&letter).await?;
            }
        }
    }
    Ok(redriven)
}

/// Sends the dead messages of a topic to their queue.
async fn send_again(
    cloud: &Cloud,
    topic: Topic,
    letters: &Letters,
    redriven: &mut Redriven,
) -> Result<(), Failed> {
    while let Some(some) = letters.next(redriven).await? {
        for letter in some {
            cloud.queue.send_again(topic, &letter).await?;
            letters.dead.done(&letter).await?;
            redriven.messages += 1;
        }
    }
    Ok(())
}

/// Handles a dead event; whether that is the end of it.
async fn is_settled(
    tasks: &TaskEvents,
    letter: &Received,
    context: &Context,
    redriven: &mut Redriven,
) -> bool {
    let handled = match Dead::read(&letter.text) {
        Dead::Outdated => {
            redriven.outdated += 1;
            return true;
        }
        Dead::Task(event) => tasks.call(event, context.clone()).await.map(drop),
        Dead::Unknown => Err(Failed::Event("nobody here sends such events".to_owned())),
    };
    match handled {
        Ok(()) => redriven.tasks += 1,
        Err(error) => {
            redriven.left += 1;
            // What an event repeats of a task may hold the token of its runner.
            warn!(%error, bytes = letter.text.len(), "a dead event still cannot be handled");
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dead_events_are_told_apart_bare_or_wrapped() {
        let task = json!({"source": "aws.ecs", "detail-type": "ECS Task State Change"});
        let wrapped = |event: &Value| json!({"version": "1.0", "requestPayload": event}).to_string();
        for (event, dead) in [
            (task.clone(), Dead::Task(task)),
            (json!({"source": SOURCE, "detail-type": RUN_FINISHED}), Dead::Outdated),
            (json!({"source": SOURCE, "detail-type": "other"}), Dead::Unknown),
            (json!({"tick": "sweep"}), Dead::Outdated),
            (json!({"tick": 7}), Dead::Unknown),
            (json!(7), Dead::Unknown),
        ] {
            assert_eq!(Dead::read(&event.to_string()), dead);
            assert_eq!(Dead::read(&wrapped(&event)), dead);
        }
        assert_eq!(Dead::read("{"), Dead::Unknown);
    }
}
