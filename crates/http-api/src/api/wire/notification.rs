//! Notification rules and deliveries on the wire. Secrets go in and never come out.

use super::object;
use serde::{Deserialize, Serialize};
use shared::domain::notify::delivery::Delivery;
use shared::domain::notify::{Channel, Event, GithubPlace, GithubReport, Occasion, Rule};
use shared::domain::secret::Secret;
use utoipa::ToSchema;

/// What a rule wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OccasionWord {
    /// Every run that is over.
    Finished,
    /// Every run that failed, could not be judged or took too long.
    Failure,
    /// The first such run of a branch, and the one that passes again.
    FirstFailureAndRecovery,
    /// A case is flaky that was not known to be.
    NewFlaky,
}

impl From<OccasionWord> for Occasion {
    fn from(word: OccasionWord) -> Self {
        match word {
            OccasionWord::Finished => Self::Finished,
            OccasionWord::Failure => Self::Failure,
            OccasionWord::FirstFailureAndRecovery => Self::FirstFailureAndRecovery,
            OccasionWord::NewFlaky => Self::NewFlaky,
        }
    }
}

impl From<Occasion> for OccasionWord {
    fn from(occasion: Occasion) -> Self {
        match occasion {
            Occasion::Finished => Self::Finished,
            Occasion::Failure => Self::Failure,
            Occasion::FirstFailureAndRecovery => Self::FirstFailureAndRecovery,
            Occasion::NewFlaky => Self::NewFlaky,
        }
    }
}

/// What is written at GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GithubReportWord {
    /// Check runs; they need a GitHub App.
    Checks,
    /// Commit statuses.
    #[default]
    Statuses,
    /// Both.
    Both,
}

/// Where a rule listens.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelBody {
    /// A Slack incoming webhook.
    Slack {
        /// URL: a secret.
        #[schema(max_length = 2048, example = "https://hooks.slack.com/services/T000/B000/XXXX")]
        url: String,
    },
    /// A Microsoft Teams Workflows webhook.
    Teams {
        /// URL: a secret.
        #[schema(max_length = 2048)]
        url: String,
    },
    /// E-mail.
    Email {
        /// Addresses.
        #[schema(min_items = 1, max_items = 20)]
        to: Vec<String>,
    },
    /// Any receiver, signed.
    Webhook {
        /// URL: a secret.
        #[schema(max_length = 2048)]
        url: String,
        /// Signing secret; without one, a fresh one is made and shown once.
        #[serde(default)]
        #[schema(min_length = 16, max_length = 1024)]
        secret: Option<String>,
    },
    /// Checks and statuses at GitHub.
    Github {
        /// Owner.
        #[schema(max_length = 100)]
        owner: String,
        /// Repository.
        #[schema(max_length = 100)]
        repo: String,
        /// Token; without one, the server's GitHub App.
        #[serde(default)]
        #[schema(max_length = 1024)]
        token: Option<String>,
        /// Base of the API, for GitHub Enterprise.
        #[serde(default)]
        #[schema(max_length = 2048)]
        api_url: Option<String>,
        /// What is written.
        #[serde(default)]
        report: GithubReportWord,
    },
}

impl ChannelBody {
    /// The channel; `fresh` is the signing secret of a webhook that brought none.
    #[must_use]
    pub fn channel(self, fresh: Secret) -> Channel {
        match self {
            Self::Slack { url } => Channel::Slack { url: Secret::new(url) },
            Self::Teams { url } => Channel::Teams { url: Secret::new(url) },
            Self::Email { to } => Channel::Email { to },
            Self::Webhook { url, secret } => {
                Channel::Webhook { url: Secret::new(url), secret: secret.map_or(fresh, Secret::new) }
            }
            Self::Github { owner, repo, token, api_url, report } => {
                let report = match report {
                    GithubReportWord::Checks => GithubReport::Checks,
                    GithubReportWord::Statuses => GithubReport::Statuses,
                    GithubReportWord::Both => GithubReport::Both,
                };
                Channel::Github(GithubPlace { owner, repo, token: token.map(Secret::new), api_url, report })
            }
        }
    }
}

