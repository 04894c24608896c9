//! Where the runner reads its environment; nowhere else does.
//!
//! All problems are reported together. The bootstrap token comes by the environment (containers) or as the
//! first line of standard input (local processes, where an environment could be read by others); in the second
//! case the launcher keeps the pipe open, and its end means that the launcher is gone.

use crate::driver::CaseFilter;
use crate::outbox::clean::Cleaner;
use crate::source::GitEnvironment;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::process::Command;
use std::sync::Arc;

/// Address of the coordinator.
const URL_VARIABLE: &str = "FLEETEST_LINK_URL";
/// The bootstrap token, if it does not come by standard input.
const TOKEN_VARIABLE: &str = "FLEETEST_BOOTSTRAP_TOKEN";
/// Slots, if not one per core.
const SLOTS_VARIABLE: &str = "FLEETEST_SLOTS";
/// `1` allows `http` to a coordinator on another machine.
const PLAINTEXT_VARIABLE: &str = "FLEETEST_LINK_PLAINTEXT";
/// `1` allows a run to name a repository on this machine by its path.
const LOCAL_VARIABLE: &str = "FLEETEST_LOCAL_SOURCES";
/// Variables of the runner that no child may see.
const PRIVATE_VARIABLES: [&str; 5] =
    [URL_VARIABLE, TOKEN_VARIABLE, SLOTS_VARIABLE, PLAINTEXT_VARIABLE, LOCAL_VARIABLE];

/// Takes the runner's own variables out of what a child will see.
pub fn hide_private(command: &mut Command) -> &mut Command {
    for name in PRIVATE_VARIABLES {
        command.env_remove(name);
    }
    command
}

/// A token is never longer.
const TOKEN_LIMIT_BYTES: u64 = 4096;
/// More slots than this in one runner is a mistake.
const SLOTS_LIMIT: u32 = 1024;
const GIT_ALWAYS: [&str; 9] = [
    "PATH",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_EXEC_PATH",
    "TMPDIR",
];
const GIT_SSH: [&str; 3] = ["HOME", "USER", "SSH_AUTH_SOCK"];

/// Makes a cleaner from the secrets of a session (name to value).
pub type CleanerFactory = Arc<dyn Fn(&BTreeMap<String, String>) -> Cleaner + Send + Sync>;
/// Makes a case filter from the run's filter expression, or says what is wrong with it.
pub type FilterFactory = Arc<dyn Fn(&str) -> Result<CaseFilter, String> + Send + Sync>;

/// What a runner needs before its session.
#[derive(Clone)]
pub struct RunnerConfig {
    /// Address of the coordinator: scheme, host, port and an optional path prefix.
    pub link_url: String,
    /// The one-shot bootstrap token.
    pub bootstrap_token: String,
    /// Slots to offer; a suite may fix another number.
    pub slots: u32,
    /// Whether SIGTERM and SIGINT end the session in order. Off for runners inside a test process.
    pub handle_signals: bool,
    /// Whether the end of standard input means that the launcher is gone.
    pub watch_stdin: bool,
    /// What git may see of the environment.
    pub git: GitEnvironment,
    /// Whether a run may name a repository on this machine by its path.
    pub local_sources: bool,
    /// Masks secrets and strips escapes.
    pub cleaner: CleanerFactory,
    /// Understands filter expressions.
    pub filter: FilterFactory,
}

impl fmt::Debug for RunnerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is a secret.
        f.debug_struct("RunnerConfig")
            .field("link_url", &self.link_url)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the runner's environment is not usable:\n{}", .problems.join("\n"))]
pub struct ConfigError {
    /// One line each.
    pub problems: Vec<String>,
}

impl RunnerConfig {
    /// A runner for this coordinator and token, without signal handling, cleaning or filters.
    #[must_use]
    pub fn new(link_url: &str, bootstrap_token: &str, slots: u32) -> Self {
        Self {
            link_url: link_url.to_owned(),
            bootstrap_token: bootstrap_token.to_owned(),
            slots,
            handle_signals: false,
            watch_stdin: false,
            git: GitEnvironment::default(),
            local_sources: false,
            cleaner: Arc::new(|_| Arc::new(|text| text)),
            // Running everything although a part was asked for would be a wrong answer.
            filter: Arc::new(|_| Err("this runner understands no filters".to_owned())),
        }
    }

    /// Whether the coordinator is on this machine, so that no proxy may come between.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.link_url)
    }
}

/// Reads the process's environment and, if the token is not in it, the first line of standard input.
///
/// # Errors
/// Every problem at once.
pub fn from_environment() -> Result<RunnerConfig, ConfigError> {
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let mut config = read(&variable, &mut io::stdin().lock(), cores)?;
    config.git = git_environment();
    Ok(config)
}

