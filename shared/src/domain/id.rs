//! Identifiers: newtypes with a printed prefix and a strict parser.
//!
//! Ids are made outside (the `IdSource` port) or derived by hashing; this module only gives them a type
//! and a text form. Two ids of different kinds never compare.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id (expected `{prefix}` followed by 32 hexadecimal digits)")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = || ParseIdError { text: text.to_owned(), kind: $kind, prefix: $prefix };
                let digits = text.strip_prefix($prefix).ok_or_else(error)?;
                let well_formed =
                    digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !well_formed {
                    return Err(error());
                }
                u128::from_str_radix(digits, 16).map(Self).or(Err(error()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;
            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id128!(
    /// One run: a UUID of version 7, so that ids sort by the time of their making.
    RunId, "run_", "run"
);
id128!(
    /// One grant of units to one slot of one runner; derived from the request that asked for it.
    LeaseId, "lease_", "lease"
);

id128!(
    /// One API key.
    KeyId, "key_", "key"
);
id128!(
    /// One entry of the audit log, or one delivery; a UUID of version 7.
    EventId, "evt_", "event"
);
id128!(
    /// One schedule.
    ScheduleId, "sched_", "schedule"
);
id128!(
    /// One rule of who is told what.
    RuleId, "rule_", "rule"
);
id128!(
    /// One uploaded source.
    SourceId, "src_", "source"
);

id128!(
    /// One case of a project, the same in every run: derived from the names of its job and of itself.
    CaseKey, "case_", "case"
);

/// A project's short name: lower-case letters, digits, `-`, `_` and `.`, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ProjectId(pub String);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The n-th job of a run, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobNo(pub u32);

impl fmt::Display for JobNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One launch of one shard: the unit of runner identity, of launch idempotence and of session tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardAttempt {
    /// The run.
    pub run: RunId,
    /// The job of the run.
    pub job: JobNo,
    /// The shard of the job, counted from 1.
    pub shard: u32,
    /// The launch of the shard, counted from 1.
    pub attempt: u32,
}

impl fmt::Display for ShardAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.run, self.job, self.shard, self.attempt)
    }
}

impl ShardAttempt {
    /// The idempotency token of this launch: at most 64 ASCII characters, the same for the same launch.
    #[must_use]
    pub fn client_token(&self) -> String {
        let digest = digest_hex(&self.to_string());
        digest.chars().take(48).collect()
    }

    /// The lease that request `request_id` of this runner stands for: asking twice names one lease.
    #[must_use]
    pub fn lease_id(&self, request_id: &str) -> LeaseId {
        let digest = Sha256::digest(format!("{self}#{request_id}").as_bytes());
        let mut bytes = [0u8; 16];
        for (to, from) in bytes.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        LeaseId(u128::from_be_bytes(bytes))
    }
}

/// SHA-256 of a text, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn digest_hex(text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    hex::encode(Sha256::digest(text.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let id = RunId(0x0190_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }

    #[test]
    fn foreign_and_malformed_ids_are_refused() {
        for text in
            ["", "run_", "lease_00000000000000000000000000000001", "run_+0000000000000000000000000000001"]
        {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_launch_has_one_token_and_a_request_one_lease() {
        let a = ShardAttempt { run: RunId(1), job: JobNo(1), shard: 1, attempt: 1 };
        let b = ShardAttempt { attempt: 2, ..a };
        assert_eq!(a.client_token(), a.client_token());
        assert_ne!(a.client_token(), b.client_token());
        assert_eq!(a.lease_id("x"), a.lease_id("x"));
        assert_ne!(a.lease_id("x"), b.lease_id("x"));
    }
}
