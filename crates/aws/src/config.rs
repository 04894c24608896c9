//! Where the AWS functions read their environment; nowhere else does.
//!
//! All problems are reported together, each with the name of its variable. Nothing is looked up anywhere else:
//! no profile, no metadata address.

mod check;
mod reading;

use aws_credential_types::Credentials;
use check::Check;
use reading::Reading;
use std::fmt;

/// A variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong, and what is wanted.
    pub text: String,
}

/// Everything that is wrong with the environment, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the environment is not complete")?;
        self.problems.iter().try_for_each(|problem| write!(f, "; `{}` {}", problem.variable, problem.text))
    }
}

impl std::error::Error for ConfigError {}

/// Who calls AWS, and where.
#[derive(Clone)]
pub struct Account {
    /// Region, as in `eu-central-1`.
    pub region: String,
    /// Access key id.
    pub key_id: String,
    /// Secret access key.
    pub secret: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// Address of an emulator that answers for every service.
    pub endpoint: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets stay out of logs.
        f.debug_struct("Account")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Account {
    pub(crate) fn credentials(&self) -> Credentials {
        let (key, secret, token) = (self.key_id.clone(), self.secret.clone(), self.session_token.clone());
        Credentials::new(key, secret, token, None, "environment")
    }
}

/// The queue of each topic, and that of dead events, by URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// Runs to be planned.
    pub plan: String,
    /// Runs whose shards are to be launched.
    pub launch: String,
    /// Runs to be proved and closed.
    pub aggregate: String,
    /// No topic: events that functions could not be given or could not handle.
    pub events_dead: String,
}

/// Where and how tasks are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Cluster, by name or ARN.
    pub cluster: String,
    /// Task definition, by family, family and revision, or ARN.
    pub task_definition: String,
    /// The container of the task that is the runner.
    pub container: String,
    /// Subnets, best one per zone.
    pub subnets: Vec<String>,
    /// Security groups; none = the default one of the network.
    pub security_groups: Vec<String>,
    /// Whether tasks get public addresses: needed in subnets without a NAT gateway.
    pub public_address: bool,
    /// Whether spare capacity is tried first.
    pub spot: bool,
    /// Where runners find the coordinator.
    pub link_url: String,
}

/// Where repositories are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Github {
    /// Host of their addresses, in small letters.
    pub host: String,
    /// Base of the REST API of this host.
    pub api_url: String,
    /// Secret with a token for it, by name or ARN; none = what everybody sees, and little of it in an hour.
    pub token_secret: Option<String>,
}

impl Default for Github {
    fn default() -> Self {
        Self {
            host: "github.com".to_owned(),
            api_url: "https://api.github.com".to_owned(),
            token_secret: None,
        }
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who and where.
    pub account: Account,
    /// The table.
    pub table: String,
    /// The bucket.
    pub bucket: String,
    /// The queues.
    pub queues: QueueUrls,
    /// The runners.
    pub fleet: Fleet,
    /// Event bus on which the ends of runs are told, by name or ARN.
    pub event_bus: String,
    /// Secret that the tokens of runners are made with, by name or ARN.
    pub token_key_secret: String,
    /// Sender of mails, verified with SES; none = no mail is sent.
    pub mail_from: Option<String>,
    /// Repositories.
    pub github: Github,
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Every missing or wrong variable.
    pub fn from_environment() -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere; an empty one is a missing one.
    ///
    /// # Errors
    /// Every missing or wrong variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reading = Reading::new(&lookup);
        let account = account(&mut reading);
        let check = Check::in_region(&account.region, account.endpoint.is_some());
        let config = Self {
            table: reading.need("FLEETEST_TABLE", check::table),
            bucket: reading.need("FLEETEST_BUCKET", check::bucket),
            queues: QueueUrls {
                plan: reading.need("FLEETEST_PLAN_QUEUE_URL", |text| check.queue_url(text)),
                launch: reading.need("FLEETEST_LAUNCH_QUEUE_URL", |text| check.queue_url(text)),
                aggregate: reading.need("FLEETEST_AGGREGATE_QUEUE_URL", |text| check.queue_url(text)),
                events_dead: reading.need("FLEETEST_EVENTS_DEAD_QUEUE_URL", |text| check.queue_url(text)),
            },
            fleet: fleet(&mut reading, &check),
            event_bus: reading.need("FLEETEST_EVENT_BUS", |text| check.named("event bus", text)),
            token_key_secret: reading.need("FLEETEST_TOKEN_KEY_SECRET", |text| check.named("secret", text)),
            mail_from: reading.may("FLEETEST_MAIL_FROM", check::sender),
            github: github(&mut reading, &check),
            account,
        };
        reading.finish(config)
    }
}

fn account(reading: &mut Reading<'_>) -> Account {
    Account {
        region: reading.need("AWS_REGION", check::region),
        key_id: reading.need("AWS_ACCESS_KEY_ID", check::any),
        secret: reading.need("AWS_SECRET_ACCESS_KEY", check::any),
        session_token: reading.may("AWS_SESSION_TOKEN", check::any),
        endpoint: reading.may("AWS_ENDPOINT_URL", check::address),
    }
}

fn fleet(reading: &mut Reading<'_>, check: &Check) -> Fleet {
    Fleet {
        cluster: reading.need("FLEETEST_CLUSTER", |text| check.named("cluster", text)),
        task_definition: reading
            .need("FLEETEST_TASK_DEFINITION", |text| check.named("task definition", text)),
        container: reading.may("FLEETEST_CONTAINER", check::container).unwrap_or_else(|| "runner".to_owned()),
        subnets: reading.list("FLEETEST_SUBNETS", check::subnets),
        security_groups: reading.list("FLEETEST_SECURITY_GROUPS", check::security_groups),
        public_address: reading.flag("FLEETEST_PUBLIC_ADDRESS", false),
        spot: reading.flag("FLEETEST_SPOT", true),
        link_url: reading.need("FLEETEST_LINK_URL", check::address),
    }
}

fn github(reading: &mut Reading<'_>, check: &Check) -> Github {
    const API: &str = "FLEETEST_GITHUB_API";
    let usual = Github::default();
    let token_secret = reading.may("FLEETEST_GITHUB_TOKEN_SECRET", |text| check.named("secret", text));
    match reading.may("FLEETEST_GITHUB_HOST", check::host).map(|host| host.to_ascii_lowercase()) {
        Some(host) if host != usual.host => {
            // At the API of another host, other repositories have the same names.
            let api_url = reading.need(API, |text| check.api_besides(&usual.api_url, text));
            Github { host, api_url, token_secret }
        }
        Some(_) | None => {
            let api_url = reading.may(API, |text| check.api(text)).unwrap_or(usual.api_url);
            Github { host: usual.host, api_url, token_secret }
        }
    }
}

#[cfg(test)]
mod tests;