/// The variables that git may see.
#[must_use]
pub fn git_environment() -> GitEnvironment {
    let chosen = |names: &[&str]| -> BTreeMap<String, OsString> {
        names.iter().filter_map(|&name| Some((name.to_owned(), variable(name)?))).collect()
    };
    GitEnvironment { always: chosen(&GIT_ALWAYS), ssh: chosen(&GIT_SSH) }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn read(
    variable: &dyn Fn(&str) -> Option<OsString>,
    stdin: &mut dyn BufRead,
    cores: u32,
) -> Result<RunnerConfig, ConfigError> {
    let mut problems = Vec::new();
    let mut text = |name: &str| match variable(name).map(OsString::into_string) {
        Some(Ok(value)) => Some(value),
        Some(Err(_)) => {
            problems.push(format!("`{name}` is not UTF-8 text"));
            None
        }
        None => None,
    };
    let (url, token, slots) = (text(URL_VARIABLE), text(TOKEN_VARIABLE), text(SLOTS_VARIABLE));
    let plaintext = text(PLAINTEXT_VARIABLE).as_deref() == Some("1");
    let local_sources = text(LOCAL_VARIABLE).as_deref() == Some("1");
    let watch_stdin = token.is_none();
    let mut keep = |checked: Result<String, String>| checked.map_err(|problem| problems.push(problem)).ok();
    let url =
        keep(url.ok_or(format!("`{URL_VARIABLE}` is not set")).and_then(|url| check_url(url, plaintext)));
    let token = keep(token.map_or_else(|| read_token(stdin), Ok));
    let slots = match slots
        .map(|text| text.parse::<u32>().ok().filter(|n| (1..=SLOTS_LIMIT).contains(n)).ok_or(text))
    {
        None => cores,
        Some(Ok(slots)) => slots,
        Some(Err(text)) => {
            problems.push(format!("`{SLOTS_VARIABLE}` is `{text}`, not a number from 1 to {SLOTS_LIMIT}"));
            cores
        }
    };
    match (url, token) {
        (Some(url), Some(token)) if problems.is_empty() => {
            let config = RunnerConfig::new(&url, &token, slots);
            Ok(RunnerConfig { handle_signals: true, watch_stdin, local_sources, ..config })
        }
        _ => Err(ConfigError { problems }),
    }
}

fn check_url(url: String, plaintext: bool) -> Result<String, String> {
    let refuse = |reason: &str| Err(format!("`{URL_VARIABLE}` is `{url}`: {reason}"));
    if url.bytes().any(|byte| !byte.is_ascii_graphic()) || url.contains('@') {
        return Err(format!("`{URL_VARIABLE}` contains blanks, control characters or credentials"));
    }
    match url.split_once("://") {
        Some(("https", host)) if !host.is_empty() && cfg!(feature = "tls") => Ok(url),
        Some(("https", _)) => refuse("this runner was built without TLS"),
        Some(("http", host)) if !host.is_empty() && (plaintext || is_loopback(&url)) => Ok(url),
        Some(("http", _)) => refuse(&format!(
            "results and secrets would cross the network in the clear; use https, or set `{PLAINTEXT_VARIABLE}=1`"
        )),
        _ => refuse("it must begin with https:// or http://"),
    }
}

fn is_loopback(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "localhost" | "[::1]")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn read_token(stdin: &mut dyn BufRead) -> Result<String, String> {
    let mut line = String::new();
    let read = stdin.take(TOKEN_LIMIT_BYTES).read_line(&mut line);
    let token = line.trim();
    match read {
        Ok(_) if !token.is_empty() => Ok(token.to_owned()),
        Ok(_) => {
            Err(format!("no bootstrap token: neither in `{TOKEN_VARIABLE}` nor as a line of standard input"))
        }
        Err(error) => Err(format!("the bootstrap token cannot be read from standard input: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(variables: &[(&str, &str)], stdin: &str) -> Result<RunnerConfig, ConfigError> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
        };
        read(&variable, &mut stdin.as_bytes(), 3)
    }

    #[test]
    fn the_token_comes_by_environment_or_standard_input() {
        let url = ("FLEETEST_LINK_URL", "http://127.0.0.1:80");
        let config = read_with(&[url, ("FLEETEST_BOOTSTRAP_TOKEN", "secret")], "").unwrap();
        assert_eq!((config.bootstrap_token.as_str(), config.watch_stdin, config.slots), ("secret", false, 3));
        let config = read_with(&[url, ("FLEETEST_SLOTS", "7")], "by-pipe\nrest").unwrap();
        assert_eq!((config.bootstrap_token.as_str(), config.watch_stdin, config.slots), ("by-pipe", true, 7));
        assert!(!format!("{config:?}").contains("by-pipe"));
    }

    #[test]
    fn no_child_sees_what_is_the_runners_own() {
        let mut command = Command::new("true");
        let removed = |command: &Command| -> Vec<String> {
            let gone = command.get_envs().filter(|(_, value)| value.is_none());
            gone.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
        };
        let hidden = removed(hide_private(&mut command));
        for name in [URL_VARIABLE, TOKEN_VARIABLE, SLOTS_VARIABLE, PLAINTEXT_VARIABLE] {
            assert!(hidden.contains(&name.to_owned()), "{name}");
        }
    }

    #[test]
    fn all_problems_are_reported_together() {
        let error = read_with(&[("FLEETEST_SLOTS", "many")], "").unwrap_err();
        assert_eq!(error.problems.len(), 3, "{error}");
    }

    #[test]
    fn plain_http_needs_the_loopback_interface_or_a_word() {
        for (url, plaintext, taken) in [
            ("http://127.0.0.1:1/x", false, true),
            ("http://localhost:1", false, true),
            ("http://[::1]:1", false, true),
            ("https://example.org", false, cfg!(feature = "tls")),
            ("http://example.org", false, false),
            ("http://127.0.0.1.example.org", false, false),
            ("http://coordinator:80", true, true),
            ("ftp://127.0.0.1", true, false),
            ("127.0.0.1:80", true, false),
            ("http://", true, false),
            ("https://user:pw@example.org", false, false),
            ("http://127.0.0.1:80/\n", false, false),
        ] {
            assert_eq!(check_url(url.to_owned(), plaintext).is_ok(), taken, "{url}");
        }
    }
}
