//! API keys: `fl_`, forty random hexadecimal digits, and six that check them.
//!
//! Only the digest of a key is stored: with 160 random bits nothing slower is needed. The check digits tell a
//! mistyped or cut key from an unknown one without a look into the store, and let scanners find leaked keys.

use super::access::{Grant, Principal, Role, Scope};
use super::id::{KeyId, ProjectId, digest_hex};
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What every key begins with.
pub const PREFIX: &str = "fl_";
const RANDOM_DIGITS: usize = 40;
const CHECK_DIGITS: usize = 6;

/// A key as its owner holds it; never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

impl KeyText {
    /// A key made of fresh randomness: at least forty hexadecimal digits; `None` if there are fewer.
    #[must_use]
    pub fn from_secret(secret: &str) -> Option<Self> {
        let random = secret.get(..RANDOM_DIGITS).filter(|digits| is_hex(digits))?;
        Some(Self(format!("{PREFIX}{random}{}", check_of(random))))
    }

    /// Reads what someone sent; `None` if it cannot be a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let well_formed = digits.len() == RANDOM_DIGITS + CHECK_DIGITS && is_hex(digits);
        let (random, check) = well_formed.then(|| digits.split_at(RANDOM_DIGITS))?;
        (check == check_of(random)).then(|| Self(text.to_owned()))
    }

    /// The text itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored instead of it.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_hex(&self.0)
    }

    /// Its beginning, by which people tell their keys apart.
    #[must_use]
    pub fn hint(&self) -> String {
        self.0.chars().take(PREFIX.len() + 6).collect()
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_of(random: &str) -> String {
    digest_hex(&format!("fleetest key {random}")).chars().take(CHECK_DIGITS).collect()
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Id.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of its text.
    pub digest: String,
    /// The beginning of its text.
    pub hint: String,
    /// The project it is good for; `None` = all.
    pub project: Option<ProjectId>,
    /// Role.
    pub role: Role,
    /// Scopes.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The key that it was made to replace.
    pub replaces: Option<KeyId>,
}

impl Key {
    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        !over(self.expires_at) && !over(self.revoked_at)
    }

    /// Whom it stands for.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal {
            subject: format!("key:{}", self.id),
            grants: vec![Grant { project: self.project.clone(), role: self.role }],
            scopes: self.scopes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_key_survives_its_text_and_hides_from_debug() {
        let key = KeyText::from_secret(SECRET).unwrap();
        assert_eq!(KeyText::parse(key.reveal()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "KeyText(..)");
        assert_eq!((key.hint().as_str(), key.digest().len()), ("fl_012345", 64));
        assert_eq!(KeyText::from_secret("0123"), None);
        assert_eq!(KeyText::from_secret(&"ü".repeat(40)), None);
    }

    #[test]
    fn a_key_ends_when_it_expires_or_is_revoked() {
        let mut key = Key {
            id: KeyId(1),
            name: "ci".to_owned(),
            digest: String::new(),
            hint: String::new(),
            project: None,
            role: Role::Viewer,
            scopes: BTreeSet::new(),
            created_at: Timestamp(0),
            created_by: String::new(),
            expires_at: Some(Timestamp(10)),
            revoked_at: None,
            last_used_at: None,
            replaces: None,
        };
        assert!(key.is_live(Timestamp(9)) && !key.is_live(Timestamp(10)));
        key.revoked_at = Some(Timestamp(5));
        assert!(key.is_live(Timestamp(4)) && !key.is_live(Timestamp(5)));
    }

    proptest! {
        #[test]
        fn nothing_else_is_a_key(text in "\\PC{0,60}", place in 3usize..49, digit in "[0-9a-f]") {
            prop_assert_eq!(KeyText::parse(&text), None);
            let key = KeyText::from_secret(SECRET).unwrap();
            let mut changed = key.reveal().to_owned();
            changed.replace_range(place..=place, &digit);
            prop_assert_eq!(KeyText::parse(&changed).is_some(), changed == key.reveal());
        }
    }
}
