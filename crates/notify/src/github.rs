//! The server's GitHub App: a signed claim of being it becomes a token for one repository, good for an hour.

use crate::client::{Call, CallError, Outbound, Reply};
use crate::sender::{failed, judge};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use shared::domain::notify::parcel::Answer;
use shared::domain::secret::Secret;
use shared::domain::time::Timestamp;
use shared::ports::Clock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A claim is good for this long; GitHub allows ten minutes.
const CLAIM_S: u64 = 480;
/// Clocks may differ by this much.
const DRIFT_S: u64 = 60;
/// A token is used for this long; GitHub gives an hour.
const TOKEN_MS: u64 = 50 * 60 * 1000;
/// Repositories whose tokens are remembered.
const REMEMBERED: usize = 1_000;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppKeyError {
    /// It is no PEM text of an RSA key.
    #[error("the private key is no PEM text with an RSA key (take the file that GitHub gave you)")]
    NoPem,
    /// It is no RSA key that can sign.
    #[error("the private key is not usable: it must be RSA with 2048 bits or more")]
    Unusable,
}

/// The App.
pub struct GithubApp {
    id: String,
    key: RsaKeyPair,
    clock: Arc<dyn Clock>,
    tokens: Mutex<BTreeMap<String, (Secret, Timestamp)>>,
}

impl fmt::Debug for GithubApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubApp").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Token {
    token: Secret,
}

impl GithubApp {
    /// The App with this id (or client id) and private key.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn new(id: String, private_key_pem: &Secret, clock: Arc<dyn Clock>) -> Result<Self, AppKeyError> {
        let (label, der) = unpack(private_key_pem.reveal()).ok_or(AppKeyError::NoPem)?;
        let key = match label.as_str() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            _ => return Err(AppKeyError::NoPem),
        };
        let key = key.map_err(|_rejected| AppKeyError::Unusable)?;
        Ok(Self { id, key, clock, tokens: Mutex::new(BTreeMap::new()) })
    }

    /// A token for one repository.
    pub(crate) async fn token(
        &self,
        outbound: &Outbound,
        api_url: &str,
        owner: &str,
        repo: &str,
    ) -> Result<Secret, Answer> {
        let place = format!("{api_url}/repos/{owner}/{repo}/installation");
        if let Some(token) = self.remembered(&place) {
            return Ok(token);
        }
        let claim = self
            .claim()
            .ok_or_else(|| Answer::Refused { reason: "the GitHub App's key could not sign".to_owned() })?;
        let ask = |url, body| Call { url, headers: &[], body, bearer: Some(&claim) };
        let found: Installation = parsed(outbound.call(ask(&place, None)).await)?;
        let place_of_tokens = format!("{api_url}/app/installations/{}/access_tokens", found.id);
        let wanted = json!({
            "repositories": [repo], "permissions": { "checks": "write", "statuses": "write" },
        });
        let token: Token = parsed(outbound.call(ask(&place_of_tokens, Some(&wanted.to_string()))).await)?;
        self.remember(place, token.token.clone());
        Ok(token.token)
    }

    fn remembered(&self, place: &str) -> Option<Secret> {
        let now = self.clock.now();
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(place).filter(|(_, until)| now < *until).map(|(token, _)| token.clone())
    }

    fn remember(&self, place: String, token: Secret) {
        let now = self.clock.now();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until)| now < *until);
        if tokens.len() < REMEMBERED {
            tokens.insert(place, (token, now.plus_ms(TOKEN_MS)));
        }
    }

    /// A JSON web token, signed with RS256, that says who calls.
    fn claim(&self) -> Option<String> {
        let now = self.clock.now().0 / 1000;
        let header = json!({ "alg": "RS256", "typ": "JWT" }).to_string();
        let claims =
            json!({ "iat": now.saturating_sub(DRIFT_S), "exp": now.saturating_add(CLAIM_S), "iss": self.id });
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn parsed<T: DeserializeOwned>(reply: Result<Reply, CallError>) -> Result<T, Answer> {
    let reply = reply.map_err(|error| failed(&error))?;
    match judge(&reply) {
        Answer::Delivered => {
            serde_json::from_slice(&reply.body).map_err(|error| failed(&CallError::NotJson(error)))
        }
        Answer::Refused { .. } => Err(Answer::Refused {
            reason: format!(
                "GitHub answered {} to its App (is it installed in the repository?)",
                reply.status
            ),
        }),
        later @ Answer::Later { .. } => Err(later),
    }
}

/// Label and bytes of the first block of a PEM text.
fn unpack(pem: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let digits: String = body.split_whitespace().collect();
    Some((label.to_owned(), STANDARD.decode(digits).ok()?))
}
