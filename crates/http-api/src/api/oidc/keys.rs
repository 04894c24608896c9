//! Key sets of issuers, cached.
//!
//! A set is good for ten minutes. A `kid` that it does not hold makes it be fetched again at most once a minute; in
//! between every unknown `kid` is refused at once. While an issuer is away its old set is used for an hour.

use super::Algorithm;
use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde::Deserialize;
use serde_json::Value;
use shared::domain::time::Timestamp;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most keys of a set; a larger one is refused whole.
const KEYS_LIMIT: usize = 20;
/// Longest set, in bytes.
const SET_LIMIT_BYTES: usize = 256 * 1024;
const FRESH_MS: u64 = 10 * 60_000;
const USABLE_MS: u64 = 60 * 60_000;
const PAUSE_MS: u64 = 60_000;
const FIRST_PAUSE_MS: u64 = 5_000;
/// Base64url digits of 2048 bits.
const RSA_DIGITS: usize = 342;

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
#[error("the key set cannot be fetched: {0}")]
pub struct JwksUnavailable(pub String);

/// Where an issuer's key set comes from.
///
/// A source fetches from one fixed `https` address, with limits of time and size, and never from one that a token names.
#[async_trait]
pub trait JwksSource: fmt::Debug + Send + Sync {
    /// The key set (RFC 7517) as JSON text.
    async fn fetch(&self) -> Result<String, JwksUnavailable>;
}

/// A key set that was written into the settings.
#[derive(Debug, Clone)]
pub struct PinnedJwks(pub String);

#[async_trait]
impl JwksSource for PinnedJwks {
    async fn fetch(&self) -> Result<String, JwksUnavailable> {
        Ok(self.0.clone())
    }
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The set holds none.
    Unknown,
    /// There is no set.
    Unavailable,
}

struct VerifyingKey {
    kid: Option<String>,
    algorithm: Option<String>,
    key: DecodingKey,
}

struct KeySet {
    keys: Vec<VerifyingKey>,
    fetched_at: Timestamp,
}

impl KeySet {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fits = |key: &&VerifyingKey| {
            key.key.family() == algorithm.inner().family()
                && key.algorithm.as_deref().is_none_or(|named| named == algorithm.as_str())
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut found = self.keys.iter().filter(fits);
        let first = found.next();
        // Without a `kid` there must be no choice.
        first.filter(|_| found.next().is_none()).map(|key| &key.key)
    }
}

#[derive(Default)]
struct Cache {
    set: Option<Arc<KeySet>>,
    tried_at: Option<Timestamp>,
}

/// The keys of one issuer.
pub(super) struct KeyRing {
    source: Arc<dyn JwksSource>,
    cache: Mutex<Cache>,
    fetching: tokio::sync::Mutex<()>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("source", &self.source).finish_non_exhaustive()
    }
}

impl KeyRing {
    pub(super) fn new(source: Arc<dyn JwksSource>) -> Self {
        Self { source, cache: Mutex::default(), fetching: tokio::sync::Mutex::new(()) }
    }

    /// The key that a token says it was signed with.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<DecodingKey, Missing> {
        if let Some(key) = self.cached(FRESH_MS, kid, algorithm, now) {
            return Ok(key);
        }
        let alone = self.fetching.lock().await;
        if let Some(key) = self.cached(FRESH_MS, kid, algorithm, now) {
            return Ok(key);
        }
        if self.may_try(now) {
            self.refresh(now).await;
        }
        drop(alone);
        let found = self.cached(USABLE_MS, kid, algorithm, now);
        let usable = self.locked().set.as_ref().is_some_and(|set| now.since_ms(set.fetched_at) < USABLE_MS);
        found.ok_or(if usable { Missing::Unknown } else { Missing::Unavailable })
    }

    fn locked(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(
        &self,
        age_ms: u64,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Option<DecodingKey> {
        let set = self.locked().set.clone();
        set.filter(|set| now.since_ms(set.fetched_at) < age_ms)?.find(kid, algorithm).cloned()
    }

    fn may_try(&self, now: Timestamp) -> bool {
        let mut cache = self.locked();
        let pause = if cache.set.is_some() { PAUSE_MS } else { FIRST_PAUSE_MS };
        let may = cache.tried_at.is_none_or(|tried| now.since_ms(tried) >= pause);
        if may {
            cache.tried_at = Some(now);
        }
        may
    }

    async fn refresh(&self, now: Timestamp) {
        let fetched = self.source.fetch().await.ok();
        if let Some(keys) = fetched.as_deref().and_then(read) {
            self.locked().set = Some(Arc::new(KeySet { keys, fetched_at: now }));
        }
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys of a set that tokens can be verified with; `None` if it is no set.
fn read(text: &str) -> Option<Vec<VerifyingKey>> {
    let document: Document =
        (text.len() <= SET_LIMIT_BYTES).then(|| serde_json::from_str(text).ok()).flatten()?;
    (document.keys.len() <= KEYS_LIMIT).then(|| document.keys.iter().filter_map(verifying).collect())
}

fn verifying(value: &Value) -> Option<VerifyingKey> {
    let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if word("use").is_some_and(|word| word != "sig") {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    // A shared secret verifies nothing that others could not have made.
    let sound = if let AlgorithmParameters::RSA(rsa) = &jwk.algorithm {
        rsa.n.len() >= RSA_DIGITS
    } else {
        matches!(&jwk.algorithm, AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_))
    };
    let key = sound.then(|| DecodingKey::from_jwk(&jwk).ok()).flatten()?;
    Some(VerifyingKey { kid: word("kid"), algorithm: word("alg"), key })
}
