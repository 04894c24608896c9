//! Members: people and machines of an identity provider, with a role in a project.
//!
//! API keys carry their role themselves and are never members.

use super::access::{Grant, Role};
use super::id::ProjectId;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the subject of every member begins with.
pub const SUBJECT_PREFIX: &str = "oidc:";
/// Longest subject: it is part of a sort key.
pub const SUBJECT_LIMIT_BYTES: usize = 400;

/// A role of somebody in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The project.
    pub project: ProjectId,
    /// Who: `oidc:issuer#subject`.
    pub subject: String,
    /// The role.
    pub role: Role,
    /// When it was given.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: String,
}

/// Why a membership stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberRefused {
    /// The last admin would lock the project, and itself, out of its own rights.
    #[error("the last admin cannot give up its own role; make someone else admin first")]
    LastAdmin,
}

impl Member {
    /// What it is worth.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant { project: Some(self.project.clone()), role: self.role }
    }
}

/// The subject of a token's `sub`, as its `iss` names it.
#[must_use]
pub fn subject_of(issuer: &str, sub: &str) -> String {
    format!("{SUBJECT_PREFIX}{issuer}#{sub}")
}

/// Checks a subject from outside.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_subject(text: &str) -> Result<(), String> {
    let named = text.strip_prefix(SUBJECT_PREFIX).and_then(|rest| rest.split_once('#'));
    let sound = named.is_some_and(|(issuer, sub)| !issuer.is_empty() && !sub.is_empty())
        && text.len() <= SUBJECT_LIMIT_BYTES
        && !text.chars().any(char::is_control);
    if sound {
        Ok(())
    } else {
        Err(format!("a subject is `oidc:issuer#subject`, at most {SUBJECT_LIMIT_BYTES} bytes"))
    }
}

/// Whether `who` may get `next` (`None` = no role any more) if `by` wants it.
///
/// Only the last admin's own step down is refused: whoever else may give rights still can afterwards.
///
/// # Errors
/// Why not.
pub fn may_become(members: &[Member], who: &str, next: Option<Role>, by: &str) -> Result<(), MemberRefused> {
    let admin = |member: &Member| member.role == Role::Admin;
    let is_admin = members.iter().any(|member| member.subject == who && admin(member));
    let others = members.iter().any(|member| member.subject != who && admin(member));
    if is_admin && !others && next != Some(Role::Admin) && by == who {
        return Err(MemberRefused::LastAdmin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(subject: &str, role: Role) -> Member {
        Member {
            project: ProjectId("web".to_owned()),
            subject: subject.to_owned(),
            role,
            added_at: Timestamp(0),
            added_by: String::new(),
        }
    }

    #[test]
    fn only_the_last_admin_itself_cannot_step_down() {
        let alone = [member("a", Role::Admin), member("b", Role::Viewer)];
        assert_eq!(may_become(&alone, "a", None, "a"), Err(MemberRefused::LastAdmin));
        assert_eq!(may_become(&alone, "a", Some(Role::Viewer), "a"), Err(MemberRefused::LastAdmin));
        assert_eq!(may_become(&alone, "a", Some(Role::Admin), "a"), Ok(()));
        assert_eq!(may_become(&alone, "a", None, "key:x"), Ok(()));
        assert_eq!(may_become(&alone, "b", None, "b"), Ok(()));
        let two = [member("a", Role::Admin), member("b", Role::Admin)];
        assert_eq!(may_become(&two, "a", None, "a"), Ok(()));
    }

    #[test]
    fn subjects_name_an_issuer_and_somebody() {
        assert_eq!(check_subject(&subject_of("https://id.example", "42")), Ok(()));
        let long = format!("oidc:i#{}", "x".repeat(SUBJECT_LIMIT_BYTES));
        for bad in ["", "key:key_1", "oidc:", "oidc:a", "oidc:#b", "oidc:a#", "oidc:a#b\n", &long] {
            assert!(check_subject(bad).is_err(), "{bad}");
        }
    }
}
