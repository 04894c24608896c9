//! Where a run came from, and what it came to: what lists, trends and notifications need to know of it.

use super::id::{ProjectId, RunId};
use super::outcome::Counts;
use super::spec::RunSpec;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What made a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trigger {
    /// Someone's command or request.
    #[default]
    Request,
    /// A schedule, at its nominal time.
    Schedule {
        /// Which.
        schedule: String,
        /// The time at which it was due.
        due_at: Timestamp,
    },
    /// A forge's webhook.
    Webhook {
        /// Its event, as in `push`.
        event: String,
    },
    /// Chosen or all cases of another run.
    Rerun {
        /// That run.
        of: RunId,
    },
    /// Results that ran elsewhere.
    Import,
}

/// Where a run came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The project.
    pub project: ProjectId,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// Number of the pull request, if it is for one.
    pub pull_request: Option<u64>,
    /// What made it.
    pub trigger: Trigger,
    /// Who made it, as in the audit log.
    pub actor: String,
    /// Runs with a higher number are started first.
    pub priority: i32,
    /// Whether its project limited how many runs are at work when it was accepted: then it waits for its turn, under the
    /// limit that the project has by then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub limited: bool,
    /// Names of the suites, as far as they are known.
    pub suites: Vec<String>,
    /// Whether it waits for someone's approval.
    pub parked: bool,
    /// Where it ran, if that was elsewhere: a number or an address of the CI's build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl Origin {
    /// The origin of a run that someone asked for with this spec.
    #[must_use]
    pub fn of(spec: &RunSpec) -> Self {
        Self {
            project: spec.project.clone(),
            commit: spec.commit.clone(),
            branch: spec.branch.clone(),
            suites: spec.suites.iter().map(|suite| suite.name.clone()).collect(),
            ..Self::default()
        }
    }

    /// Takes over what has become known of the spec.
    pub fn learn(&mut self, spec: &RunSpec) {
        self.commit = spec.commit.clone().or_else(|| self.commit.take());
        self.branch = self.branch.take().or_else(|| spec.branch.clone());
        self.suites = spec.suites.iter().map(|suite| suite.name.clone()).collect();
    }
}

/// What a finished run came to, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Cases by final outcome.
    pub counts: Counts,
    /// When its first runner came forward.
    pub started_at: Option<Timestamp>,
    /// Time that slots spent on entries, in milliseconds.
    pub busy_ms: u64,
    /// The same by framework.
    #[serde(default)]
    pub busy_by_framework_ms: BTreeMap<String, u64>,
    /// Time that the slots of its jobs were there for, in milliseconds: what it cost, by and large.
    #[serde(default)]
    pub slot_ms: u64,
    /// Starts of runners, relaunches included.
    pub launches: u32,
    /// The frameworks of its jobs, each once.
    pub frameworks: Vec<String>,
}
