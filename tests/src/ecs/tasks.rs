//! Tasks and their lives.

#![expect(clippy::indexing_slicing, reason = "what JSON does not have is null")]

use super::{CONTAINER, Value, json};

/// Steps of a life, in order.
const STEPS: [&str; 8] = [
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
];
const RUNNING: usize = 3;
const STOPPED: usize = 7;

/// How a task ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The runner exits with a code.
    Exit(i64),
    /// Its memory is not enough.
    OutOfMemory,
    /// The machine is taken back.
    Spot,
    /// It never comes to run: there are no containers at all.
    NotStarted(String),
    /// It was asked to stop.
    Asked(String),
}

#[derive(Debug)]
pub(super) struct FakeTask {
    pub(super) arn: String,
    pub(super) started_by: String,
    pub(super) tags: Value,
    pub(super) overrides: Value,
    pub(super) provider: String,
    pub(super) ended_s: Option<u64>,
    pub(super) forgotten: bool,
    pub(super) unseen: u32,
    pub(super) step: usize,
    pub(super) end: Option<End>,
}

impl FakeTask {
    /// What is wanted of it.
    pub(super) fn desired(&self) -> &'static str {
        if self.end.is_some() { "STOPPED" } else { "RUNNING" }
    }

    /// Whether it takes room.
    pub(super) fn is_there(&self) -> bool {
        self.step < STOPPED
    }

    /// The first end counts.
    pub(super) fn end(&mut self, end: End, now_s: u64) {
        if self.end.is_none() {
            self.step = self.step.max(RUNNING) + 1;
            self.end = Some(end);
            self.ended_s = Some(now_s);
        }
    }

    /// One step on; a task runs until it is ended.
    pub(super) fn step(&mut self) {
        let last = if self.end.is_some() { STOPPED } else { RUNNING };
        self.step = (self.step + 1).min(last);
    }

    /// The task as it is described.
    pub(super) fn shown(&self, with_tags: bool) -> Value {
        let mut shown = json!({
            "taskArn": self.arn,
            "lastStatus": STEPS.get(self.step),
            "desiredStatus": self.desired(),
            "startedBy": self.started_by,
            "capacityProviderName": self.provider,
            "overrides": self.overrides,
            "containers": [{ "name": CONTAINER, "lastStatus": STEPS.get(self.step) }],
            "tags": if with_tags { self.tags.clone() } else { json!([]) },
        });
        if let (Some(end), true) = (&self.end, self.step == STOPPED) {
            let (stop_code, reason, containers) = end.told();
            shown["stopCode"] = json!(stop_code);
            shown["stoppedReason"] = json!(reason);
            shown["containers"] = containers;
        }
        shown
    }
}

impl End {
    fn told(&self) -> (&'static str, String, Value) {
        let exited = "Essential container in task exited".to_owned();
        match self {
            Self::Exit(code) => {
                ("EssentialContainerExited", exited, json!([{ "name": CONTAINER, "exitCode": code }]))
            }
            Self::OutOfMemory => {
                let reason = "OutOfMemoryError: Container killed due to memory usage";
                let containers = json!([{ "name": CONTAINER, "exitCode": 137, "reason": reason }]);
                ("EssentialContainerExited", exited, containers)
            }
            Self::Spot => {
                let reason = "Your Spot Task was interrupted.".to_owned();
                ("SpotInterruption", reason, json!([{ "name": CONTAINER, "exitCode": 0 }]))
            }
            Self::NotStarted(reason) => ("TaskFailedToStart", reason.clone(), json!([])),
            Self::Asked(reason) => {
                ("UserInitiated", reason.clone(), json!([{ "name": CONTAINER, "exitCode": 143 }]))
            }
        }
    }
}
