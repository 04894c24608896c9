//! Projects: a registered repository with its settings; everything belongs to one.

use super::id::ProjectId;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How a project's runs are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// Runs of the project that may work at the same time; `None` = as many as there is room for.
    pub concurrency: Option<u32>,
    /// Runs of a project with a higher number are started first; 0 is ordinary.
    pub priority: i32,
    /// Whether a new run of a branch cancels the older ones of that branch that are not over.
    pub supersede: bool,
    /// Finished runs older than this many days are forgotten.
    pub keep_days: u32,
    /// Of the finished runs at most this many are kept.
    pub keep_runs: u32,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self { concurrency: None, priority: 0, supersede: false, keep_days: 90, keep_runs: 5_000 }
    }
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Id: its short name.
    pub id: ProjectId,
    /// What people call it.
    pub title: String,
    /// `https` or `ssh` URL of its repository, if its runs fetch one.
    pub repository: Option<String>,
    /// The branch that runs test by default.
    pub default_branch: String,
    /// A `fleetest.toml` for commits that have none of their own.
    pub config: Option<String>,
    /// Settings.
    pub settings: ProjectSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Longest id.
pub const ID_LIMIT_BYTES: usize = 64;

impl ProjectId {
    /// Reads an id from outside: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or a digit.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
        let allowed = |byte: u8| plain(byte) || matches!(byte, b'-' | b'_' | b'.');
        let sound = text.bytes().all(allowed) && text.bytes().next().is_some_and(plain);
        if !sound || text.len() > ID_LIMIT_BYTES {
            return Err(format!(
                "a project id has 1 to {ID_LIMIT_BYTES} lower-case letters, digits, `-`, `_` and `.`, and begins with a letter or a digit"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_plain_names() {
        for good in ["a", "web-api", "a.b_c-9", "0"] {
            assert_eq!(ProjectId::parse(good), Ok(ProjectId(good.to_owned())));
        }
        for bad in ["", "-a", ".", "A", "a b", "a/b", "ü", &"a".repeat(65)] {
            assert!(ProjectId::parse(bad).is_err(), "{bad}");
        }
    }
}
