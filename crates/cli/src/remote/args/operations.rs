//! `members`, `notifications`, `deliveries`, `webhooks` and `audit` as typed.

use super::{OfProject, Shown};
use clap::{Args, Subcommand, ValueEnum};
use http_api::api::wire::{GithubReportWord, OccasionWord, RoleWord};
use std::path::PathBuf;

/// A project and how it is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// A role in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleWanted {
    /// Reads.
    Viewer,
    /// Starts, cancels and repeats runs; imports results.
    Developer,
    /// Changes settings, schedules and notifications.
    Maintainer,
    /// Gives and takes rights.
    Admin,
}

impl From<RoleWanted> for RoleWord {
    fn from(wanted: RoleWanted) -> Self {
        match wanted {
            RoleWanted::Viewer => Self::Viewer,
            RoleWanted::Developer => Self::Developer,
            RoleWanted::Maintainer => Self::Maintainer,
            RoleWanted::Admin => Self::Admin,
        }
    }
}

/// `members …`
#[derive(Debug, Clone, Subcommand)]
pub enum MembersCommand {
    /// List members
    List(Place),
    /// Give somebody a role, in place of the one they had
    Add {
        /// Who, as in `oidc:https://id.example.org#4711`
        subject: String,
        /// The role
        #[arg(long, value_enum)]
        role: RoleWanted,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Take somebody's role away
    Remove {
        /// Who, as `list` shows it
        subject: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// What a rule wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OccasionWanted {
    /// Every run that is over.
    Finished,
    /// Every run that did not pass.
    Failure,
    /// The first such run of a branch, and the one that passes again.
    FirstFailureAndRecovery,
    /// A case is flaky that was not known to be.
    NewFlaky,
}

impl From<OccasionWanted> for OccasionWord {
    fn from(wanted: OccasionWanted) -> Self {
        match wanted {
            OccasionWanted::Finished => Self::Finished,
            OccasionWanted::Failure => Self::Failure,
            OccasionWanted::FirstFailureAndRecovery => Self::FirstFailureAndRecovery,
            OccasionWanted::NewFlaky => Self::NewFlaky,
        }
    }
}

/// What is written at GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum GithubReportWanted {
    /// Check runs; they need a GitHub App.
    Checks,
    /// Commit statuses.
    #[default]
    Statuses,
    /// Both.
    Both,
}

impl From<GithubReportWanted> for GithubReportWord {
    fn from(wanted: GithubReportWanted) -> Self {
        match wanted {
            GithubReportWanted::Checks => Self::Checks,
            GithubReportWanted::Statuses => Self::Statuses,
            GithubReportWanted::Both => Self::Both,
        }
    }
}

/// Where a rule listens: exactly one of them.
#[derive(Debug, Clone, Default, Args)]
#[group(required = true, multiple = false)]
pub struct ChannelArgs {
    /// Incoming webhook of Slack; `-` reads the URL from stdin, because it is a secret
    #[arg(long, value_name = "URL")]
    pub slack: Option<String>,
    /// Workflows webhook of Microsoft Teams; `-` reads the URL from stdin
    #[arg(long, value_name = "URL")]
    pub teams: Option<String>,
    /// Any receiver of signed messages; `-` reads the URL from stdin
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// E-mail address; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub email: Vec<String>,
    /// Repository at GitHub that commits are judged in
    #[arg(long, value_name = "OWNER/REPO")]
    pub github: Option<String>,
}

/// Arguments of `notifications add`.
#[derive(Debug, Clone, Args)]
pub struct NewRuleArgs {
    /// What you call it
    pub name: String,
    /// Where it listens.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// What it wants to hear of; may be given several times [default: failure; at GitHub: finished]
    #[arg(long = "on", value_name = "WHAT", value_enum)]
    pub on: Vec<OccasionWanted>,
    /// Only runs of this branch, as in `main` or `release/*`; may be given several times
    #[arg(long = "branch", value_name = "NAME")]
    pub branches: Vec<String>,
    /// File with the signing secret of the webhook, or with the token for GitHub
    #[arg(long, value_name = "FILE", conflicts_with_all = ["slack", "teams", "email"])]
    pub secret_file: Option<PathBuf>,
    /// What is written at GitHub [default: statuses]
    #[arg(long, value_name = "WHAT", value_enum, requires = "github")]
    pub report: Option<GithubReportWanted>,
    /// Base of the API of GitHub Enterprise
    #[arg(long, value_name = "URL", requires = "github")]
    pub api_url: Option<String>,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// A rule and nothing else.
#[derive(Debug, Clone, Args)]
pub struct RuleArgument {
    /// Id of the rule, as `list` shows it
    #[arg(value_name = "RULE")]
    pub rule: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// `notifications …`
#[derive(Debug, Clone, Subcommand)]
pub enum NotificationsCommand {
    /// List rules
    List(Place),
    /// Make a rule: who is told, and of what
    Add(Box<NewRuleArgs>),
    /// Send a rule a message about nothing
    Test(RuleArgument),
    /// Silence a rule
    Pause(RuleArgument),
    /// Let a rule speak again
    Resume(RuleArgument),
    /// Remove a rule
    Remove(RuleArgument),
}

impl NotificationsCommand {
    /// Where, and how it is shown.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::List(place) => place,
            Self::Add(args) => &args.place,
            Self::Test(rule) | Self::Pause(rule) | Self::Resume(rule) | Self::Remove(rule) => &rule.place,
        }
    }
}

/// `deliveries …`
#[derive(Debug, Clone, Subcommand)]
pub enum DeliveriesCommand {
    /// List messages, newest first, and whether they arrived
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Send a message once more
    Redeliver {
        /// Id of the message, as `list` shows it
        delivery: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// `webhooks …`
#[derive(Debug, Clone, Subcommand)]
pub enum WebhooksCommand {
    /// List webhooks that came in, newest first, and what became of them
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Do once more what a webhook asked for
    Replay {
        /// Id of the webhook, as `list` shows it
        event: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Set the secret that the forge signs webhooks with
    Secret {
        /// File with the secret; `-` is stdin
        file: PathBuf,
        /// Refuse what is signed with the secret before it at once
        #[arg(long)]
        forget_previous: bool,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// Arguments of `audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Changes to what belongs to no project, such as keys for the whole server
    #[arg(long, conflicts_with = "project")]
    pub instance: bool,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}
