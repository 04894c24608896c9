//! Arguments of the commands that keep an instance: `serve`, `backup`, `restore`.

use super::Colour;
use clap::Args;
use std::num::NonZeroU32;
use std::path::PathBuf;

const SERVE_EXAMPLES: &str = "\
Examples:
  fleetest serve                                     on 127.0.0.1:8000
  fleetest serve --listen 127.0.0.1:9000 --data ./ci-server
  fleetest serve --slots 8                           at most 8 tests at the same time

Ctrl-C or SIGTERM stops it: open requests are answered, and the next start goes on with unfinished runs.";

/// Arguments of `fleetest serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub listen: String,

    /// Folder for everything that is kept
    #[arg(
        long,
        value_name = "DIR",
        help = "Folder for everything that is kept [default: $XDG_DATA_HOME/fleetest, else ~/.local/share/fleetest]"
    )]
    pub data: Option<PathBuf>,

    /// Settings file (TOML): public address, mail relay, GitHub App, identity providers, token of /metrics
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Tests that run at the same time, over all runs [default: number of cores]
    #[arg(long, value_name = "N")]
    pub slots: Option<NonZeroU32>,

    /// Let a project's repository be an absolute path of this machine
    ///
    /// For trusted machines only: whoever may change a project's settings can have any repository tested that this
    /// process can read.
    #[arg(long)]
    pub allow_local_sources: bool,

    /// Let notifications go to private networks and to this machine
    ///
    /// Without it they go to public addresses only, so that nobody can make the server call what is behind it.
    #[arg(long)]
    pub allow_private_notifications: bool,

    /// Requests per minute of one caller; 0 = as many as it likes
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub rate_limit: u32,

    /// Make another admin key and print it
    #[arg(long)]
    pub new_admin_key: bool,

    /// When to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Colour,
}

/// Arguments of `fleetest backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Folder of the instance [default: as for `serve`]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// File to be written; it must not be there yet. Keep it safe: it holds the instance's secrets
    #[arg(value_name = "TO.tar")]
    pub to: PathBuf,
}

/// Arguments of `fleetest restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// Backup to be read
    #[arg(value_name = "FROM.tar")]
    pub from: PathBuf,

    /// Folder to be filled; it must be empty or not there yet [default: as for `serve`]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}
