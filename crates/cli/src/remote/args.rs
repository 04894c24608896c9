//! The remote commands as typed: parsing and help, and nothing about what they lead to.

mod operations;
mod resources;

pub use operations::{
    AuditArgs, ChannelArgs, DeliveriesCommand, GithubReportWanted, MembersCommand, NewRuleArgs,
    NotificationsCommand, OccasionWanted, Place, RoleWanted, RuleArgument, WebhooksCommand,
};
pub use resources::{
    ChangedProjectArgs, KeyOwner, KeysCommand, NewProjectArgs, ProjectsCommand, ScheduleArgument,
    SchedulesCommand, SettingsArgs,
};

use crate::args::Colour;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Commands that talk to a server.
#[derive(Debug, Clone, Subcommand)]
pub enum RemoteCommand {
    /// List the runs of a project, newest first
    Runs(RunsArgs),
    /// Show a run: its jobs and what failed
    Show(RunArgument),
    /// Watch a run until it is over, and end with its exit code
    ///
    /// Ctrl-C stops watching and leaves the run alone; watching can be taken up again at any time.
    Watch(RunArgument),
    /// Show the logs of a run
    ///
    /// If several logs match, they are listed.
    Logs(LogsArgs),
    /// Stop a run
    Cancel(CancelArgs),
    /// Run again what failed in a run, or all of it
    Rerun(RerunArgs),
    /// Let a run begin that waits for approval
    Approve(RunArgument),
    /// List the cases of a project that fail and pass at the same commit
    Flaky(ListArgs),
    /// List the slowest cases of a project
    Slow(ListArgs),
    /// Import results that another tool made
    Import(ImportArgs),
    /// Make, list and take back API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make, list and change schedules
    #[command(subcommand)]
    Schedules(SchedulesCommand),
    /// Make, list, show and change projects
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Give and take roles in a project
    #[command(subcommand)]
    Members(MembersCommand),
    /// Make, list, test and change the rules by which people are told
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// List what people were told, and send it again
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// List webhooks that came in, replay one, set their secret
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Show who changed what
    Audit(AuditArgs),
    /// Check this machine and the connection to the server
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How answers are shown.
#[derive(Debug, Clone, Default, Args)]
pub struct Shown {
    /// Print the server's answer as JSON
    #[arg(long)]
    pub json: bool,
    /// When to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Colour,
}

/// Which project.
#[derive(Debug, Clone, Default, Args)]
pub struct OfProject {
    /// Project [default: `FLEETEST_PROJECT`, else the folder's name]
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
}

/// Arguments of `runs`.
#[derive(Debug, Clone, Args)]
pub struct RunsArgs {
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// Only runs of this branch
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Only runs with this status or verdict
    #[arg(long, value_name = "WORD", value_enum)]
    pub status: Option<StatusWanted>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// A status or a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StatusWanted {
    /// Accepted.
    Queued,
    /// At work.
    Running,
    /// Over.
    Finished,
    /// Verdict.
    Passed,
    /// Verdict.
    Failed,
    /// Verdict.
    Errored,
    /// Verdict.
    Cancelled,
    /// Verdict.
    TimedOut,
}

/// A run and nothing else.
#[derive(Debug, Clone, Args)]
pub struct RunArgument {
    /// Id of the run, as in `run_0190…`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// Arguments of `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Id of the run, as in `run_0190…`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Only logs of this job
    #[arg(long, value_name = "N")]
    pub job: Option<u32>,
    /// Only logs of this shard
    #[arg(long, value_name = "N")]
    pub shard: Option<u32>,
    /// Only the log of this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Go on showing what is written
    #[arg(long, short, conflicts_with = "json")]
    pub follow: bool,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// Arguments of `cancel`.
#[derive(Debug, Clone, Args)]
pub struct CancelArgs {
    /// Id of the run, as in `run_0190…`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Why, for the people who will wonder
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// Arguments of `rerun`.
#[derive(Debug, Clone, Args)]
pub struct RerunArgs {
    /// Id of the run, as in `run_0190…`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Only the cases that failed (the default)
    #[arg(long, conflicts_with = "all")]
    pub failed: bool,
    /// All cases
    #[arg(long)]
    pub all: bool,
    /// Watch the new run, and end with its exit code
    #[arg(long)]
    pub watch: bool,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// Arguments of `flaky` and `slow`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// Arguments of `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Result files; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Format of the files [default: from each file]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
    /// Suite that the results belong to
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// Commit that was tested [default: the CI job's, else the one that stands here]
    #[arg(long, value_name = "ID")]
    pub commit: Option<String>,
    /// Its branch [default: the CI job's, else the one that stands here]
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Its pull request [default: the CI job's]
    #[arg(long, value_name = "N")]
    pub pull_request: Option<u64>,
    /// Number or address of the build: the same file of another build is another run
    #[arg(long, value_name = "TEXT")]
    pub build: Option<String>,
    /// The project.
    #[command(flatten)]
    pub of: OfProject,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JUnit XML.
    Junit,
    /// Test Anything Protocol.
    Tap,
    /// Common Test Report Format.
    Ctrf,
    /// `go test -json`.
    GoJson,
    /// libtest's JSON lines.
    LibtestJson,
}

impl Format {
    /// The word that the server knows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Tap => "tap",
            Self::Ctrf => "ctrf",
            Self::GoJson => "go-json",
            Self::LibtestJson => "libtest-json",
        }
    }
}

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Directory of the project
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Output.
    #[command(flatten)]
    pub shown: Shown,
}
