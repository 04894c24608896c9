//! Tokens of identity providers (OpenID Connect): verified with pinned key sets and fixed algorithms.
//!
//! Nothing in a token decides how it is checked: its issuer must be one of the settings, which name the algorithms
//! and the keys; `kid` only selects among these keys. Algorithms with a shared secret cannot even be configured.

mod keys;

pub use keys::{JwksSource, JwksUnavailable, PinnedJwks};

use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::{Validation, decode};
use keys::{KeyRing, Missing};
use serde::Deserialize;
use shared::domain::member::{check_subject, subject_of};
use shared::domain::time::Timestamp;
use std::sync::Arc;

/// Longest token, in bytes.
pub const TOKEN_LIMIT_BYTES: usize = 8 * 1024;
const LEEWAY_S: f64 = 60.0;

/// How an issuer signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA PKCS#1 with SHA-256.
    Rs256,
    /// RSA PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    fn inner(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The name in tokens and key sets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// An identity provider whose tokens are believed.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// Its `iss`, compared as it is.
    pub issuer: String,
    /// What `aud` must contain one of.
    pub audiences: Vec<String>,
    /// Its algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Its keys.
    pub keys: Arc<dyn JwksSource>,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, Default)]
pub struct OidcSettings {
    /// The issuers.
    pub issuers: Vec<IssuerSettings>,
}

/// Why a token stands for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenRefused {
    #[error("the token is longer than {TOKEN_LIMIT_BYTES} bytes")]
    TooLong,
    #[error("the token is not well formed, or a claim is missing")]
    Malformed,
    #[error("the issuer of the token is not known here")]
    Issuer,
    #[error("the token is signed in a way that its issuer does not use")]
    Algorithm,
    #[error("the key that signed the token is not one of its issuer")]
    Key,
    #[error("the signature of the token is wrong")]
    Signature,
    #[error("the token is for someone else: its `aud` is not this service")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the keys of the issuer cannot be had now; try again")]
    Unavailable,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Debug)]
struct Issuer {
    settings: IssuerSettings,
    ring: KeyRing,
}

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct Verifier(Vec<Issuer>);

impl Verifier {
    pub(super) fn new(settings: &OidcSettings) -> Self {
        let issuer = |settings: &IssuerSettings| Issuer {
            ring: KeyRing::new(Arc::clone(&settings.keys)),
            settings: settings.clone(),
        };
        Self(settings.issuers.iter().map(issuer).collect())
    }

    /// The subject (`oidc:issuer#subject`) of a token that is good now.
    pub(super) async fn subject(&self, token: &str, now: Timestamp) -> Result<String, TokenRefused> {
        if token.len() > TOKEN_LIMIT_BYTES {
            return Err(TokenRefused::TooLong);
        }
        // Not believed yet: it only says by whose keys and rules the token is to be checked.
        let claimed = insecure_decode::<Claims>(token).or(Err(TokenRefused::Malformed))?;
        let mine = |issuer: &&Issuer| issuer.settings.issuer == claimed.claims.iss;
        let issuer = self.0.iter().find(mine).ok_or(TokenRefused::Issuer)?;
        let used = |algorithm: &Algorithm| algorithm.inner() == claimed.header.alg;
        let algorithm = issuer.settings.algorithms.iter().copied().find(used);
        let algorithm = algorithm.ok_or(TokenRefused::Algorithm)?;
        if claimed.header.crit.is_some() {
            return Err(TokenRefused::Malformed);
        }
        let key = issuer.ring.find(claimed.header.kid.as_deref(), algorithm, now).await?;
        let verified = decode::<Claims>(token, &key, &signature_only(algorithm));
        let claims = verified.or(Err(TokenRefused::Signature))?.claims;
        check(&claims, &issuer.settings, now)?;
        let subject = subject_of(&claims.iss, &claims.sub);
        check_subject(&subject).or(Err(TokenRefused::Malformed))?;
        Ok(subject)
    }
}

/// The claims are checked by us, against our clock.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm.inner());
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn check(claims: &Claims, issuer: &IssuerSettings, now: Timestamp) -> Result<(), TokenRefused> {
    let ours = |audience: &String| issuer.audiences.contains(audience);
    let meant = match &claims.aud {
        Audience::One(audience) => ours(audience),
        Audience::Many(audiences) => audiences.iter().any(ours),
    };
    let now_s = std::time::Duration::from_millis(now.0).as_secs_f64();
    let future = |time: Option<f64>| time.is_some_and(|time| time > now_s + LEEWAY_S);
    if !meant {
        Err(TokenRefused::Audience)
    } else if claims.exp + LEEWAY_S <= now_s {
        Err(TokenRefused::Expired)
    } else if future(claims.nbf) || future(claims.iat) {
        Err(TokenRefused::Early)
    } else {
        Ok(())
    }
}

impl From<Missing> for TokenRefused {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unknown => Self::Key,
            Missing::Unavailable => Self::Unavailable,
        }
    }
}
