//! A rule of a project: what it wants to hear of, from which branches, and where it listens.

use super::Occasion;
use crate::domain::id::RuleId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most rules of one project: what a run has to tell is written by one commit.
pub const RULES_LIMIT: usize = 20;
const NAME_LIMIT_CHARS: usize = 100;
const BRANCHES_LIMIT: usize = 50;
const BRANCH_LIMIT_BYTES: usize = 255;
const URL_LIMIT_BYTES: usize = 2048;
const ADDRESSES_LIMIT: usize = 20;
const ADDRESS_LIMIT_BYTES: usize = 254;
const SECRET_LIMIT_BYTES: usize = 1024;

/// What is written at GitHub about a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GithubReport {
    /// Check runs, with annotations and a button to run again. Only a GitHub App may write them.
    Checks,
    /// Commit statuses. Any token with the right may write them.
    Statuses,
    /// Both.
    Both,
}

/// A repository at GitHub, and how to write to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubPlace {
    /// Owner.
    pub owner: String,
    /// Repository.
    pub repo: String,
    /// Token; without one, the GitHub App that the server is configured with.
    pub token: Option<Secret>,
    /// Base of the API; `None` = that of github.com.
    pub api_url: Option<String>,
    /// What is written.
    pub report: GithubReport,
}

/// Where a rule listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Channel {
    /// A Slack incoming webhook. Its URL is the secret.
    Slack {
        /// URL.
        url: Secret,
    },
    /// A Microsoft Teams Workflows webhook. Its URL is the secret.
    Teams {
        /// URL.
        url: Secret,
    },
    /// E-mail.
    Email {
        /// Addresses.
        to: Vec<String>,
    },
    /// Any HTTP receiver; what it gets is signed.
    Webhook {
        /// URL.
        url: Secret,
        /// Signing secret.
        secret: Secret,
    },
    /// GitHub.
    Github(GithubPlace),
}

impl Channel {
    /// Its kind in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
            Self::Github(_) => "github",
        }
    }

    /// The channel without its secrets, for people and logs.
    #[must_use]
    pub fn masked(&self) -> Self {
        match self {
            Self::Slack { url } => Self::Slack { url: url.masked() },
            Self::Teams { url } => Self::Teams { url: url.masked() },
            Self::Email { .. } => self.clone(),
            Self::Webhook { url, .. } => Self::Webhook { url: url.masked(), secret: Secret::new("…") },
            Self::Github(place) => Self::Github(GithubPlace {
                token: place.token.as_ref().map(|_| Secret::new("…")),
                ..place.clone()
            }),
        }
    }

    fn check(&self) -> Result<(), Wrong> {
        match self {
            Self::Slack { url } | Self::Teams { url } => check_url("/channel/url", url.reveal()),
            Self::Email { to } => check_addresses(to),
            Self::Webhook { url, secret } => {
                check_url("/channel/url", url.reveal())?;
                let what = "a signing secret has at least 16 characters and at most 1024 bytes";
                Wrong::unless(secret.can_sign(), "/channel/secret", what)
            }
            Self::Github(place) => place.check(),
        }
    }
}

impl GithubPlace {
    fn check(&self) -> Result<(), Wrong> {
        for (pointer, name) in [("/channel/owner", &self.owner), ("/channel/repo", &self.repo)] {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let sound =
                (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.');
            Wrong::unless(sound, pointer, "give the owner and the repository as they stand in its URL")?;
        }
        let token = self.token.as_ref().map_or("x", Secret::reveal);
        let sound =
            (1..=SECRET_LIMIT_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        Wrong::unless(sound, "/channel/token", "a token is printable ASCII without spaces")?;
        self.api_url.as_deref().map_or(Ok(()), |url| check_url("/channel/api_url", url))
    }
}

/// What is wrong with a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// JSON pointer.
    pub pointer: &'static str,
    /// A sentence.
    pub detail: &'static str,
}

impl Wrong {
    fn unless(sound: bool, pointer: &'static str, detail: &'static str) -> Result<(), Self> {
        if sound { Ok(()) } else { Err(Self { pointer, detail }) }
    }
}

/// Only what can never be a URL to send to; the guard of the client judges the rest when it sends.
fn check_url(pointer: &'static str, url: &str) -> Result<(), Wrong> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let clean = url.chars().all(|c| c.is_ascii_graphic()) && url.len() <= URL_LIMIT_BYTES;
    let sound = clean && !host.is_empty() && !host.contains('@');
    Wrong::unless(sound, pointer, "give an absolute https URL without user, spaces or control characters")
}

fn check_addresses(to: &[String]) -> Result<(), Wrong> {
    let counted = (1..=ADDRESSES_LIMIT).contains(&to.len());
    Wrong::unless(counted, "/channel/to", "give 1 to 20 addresses")?;
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | ',' | ';' | ':' | '"' | '\\' | '(' | ')');
    let sound = |address: &String| {
        let parts: Vec<&str> = address.split('@').collect();
        address.len() <= ADDRESS_LIMIT_BYTES
            && address.chars().all(plain)
            && parts.len() == 2
            && parts.iter().all(|part| !part.is_empty())
    };
    Wrong::unless(to.iter().all(sound), "/channel/to", "an address looks like `someone@example.org`")
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Id.
    pub id: RuleId,
    /// What people call it.
    pub name: String,
    /// What it wants to hear of.
    pub on: BTreeSet<Occasion>,
    /// From which branches: names, or beginnings of names with a `*` behind them; none = from all.
    pub branches: Vec<String>,
    /// Where it listens.
    pub channel: Channel,
    /// Whether it is silent for now.
    pub paused: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Rule {
    /// Whether it wants to hear of this branch at all.
    #[must_use]
    pub fn listens_to(&self, branch: Option<&str>) -> bool {
        let fits = |pattern: &String| {
            branch.is_some_and(|branch| match pattern.strip_suffix('*') {
                Some(beginning) => branch.starts_with(beginning),
                None => branch == pattern,
            })
        };
        !self.paused && (self.branches.is_empty() || self.branches.iter().any(fits))
    }

    /// The rule without its secrets, for people and logs.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self { channel: self.channel.masked(), ..self.clone() }
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check(&self) -> Result<(), Wrong> {
        let name = self.name.chars().count();
        let named = (1..=NAME_LIMIT_CHARS).contains(&name) && !self.name.chars().any(char::is_control);
        Wrong::unless(named, "/name", "a name has 1 to 100 printable characters")?;
        Wrong::unless(!self.on.is_empty(), "/on", "say at least one thing that it wants to hear of")?;
        let whole = self.on.iter().all(|occasion| *occasion == Occasion::Finished);
        let github = matches!(self.channel, Channel::Github(_));
        Wrong::unless(whole || !github, "/on", "GitHub is told of every run: `finished` and nothing else")?;
        let pattern = |pattern: &String| {
            let stem = pattern.strip_suffix('*').unwrap_or(pattern);
            !pattern.is_empty()
                && pattern.len() <= BRANCH_LIMIT_BYTES
                && !stem.contains('*')
                && !stem.chars().any(char::is_control)
        };
        let patterns = self.branches.len() <= BRANCHES_LIMIT && self.branches.iter().all(pattern);
        Wrong::unless(patterns, "/branches", "a branch is a name, or the beginning of names and one `*`")?;
        self.channel.check()
    }
}
