//! The settings file of `fleetest serve`: what an instance needs to know of the world around it.
//!
//! Everything is checked when the process starts, and everything that is wrong is told at once. Secrets stand in files
//! of their own, so that the settings can be shown to anybody.

mod identity;

use crate::exit::Problem;
use embedded::system::SystemClock;
use http_api::api::oidc::{Algorithm, IssuerSettings, JwksSource, OidcSettings, PinnedJwks};
use identity::{Discovered, KeySetUrl};
use notify::github::GithubApp;
use notify::mail::{MailSettings, MailTls, Mailer};
use serde::Deserialize;
use shared::domain::secret::Secret;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    public_url: Option<String>,
    metrics: Option<WrittenMetrics>,
    mail: Option<WrittenMail>,
    github_app: Option<WrittenApp>,
    #[serde(default)]
    notifications: WrittenNotifications,
    #[serde(default)]
    oidc: Vec<WrittenIssuer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMetrics {
    token_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMail {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    tls: WrittenTls,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenTls {
    Implicit,
    #[default]
    StartTls,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenApp {
    id: String,
    private_key_file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenNotifications {
    allow_hosts: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIssuer {
    issuer: String,
    audiences: Vec<String>,
    #[serde(default = "usual_algorithms")]
    algorithms: Vec<WrittenAlgorithm>,
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    #[serde(default)]
    admins: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum WrittenAlgorithm {
    RS256,
    PS256,
    ES256,
    ES384,
    EdDSA,
}

fn usual_algorithms() -> Vec<WrittenAlgorithm> {
    vec![WrittenAlgorithm::RS256, WrittenAlgorithm::ES256]
}

impl WrittenAlgorithm {
    fn meant(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::Rs256,
            Self::PS256 => Algorithm::Ps256,
            Self::ES256 => Algorithm::Es256,
            Self::ES384 => Algorithm::Es384,
            Self::EdDSA => Algorithm::EdDsa,
        }
    }
}

/// What the file says, ready to be used.
#[derive(Debug, Default)]
pub(super) struct ServeSettings {
    /// Where others reach the instance, without a slash at the end.
    pub(super) public_url: Option<String>,
    /// Bearer token of `/metrics`.
    pub(super) metrics_token: Option<String>,
    /// The mail relay.
    pub(super) mailer: Option<Mailer>,
    /// The GitHub App.
    pub(super) github_app: Option<GithubApp>,
    /// Hosts that notifications may go to besides the public internet.
    pub(super) allow_hosts: BTreeSet<String>,
    /// Identity providers.
    pub(super) oidc: OidcSettings,
    /// Their subjects that are admin of everything.
    pub(super) admins: BTreeSet<String>,
}

/// Everything that is wrong with a file.
#[derive(Debug, Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, key: &str, why: &dyn std::fmt::Display) {
        self.0.push(format!("`{key}`: {why}"));
    }

    fn keep<T, X: Error>(&mut self, key: &str, made: Result<T, X>) -> Option<T> {
        made.map_err(|error| self.add(key, &in_full(&error))).ok()
    }
}

fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text = format!("{text}: {error}");
        below = error.source();
    }
    text
}

impl ServeSettings {
    /// Reads a file; names of files in it are relative to its folder.
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("the settings `{shown}` cannot be read"))
                .hint("name a file that is there with `--config`, or leave the option out")
                .because(error)
        })?;
        let wrong = |faults: String| {
            Problem::usage(format!("the settings `{shown}` are wrong:\n{}", faults.trim_end()))
                .hint("docs/serve.md lists every setting")
        };
        let written: Written = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let mut faults = Faults::default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let settings = written.check(folder, &mut faults);
        if faults.0.is_empty() { Ok(settings) } else { Err(wrong(faults.0.join("\n"))) }
    }
}

