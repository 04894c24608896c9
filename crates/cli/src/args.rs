//! The command line as typed: parsing and help, and nothing about what it leads to.
//!
//! Values are checked here as far as they can be checked alone; whether they fit the project is decided in
//! `project` and `order`. Misuse ends in exit code 2, which is also what clap uses.

pub mod duration;
pub mod reports;
pub mod serve;

use crate::remote::args::RemoteCommand;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use reports::JsonTarget;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Split a test suite over every core or many machines, run each test exactly once, and get one verdict.
#[derive(Debug, Parser)]
#[command(
    name = "fleetest",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the tests of a project and report one verdict
    ///
    /// Suites come from fleetest.toml, or are detected. Results and timings are kept in .fleetest/ of the project
    /// (git ignores it), and the next run is planned from them.
    Run(Box<RunArgs>),
    /// Serve the API and run the tests of many projects
    ///
    /// One process keeps everything in one folder and runs tests as processes of this machine. The first start prints
    /// an admin key. After a restart, also an unwanted one, it goes on where it was.
    Serve(serve::ServeArgs),
    /// Write everything that a server keeps to one file, while it serves
    Backup(serve::BackupArgs),
    /// Fill an empty folder from a backup
    Restore(serve::RestoreArgs),
    /// What a server is asked for.
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Be a runner of a run that another fleetest process owns.
    #[command(name = "__runner", hide = true, disable_help_flag = true)]
    Runner(RunnerArgs),
}

/// What is handed on to the runner untouched.
#[derive(Debug, Args)]
pub struct RunnerArgs {
    /// Arguments of the runner itself.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 passed · 1 tests failed · 2 usage or configuration · 3 could not run
  4 no tests · 5 cancelled · 6 timed out";

const RUN_EXAMPLES: &str = "\
Examples:
  fleetest run                                  every suite of the project in this directory
  fleetest run --failed                         only what failed last time
  fleetest run --suite unit --fail-fast         one suite, stop at the first failure
  fleetest run --filter 'tests/test_api.py'     only matching cases
  fleetest run --junit out.xml --html out.html  write reports as well
  fleetest run --json - | jq .run.verdict       results on stdout, progress on stderr
  fleetest run https://github.com/pallets/click --ref 8.1.8
  fleetest run --remote                         on a server, from any directory or CI job

Exit codes:
  0 passed · 1 tests failed · 2 usage or configuration · 3 could not run
  4 no tests · 5 cancelled · 6 timed out";

/// Arguments of `fleetest run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// A directory, run where it stands; or a URL or a bare repository, which is cloned first
    #[arg(value_name = "PATH|URL", default_value = ".")]
    pub target: String,

    /// Branch, tag or commit to clone (only with a URL or a bare repository)
    #[arg(long = "ref", value_name = "REF", help_heading = "What to run")]
    pub reference: Option<String>,

    /// Run only this suite; may be given several times
    #[arg(long = "suite", value_name = "NAME", help_heading = "What to run")]
    pub suites: Vec<String>,

    /// Run only the cases that match this expression
    #[arg(long, value_name = "EXPR", help_heading = "What to run")]
    pub filter: Option<String>,

    /// Run only the cases that failed in the last run
    #[arg(long, conflicts_with = "no_history", help_heading = "What to run")]
    pub failed: bool,

    /// Tests that run at the same time in each runner [default: number of cores]
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub slots: Option<NonZeroU32>,

    /// Runners per job [default: from the suite, else chosen from history]
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub shards: Option<NonZeroU32>,

    /// Further attempts for a case that failed [default: from the suite, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100), help_heading = "How to run")]
    pub retries: Option<u32>,

