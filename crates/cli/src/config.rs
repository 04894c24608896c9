//! What the command takes from its environment; nothing else of this crate reads it.
//!
//! `NO_COLOR`, `CLICOLOR_FORCE` and their kin are left to anstream, the size of the terminal to console.

use crate::ci::Ci;
use crate::remote::settings::Settings;
use std::ffi::OsString;
use std::path::PathBuf;

/// The environment, read once at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Where the user's programs keep their state (`$XDG_STATE_HOME`, else `~/.local/state`), if known.
    pub state_home: Option<PathBuf>,
    /// Where the user's programs keep what is theirs (`$XDG_DATA_HOME`, else `~/.local/share`), if known.
    pub data_home: Option<PathBuf>,
    /// Where relative paths start.
    pub here: PathBuf,
    /// Where scratch directories go.
    pub scratch: PathBuf,
    /// Whether the terminal cannot move its cursor.
    pub dumb_terminal: bool,
    /// Whether the locale says that only ASCII may be printed.
    pub ascii_only: bool,
    /// Which server the remote commands talk to.
    pub remote: Settings,
    /// The CI job that this is part of.
    pub ci: Option<Ci>,
}

impl Config {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        // A directory that was deleted under its shell is found out when it is looked at.
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Self::from_variables(|name| std::env::var_os(name), here, std::env::temp_dir())
    }

    /// The same from any source of variables.
    #[must_use]
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        here: PathBuf,
        scratch: PathBuf,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let absolute = |name: &str| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let terminal = text("TERM");
        // An unset locale is that of most containers, whose output is shown by terminals that know UTF-8.
        let locale = text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG"));
        let locale_is_ascii = locale.is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            !(name.contains("utf-8") || name.contains("utf8"))
        });
        Self {
            // The specification says that a relative XDG path must be ignored.
            state_home: absolute("XDG_STATE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state"))),
            data_home: absolute("XDG_DATA_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".local").join("share"))),
            here,
            scratch,
            dumb_terminal: terminal.as_deref() == Some("dumb"),
            ascii_only: locale_is_ascii || terminal.as_deref() == Some("linux"),
            remote: Settings::from_variables(text),
            ci: Ci::detect(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let of = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        Config::from_variables(of, PathBuf::from("/here"), PathBuf::from("/scratch"))
    }

    #[test]
    fn state_lives_where_the_specification_says() {
        let state = |variables: &[(&str, &str)]| config(variables).state_home;
        assert_eq!(state(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), Some("/x".into()));
        assert_eq!(state(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")]), Some("/h/.local/state".into()));
        assert_eq!(state(&[("XDG_STATE_HOME", ""), ("HOME", "/h")]), Some("/h/.local/state".into()));
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn only_a_locale_that_says_so_is_ascii() {
        assert!(!config(&[]).ascii_only);
        assert!(!config(&[("LANG", "C.UTF-8")]).ascii_only);
        assert!(config(&[("LANG", "C")]).ascii_only);
        assert!(config(&[("LC_ALL", "POSIX"), ("LANG", "en_GB.UTF-8")]).ascii_only);
        assert!(config(&[("TERM", "linux"), ("LANG", "en_GB.UTF-8")]).ascii_only);
    }

    #[test]
    fn a_dumb_terminal_is_known() {
        assert!(config(&[("TERM", "dumb")]).dumb_terminal);
        assert!(!config(&[("TERM", "xterm-256color")]).dumb_terminal);
    }
}
