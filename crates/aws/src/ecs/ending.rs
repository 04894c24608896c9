//! How a task ended, from what ECS says about it.
//!
//! An exit code counts only if the runner itself chose it. Codes above 128 are signals: of a lack of memory, of a
//! machine taken back, of a stop that took too long. ECS says which in words, and the words are passed on as they are.

use aws_sdk_ecs::types::{Container, Task, TaskStopCode};

/// What ended a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// The runner ended by itself.
    Exited,
    /// Its memory was not enough.
    OutOfMemory,
    /// The machine was taken back.
    SpotInterruption,
    /// It never ran: no image, no network, no secret.
    FailedToStart,
    /// Somebody asked for it.
    Stopped,
    /// A signal that nobody owns up to, or the machine itself.
    Lost,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What ended it.
    pub kind: EndKind,
    /// The runner's own exit code.
    pub exit_code: Option<i32>,
    /// Human reason, with the words of ECS.
    pub reason: String,
}

/// Codes from here on are signals.
const SIGNALS: i32 = 128;

/// Judges a stopped task by its stop code, its words and its runner, the container of that name.
#[must_use]
pub fn judge(task: &Task, container: &str) -> Ending {
    let runner = task.containers().iter().find(|one| one.name() == Some(container));
    let code = runner.and_then(Container::exit_code);
    let told = told(task, runner);
    let kind = kind(task, code, &told);
    let exit_code = code.filter(|code| kind == EndKind::Exited && (0..SIGNALS).contains(code));
    let what = match kind {
        EndKind::Exited => format!("ended with exit code {}", code.unwrap_or_default()),
        EndKind::OutOfMemory => "out of memory: give the task definition more".to_owned(),
        EndKind::SpotInterruption => "the machine was taken back".to_owned(),
        EndKind::FailedToStart => "it could not be started".to_owned(),
        EndKind::Stopped => "it was stopped".to_owned(),
        EndKind::Lost => match code {
            Some(code) if code > SIGNALS => format!("killed by signal {}", code - SIGNALS),
            Some(_) | None => "it was lost".to_owned(),
        },
    };
    let reason = if told.is_empty() { what } else { format!("{what} ({told})") };
    Ending { kind, exit_code, reason }
}

fn told(task: &Task, runner: Option<&Container>) -> String {
    let words = [task.stopped_reason(), runner.and_then(Container::reason)];
    words.into_iter().flatten().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

fn kind(task: &Task, code: Option<i32>, told: &str) -> EndKind {
    let small = told.to_lowercase();
    // The code 137 alone says too little: a stop that took too long has it too.
    if small.contains("outofmemory") || small.contains("out of memory") {
        return EndKind::OutOfMemory;
    }
    match task.stop_code() {
        Some(TaskStopCode::SpotInterruption) => EndKind::SpotInterruption,
        Some(TaskStopCode::TaskFailedToStart) => EndKind::FailedToStart,
        Some(TaskStopCode::UserInitiated) => EndKind::Stopped,
        Some(TaskStopCode::EssentialContainerExited) => exited(code),
        Some(_) => EndKind::Lost,
        None => exited(code),
    }
}

fn exited(code: Option<i32>) -> EndKind {
    match code {
        Some(code) if (0..SIGNALS).contains(&code) => EndKind::Exited,
        Some(_) | None => EndKind::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(stop: Option<TaskStopCode>, told: &str, runner: Option<(Option<i32>, &str)>) -> Ending {
        let container = runner.map(|(code, reason)| {
            let reason = (!reason.is_empty()).then(|| reason.to_owned());
            Container::builder().name("runner").set_exit_code(code).set_reason(reason).build()
        });
        let other = Container::builder().name("log_router").exit_code(0).build();
        let all = container.map(|container| vec![other, container]).unwrap_or_default();
        let task = Task::builder().set_stop_code(stop).stopped_reason(told).set_containers(Some(all)).build();
        judge(&task, "runner")
    }

    #[test]
    fn what_ecs_says_is_told_apart() {
        use TaskStopCode::*;
        let essential = "Essential container in task exited";
        for (stop, told, runner, kind, code) in [
            (Some(EssentialContainerExited), essential, Some((Some(0), "")), EndKind::Exited, Some(0)),
            (Some(EssentialContainerExited), essential, Some((Some(3), "")), EndKind::Exited, Some(3)),
            (Some(EssentialContainerExited), essential, Some((Some(139), "")), EndKind::Lost, None),
            (Some(EssentialContainerExited), essential, Some((None, "")), EndKind::Lost, None),
            (
                Some(EssentialContainerExited),
                essential,
                Some((Some(137), "OutOfMemoryError: Container killed due to memory usage")),
                EndKind::OutOfMemory,
                None,
            ),
            (
                Some(SpotInterruption),
                "Your Spot Task was interrupted.",
                Some((Some(0), "")),
                EndKind::SpotInterruption,
                None,
            ),
            (
                Some(TaskFailedToStart),
                "CannotPullContainerError: manifest unknown",
                None,
                EndKind::FailedToStart,
                None,
            ),
            (
                Some(TaskFailedToStart),
                "ResourceInitializationError: unable to pull secrets",
                Some((None, "")),
                EndKind::FailedToStart,
                None,
            ),
            (Some(UserInitiated), "its run needs it no more", Some((Some(143), "")), EndKind::Stopped, None),
            (Some(TerminationNotice), "", Some((None, "")), EndKind::Lost, None),
            (None, "", None, EndKind::Lost, None),
            (None, "", Some((Some(0), "")), EndKind::Exited, Some(0)),
        ] {
            let ending = ended(stop.clone(), told, runner);
            assert_eq!((ending.kind, ending.exit_code), (kind, code), "{stop:?} {told} {runner:?}");
            assert!(ending.reason.contains(told) && !ending.reason.is_empty(), "{}", ending.reason);
        }
    }

    #[test]
    fn another_container_is_not_the_runner() {
        let other = Container::builder().name("log_router").exit_code(0).build();
        let task =
            Task::builder().stop_code(TaskStopCode::EssentialContainerExited).containers(other).build();
        assert_eq!(judge(&task, "runner").exit_code, None);
    }
}