/// A rule to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRuleBody {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100, example = "team channel")]
    pub name: String,
    /// What it wants to hear of; at GitHub, `finished` and nothing else, which is the default there.
    #[serde(default)]
    #[schema(example = json!(["failure"]))]
    pub on: Vec<OccasionWord>,
    /// From which branches: names, or beginnings with a `*` behind them; none = from all.
    #[serde(default)]
    #[schema(max_items = 50, example = json!(["main", "release/*"]))]
    pub branches: Vec<String>,
    /// Where it listens.
    #[serde(deserialize_with = "object::whole")]
    pub channel: ChannelBody,
    /// Whether it is silent for now.
    #[serde(default)]
    pub paused: bool,
}

/// Changes of a rule; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleChange {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What it wants to hear of, all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<OccasionWord>>,
    /// Branches, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub branches: Option<Vec<String>>,
    /// Where it listens, with its secrets.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub channel: Option<ChannelBody>,
    /// Whether it is silent for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Where a rule listens, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChannelShown {
    /// `slack`, `teams`, `email`, `webhook` or `github`.
    pub kind: String,
    /// Host of the receiver; the rest of a URL may be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// Owner and repository at GitHub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Whether it holds a signing secret or a token.
    pub has_secret: bool,
}

impl From<&Channel> for ChannelShown {
    fn from(channel: &Channel) -> Self {
        let kind = channel.kind().to_owned();
        let none = Self { kind, url: None, to: None, repository: None, has_secret: false };
        match channel.masked() {
            Channel::Slack { url } | Channel::Teams { url } => {
                Self { url: Some(url.reveal().to_owned()), ..none }
            }
            Channel::Email { to } => Self { to: Some(to), ..none },
            Channel::Webhook { url, .. } => {
                Self { url: Some(url.reveal().to_owned()), has_secret: true, ..none }
            }
            Channel::Github(place) => Self {
                url: place.api_url,
                repository: Some(format!("{}/{}", place.owner, place.repo)),
                has_secret: place.token.is_some(),
                ..none
            },
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RuleShown {
    /// Id.
    #[schema(example = "rule_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// Name.
    pub name: String,
    /// What it wants to hear of.
    pub on: Vec<OccasionWord>,
    /// From which branches.
    pub branches: Vec<String>,
    /// Where it listens.
    pub channel: ChannelShown,
    /// Whether it is silent for now.
    pub paused: bool,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<Rule> for RuleShown {
    fn from(rule: Rule) -> Self {
        Self {
            id: rule.id.to_string(),
            channel: ChannelShown::from(&rule.channel),
            name: rule.name,
            on: rule.on.into_iter().map(OccasionWord::from).collect(),
            branches: rule.branches,
            paused: rule.paused,
            created_at: rule.created_at.rfc3339(),
            updated_at: rule.updated_at.rfc3339(),
        }
    }
}

/// A fresh rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RuleMade {
    /// The rule.
    pub rule: RuleShown,
    /// The signing secret that was made for it. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// One attempt to send a message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SendingShown {
    /// When its answer came (RFC 3339).
    #[schema(format = DateTime)]
    pub at: String,
    /// Why it was not taken; absent if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A message to one rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeliveryShown {
    /// Id.
    #[schema(example = "evt_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// The rule.
    pub rule: String,
    /// What the rule was called.
    pub rule_name: String,
    /// The kind of its channel.
    pub channel: String,
    /// The run; absent for a test message.
    pub run: Option<String>,
    /// What it tells.
    pub events: Vec<String>,
    /// `pending`, `delivered` or `failed`.
    pub status: String,
    /// Attempts that have an answer.
    pub attempts: Vec<SendingShown>,
    /// When it is to be tried next.
    #[schema(format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<Delivery> for DeliveryShown {
    fn from(delivery: Delivery) -> Self {
        let attempts = delivery.attempts.into_iter();
        Self {
            id: delivery.id.to_string(),
            rule: delivery.rule.to_string(),
            rule_name: delivery.rule_name,
            channel: delivery.channel,
            run: delivery.run.map(|run| run.to_string()),
            events: delivery.events.into_iter().map(Event::as_str).map(str::to_owned).collect(),
            status: delivery.status.as_str().to_owned(),
            attempts: attempts
                .map(|attempt| SendingShown { at: attempt.at.rfc3339(), problem: attempt.problem })
                .collect(),
            next_attempt_at: delivery.next_at.map(|at| at.rfc3339()),
            created_at: delivery.created_at.rfc3339(),
        }
    }
}
