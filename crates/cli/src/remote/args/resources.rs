//! `keys`, `schedules` and `projects` as typed.

use super::{OfProject, Shown};
use crate::args::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Whose keys.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyOwner {
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// Keys for the whole server instead of a project
    #[arg(long, conflicts_with = "project")]
    pub instance: bool,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// `keys …`
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// List keys
    List(KeyOwner),
    /// Make a key; its text is printed this once
    Create {
        /// What you call it
        name: String,
        /// Role: viewer, developer, maintainer or admin
        #[arg(long, default_value = "developer")]
        role: String,
        /// What it may be used for: read, run, import, admin [default: all]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it ends, as in `90d` or `2027-01-31T00:00:00Z` [default: never]
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Whose.
        #[command(flatten)]
        owner: KeyOwner,
    },
    /// Take a key back
    Revoke {
        /// Id of the key, as `list` shows it
        key: String,
        /// Whose.
        #[command(flatten)]
        owner: KeyOwner,
    },
    /// Replace a key; the new text is printed this once
    Rotate {
        /// Id of the key, as `list` shows it
        key: String,
        /// How long the old one still works, as in `1h` [default: not at all]
        #[arg(long, value_name = "DUR", value_parser = duration::parse)]
        overlap: Option<duration::Limit>,
        /// Whose.
        #[command(flatten)]
        owner: KeyOwner,
    },
}

/// A schedule and nothing else.
#[derive(Debug, Clone, Args)]
pub struct ScheduleArgument {
    /// Id of the schedule, as `list` shows it
    #[arg(value_name = "SCHEDULE")]
    pub schedule: String,
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// `schedules …`
#[derive(Debug, Clone, Subcommand)]
pub enum SchedulesCommand {
    /// List schedules with their next time
    List {
        /// The project.
        #[command(flatten)]
        of: OfProject,
        /// Output.
        #[command(flatten)]
        shown: Shown,
    },
    /// Make a schedule
    Create {
        /// What you call it
        name: String,
        /// When, as in '30 2 * * mon-fri'
        #[arg(long, value_name = "EXPR")]
        cron: String,
        /// Time zone, as in Europe/Berlin [default: UTC]
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// Branch, tag or commit [default: the project's branch]
        #[arg(long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Run only this suite; may be given several times
        #[arg(long = "suite", value_name = "NAME")]
        suites: Vec<String>,
        /// The project.
        #[command(flatten)]
        of: OfProject,
        /// Output.
        #[command(flatten)]
        shown: Shown,
    },
    /// Let a schedule rest
    Pause(ScheduleArgument),
    /// Let a schedule go on
    Resume(ScheduleArgument),
    /// Remove a schedule
    Delete(ScheduleArgument),
    /// Start the schedule's run now
    Run(ScheduleArgument),
}

/// Arguments of `projects create`.
#[derive(Debug, Clone, Args)]
pub struct NewProjectArgs {
    /// Short name: lower-case letters, digits, `-`, `_` and `.`
    pub id: String,
    /// What people call it [default: its id]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// https or ssh URL of its repository
    #[arg(long, value_name = "URL")]
    pub repository: Option<String>,
    /// Branch that runs test by default [default: main]
    #[arg(long, value_name = "NAME")]
    pub default_branch: Option<String>,
    /// A fleetest.toml for commits that have none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// How a project's runs are treated; what is not given stays as it is.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArgs {
    /// Runs that may work at the same time; 0 = as many as there is room for
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Runs of a project with a higher number are started first, -100 to 100
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Whether a new run of a branch cancels the older ones
    #[arg(long, value_name = "true|false")]
    pub supersede: Option<bool>,
    /// Finished runs older than this are forgotten
    #[arg(long, value_name = "DAYS")]
    pub keep_days: Option<u32>,
    /// Of the finished runs at most this many are kept
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<u32>,
}

/// Arguments of `projects change`.
#[derive(Debug, Clone, Args)]
pub struct ChangedProjectArgs {
    /// Id [default: `FLEETEST_PROJECT`, else the folder's name]
    pub id: Option<String>,
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// https or ssh URL of its repository
    #[arg(long, value_name = "URL")]
    pub repository: Option<String>,
    /// Take its repository away: only uploads are tested
    #[arg(long, conflicts_with = "repository")]
    pub no_repository: bool,
    /// Branch that runs test by default
    #[arg(long, value_name = "NAME")]
    pub default_branch: Option<String>,
    /// A fleetest.toml for commits that have none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Take its fleetest.toml away: commits bring their own
    #[arg(long, conflicts_with = "config")]
    pub no_config: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// `projects …`
#[derive(Debug, Clone, Subcommand)]
pub enum ProjectsCommand {
    /// List projects
    List {
        /// Output.
        #[command(flatten)]
        shown: Shown,
    },
    /// Register a project
    Create(NewProjectArgs),
    /// Change a project; what is not given stays as it is
    Change(ChangedProjectArgs),
    /// Show a project
    Show {
        /// Id [default: `FLEETEST_PROJECT`, else the folder's name]
        id: Option<String>,
        /// Output.
        #[command(flatten)]
        shown: Shown,
    },
}
