//! Tokens of runners: keyed digests over who they are for, so that nothing secret is stored.
//!
//! A bootstrap token names a shard attempt; a session token names it and the process that exchanged the
//! bootstrap token. Neither grants anything beyond that attempt's own calls.

use crate::domain::id::ShardAttempt;
use crate::service::ServiceError;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// The key; never printed.
#[derive(Clone)]
pub struct TokenKey(String);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub id: ShardAttempt,
    /// Which process of that attempt; empty for a bootstrap token.
    pub nonce: String,
}

impl TokenKey {
    /// A key from secret text of at least 32 characters.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The bootstrap token of a launch.
    #[must_use]
    pub fn bootstrap(&self, id: ShardAttempt) -> String {
        self.sign("flb", id, "")
    }

    /// The session token of a process.
    #[must_use]
    pub fn session(&self, id: ShardAttempt, nonce: &str) -> String {
        self.sign("fls", id, nonce)
    }

    /// Reads a bootstrap token.
    ///
    /// # Errors
    /// `BadToken` if it is not one of ours.
    pub fn read_bootstrap(&self, token: &str) -> Result<Caller, ServiceError> {
        self.read("flb", token)
    }

    /// Reads a session token.
    ///
    /// # Errors
    /// `BadToken` if it is not one of ours.
    pub fn read_session(&self, token: &str) -> Result<Caller, ServiceError> {
        self.read("fls", token)
    }

    /// A text that only this key can have made, for `purpose` alone: hexadecimal digits and a point.
    #[must_use]
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        let seal = self.mac(&format!("{purpose}\n{text}")).map(|mac| mac.finalize().into_bytes());
        format!("{}.{}", hex::encode(text), seal.map(hex::encode).unwrap_or_default())
    }

    /// The text that was sealed for this purpose; `None` if it was not.
    #[must_use]
    pub fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
        let (text, seal) = sealed.split_once('.')?;
        let text = String::from_utf8(hex::decode(text).ok()?).ok()?;
        let mac = self.mac(&format!("{purpose}\n{text}"))?;
        mac.verify_slice(&hex::decode(seal).ok()?).ok()?;
        Some(text)
    }

    fn sign(&self, kind: &str, id: ShardAttempt, nonce: &str) -> String {
        let claim = format!("{kind}.{}.{}.{}.{}.{nonce}", id.run, id.job, id.shard, id.attempt);
        let seal = self.mac(&claim).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default();
        format!("{claim}.{seal}")
    }

    fn mac(&self, claim: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok()?;
        mac.update(claim.as_bytes());
        Some(mac)
    }

    fn read(&self, kind: &str, token: &str) -> Result<Caller, ServiceError> {
        self.verify(kind, token).ok_or(ServiceError::BadToken)
    }

    fn verify(&self, kind: &str, token: &str) -> Option<Caller> {
        let (claim, seal) = token.rsplit_once('.')?;
        let seal = hex::decode(seal).ok()?;
        self.mac(claim)?.verify_slice(&seal).ok()?;
        let mut parts = claim.split('.');
        let known_kind = parts.next()? == kind;
        let id = ShardAttempt {
            run: parts.next()?.parse().ok()?,
            job: crate::domain::id::JobNo(parts.next()?.parse().ok()?),
            shard: parts.next()?.parse().ok()?,
            attempt: parts.next()?.parse().ok()?,
        };
        let nonce = parts.next()?.to_owned();
        (known_kind && parts.next().is_none()).then_some(Caller { id, nonce })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_good_for_its_purpose_alone() {
        let key = TokenKey::new("k".repeat(64));
        let sealed = key.seal("cursor runs", "run#1/ä");
        assert_eq!(key.unseal("cursor runs", &sealed).as_deref(), Some("run#1/ä"));
        assert_eq!(key.unseal("cursor keys", &sealed), None);
        assert_eq!(TokenKey::new("j".repeat(64)).unseal("cursor runs", &sealed), None);
        for broken in ["", ".", "zz.00", &sealed.replace('.', ""), &format!("00{sealed}")] {
            assert_eq!(key.unseal("cursor runs", broken), None, "{broken}");
        }
    }
    use crate::domain::id::{JobNo, RunId};
    use proptest::prelude::*;

    #[test]
    fn tokens_name_their_holder_and_cannot_be_bent() {
        let key = TokenKey::new("k".repeat(64));
        let id = ShardAttempt { run: RunId(7), job: JobNo(1), shard: 2, attempt: 3 };
        let token = key.session(id, "nonce");
        assert_eq!(key.read_session(&token).unwrap(), Caller { id, nonce: "nonce".to_owned() });
        assert!(key.read_bootstrap(&token).is_err());
        assert!(key.read_session(&token.replacen(".2.", ".1.", 1)).is_err());
        assert!(TokenKey::new("other".repeat(9)).read_session(&token).is_err());
        assert!(key.read_session("").is_err());
        assert!(!format!("{key:?}").contains('k'.to_string().repeat(8).as_str()));
    }

    proptest! {
        #[test]
        fn nothing_else_is_unsealed(noise in "\\PC{0,60}|[0-9a-f]{0,40}\\.[0-9a-f]{0,70}", place in 0usize..200, byte in any::<u8>()) {
            let key = TokenKey::new("k".repeat(64));
            prop_assert_eq!(key.unseal("cursor runs", &noise), None);
            let sealed = key.seal("cursor runs", &noise);
            let mut bent = sealed.clone().into_bytes();
            let place = place % bent.len();
            bent[place] = byte;
            if let Ok(bent) = String::from_utf8(bent) {
                let same = bent.eq_ignore_ascii_case(&sealed);
                prop_assert!(same || key.unseal("cursor runs", &bent).is_none(), "{}", bent);
            }
        }
    }
}