    /// Stop after N failed cases [default without a number: 1]
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        help_heading = "How to run"
    )]
    pub fail_fast: Option<NonZeroU32>,

    /// Limit for the whole run, as in 90s, 5m or 1h30m [default: the suites' limits in a row]
    #[arg(long, value_name = "DUR", value_parser = duration::parse, help_heading = "How to run")]
    pub timeout: Option<duration::Limit>,

    /// Limit for each case [default: from the suite, else 5m]
    #[arg(long, value_name = "DUR", value_parser = duration::parse, help_heading = "How to run")]
    pub case_timeout: Option<duration::Limit>,

    /// Keep nothing: neither read nor write .fleetest/
    #[arg(long, help_heading = "How to run")]
    pub no_history: bool,

    /// Run on the server that `FLEETEST_URL` names, with the key in `FLEETEST_TOKEN`
    #[arg(long, help_heading = "On a server")]
    pub remote: bool,

    /// Project on the server [default: `FLEETEST_PROJECT`, else the folder's name]
    #[arg(long, value_name = "ID", requires = "remote", help_heading = "On a server")]
    pub project: Option<String>,

    /// Send the working directory even if the server could fetch its commit
    #[arg(long, requires = "remote", help_heading = "On a server")]
    pub upload: bool,

    /// Print the id of the run and do not wait for it
    #[arg(long, requires = "remote", help_heading = "On a server")]
    pub detach: bool,

    /// Write a JUnit XML report
    #[arg(long, value_name = "PATH", help_heading = "Reports")]
    pub junit: Option<PathBuf>,

    /// Write a JSON report; `-` is stdout
    #[arg(long, value_name = "PATH|-", help_heading = "Reports")]
    pub json: Option<JsonTarget>,

    /// Write a CTRF report
    #[arg(long, value_name = "PATH", help_heading = "Reports")]
    pub ctrf: Option<PathBuf>,

    /// Write a self-contained HTML report
    #[arg(long, value_name = "PATH", help_heading = "Reports")]
    pub html: Option<PathBuf>,

    /// Show only the failures and the verdict
    #[arg(long, short, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Show the slowest cases and more of each failure as well
    #[arg(long, short, help_heading = "Output")]
    pub verbose: bool,

    /// When to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Output", action = ArgAction::Set)]
    pub color: Colour,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, error::ErrorKind};

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let cli = Cli::try_parse_from(["fleetest", "run"].iter().chain(args))?;
        let Command::Run(run) = cli.command else { panic!("not a run") };
        Ok(*run)
    }

    fn long_help(path: &[&str]) -> String {
        let mut command = Cli::command();
        command.build();
        let mut at = &mut command;
        for name in path {
            at = at.find_subcommand_mut(name).unwrap();
        }
        at.clone().term_width(100).render_long_help().to_string()
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_leave_everything_to_the_project() {
        let args = run(&[]).unwrap();
        assert_eq!(args.target, ".");
        assert_eq!((args.slots, args.retries, args.fail_fast), (None, None, None));
        assert_eq!((args.timeout, args.case_timeout, args.color), (None, None, Colour::Auto));
    }

    #[test]
    fn fail_fast_takes_an_optional_number_only_after_an_equals_sign() {
        assert_eq!(run(&["--fail-fast"]).unwrap().fail_fast.unwrap().get(), 1);
        assert_eq!(run(&["--fail-fast=3"]).unwrap().fail_fast.unwrap().get(), 3);
        assert_eq!(run(&["--fail-fast", "sub"]).unwrap().target, "sub");
    }

    #[test]
    fn everything_can_be_said_at_once() {
        let args = run(&[
            "https://example.org/x.git",
            "--ref=v1",
            "--suite=a",
            "--suite=b",
            "--slots=4",
            "--shards=2",
            "--retries=0",
            "--timeout=1h30m",
            "--case-timeout=90s",
            "--json=-",
            "-q",
        ])
        .unwrap();
        assert_eq!(args.suites, ["a", "b"]);
        assert_eq!(args.timeout.unwrap().ms(), 5_400_000);
        assert_eq!(args.json, Some(JsonTarget::Stdout));
        assert!(args.quiet);
    }

    #[test]
    fn misuse_ends_in_code_2() {
        let misuses: [&[&str]; 8] = [
            &["--slots=0"],
            &["--shards=-1"],
            &["--fail-fast=0"],
            &["--retries=101"],
            &["--timeout=soon"],
            &["--quiet", "--verbose"],
            &["--failed", "--no-history"],
            &["--no-such"],
        ];
        for args in misuses {
            assert_eq!(run(args).unwrap_err().exit_code(), 2, "{args:?}");
        }
    }

    #[test]
    fn a_misspelt_flag_is_met_with_the_right_one() {
        let error = run(&["--case-timout=1s"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownArgument);
        assert!(error.to_string().contains("--case-timeout"), "{error}");
    }

    #[test]
    fn the_runner_gets_its_arguments_untouched() {
        let cli = Cli::try_parse_from(["fleetest", "__runner", "--help", "-x"]).unwrap();
        assert!(matches!(cli.command, Command::Runner(RunnerArgs { args }) if args == ["--help", "-x"]));
    }

    #[test]
    fn help_of_the_command() {
        insta::assert_snapshot!(long_help(&[]));
    }

    #[test]
    fn help_of_run() {
        insta::assert_snapshot!(long_help(&["run"]));
    }

    #[test]
    fn help_of_keeping_a_server() {
        insta::assert_snapshot!(
            ["serve", "backup", "restore"].map(|name| long_help(&[name])).join("\n---\n")
        );
    }
}