impl Written {
    fn check(self, folder: &Path, faults: &mut Faults) -> ServeSettings {
        let issuers: Vec<_> = self.oidc.iter().filter_map(|written| written.check(folder, faults)).collect();
        let admins = self.oidc.iter().flat_map(WrittenIssuer::admins).collect();
        ServeSettings {
            public_url: self.public_url.and_then(|url| public_url(&url, faults)),
            metrics_token: self.metrics.and_then(|written| {
                secret(folder, &written.token_file, "metrics.token_file", faults)
                    .map(|token| token.reveal().to_owned())
            }),
            mailer: self.mail.and_then(|written| written.check(folder, faults)),
            github_app: self.github_app.and_then(|written| written.check(folder, faults)),
            allow_hosts: self.notifications.allow_hosts,
            oidc: OidcSettings { issuers },
            admins,
        }
    }
}

fn public_url(url: &str, faults: &mut Faults) -> Option<String> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_good = host.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', ' '])
    });
    if !is_good {
        faults.add("public_url", &format!("`{url}` is no address like `https://fleetest.example.org`"));
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// The text of a file without the line end that editors put there.
fn secret(folder: &Path, file: &Path, key: &str, faults: &mut Faults) -> Option<Secret> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| faults.add(key, &format!("`{}`: {error}", path.display()))).ok()?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        faults.add(key, &format!("`{}` is empty", path.display()));
        return None;
    }
    Some(Secret::new(text))
}

impl WrittenMail {
    fn check(self, folder: &Path, faults: &mut Faults) -> Option<Mailer> {
        let login = match (self.user, self.password_file) {
            (Some(user), Some(file)) => Some((user, secret(folder, &file, "mail.password_file", faults)?)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                faults.add("mail", &"`user` and `password_file` go together");
                return None;
            }
        };
        let tls = match self.tls {
            WrittenTls::Implicit => MailTls::Implicit,
            WrittenTls::StartTls => MailTls::StartTls,
            WrittenTls::None => MailTls::Plain,
        };
        let settings = MailSettings { host: self.host, port: self.port, tls, login, from: self.from };
        faults.keep("mail", Mailer::new(settings))
    }
}

impl WrittenApp {
    fn check(self, folder: &Path, faults: &mut Faults) -> Option<GithubApp> {
        let key = secret(folder, &self.private_key_file, "github_app.private_key_file", faults)?;
        faults.keep(
            "github_app.private_key_file",
            GithubApp::new(self.id, &key, Arc::new(SystemClock::default())),
        )
    }
}

impl WrittenIssuer {
    /// How its subjects are named everywhere.
    fn admins(&self) -> impl Iterator<Item = String> {
        self.admins.iter().map(|subject| format!("oidc:{}#{subject}", self.issuer))
    }

    fn check(&self, folder: &Path, faults: &mut Faults) -> Option<IssuerSettings> {
        let key = |name: &str| format!("oidc.{name} of {}", self.issuer);
        if self.audiences.is_empty() {
            faults.add(&key("audiences"), &"at least one is needed, or tokens for others would be believed");
        }
        if self.algorithms.is_empty() {
            faults.add(&key("algorithms"), &"at least one is needed");
        }
        let keys: Arc<dyn JwksSource> = match (&self.jwks_url, &self.jwks_file) {
            (Some(_), Some(_)) => {
                faults.add(&key("jwks_url"), &"either this or `jwks_file`");
                return None;
            }
            (None, Some(file)) => {
                Arc::new(PinnedJwks(secret(folder, file, &key("jwks_file"), faults)?.reveal().to_owned()))
            }
            (Some(url), None) => Arc::new(faults.keep(&key("jwks_url"), KeySetUrl::new(url.clone()))?),
            (None, None) => Arc::new(faults.keep(&key("issuer"), Discovered::new(self.issuer.clone()))?),
        };
        Some(IssuerSettings {
            issuer: self.issuer.clone(),
            audiences: self.audiences.clone(),
            algorithms: self.algorithms.iter().map(|written| written.meant()).collect(),
            keys,
        })
    }
}

#[cfg(test)]
mod tests;
