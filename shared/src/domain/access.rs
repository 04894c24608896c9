//! Who may do what: roles, scopes, and the one table of actions.
//!
//! A principal holds grants: a role in one project, or in every project. A credential may carry fewer scopes than
//! its owner's role would allow. Everything is denied unless [`Principal::may`] says otherwise.

use super::id::ProjectId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What someone is in a project; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Starts, cancels and repeats runs; imports results.
    Developer,
    /// Changes settings, schedules, notifications and webhooks.
    Maintainer,
    /// Gives and takes rights.
    Admin,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Maintainer, Self::Admin];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Maintainer => "maintainer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything that the role may see.
    Read,
    /// Start, cancel and repeat runs.
    Run,
    /// Import results.
    Import,
    /// Change settings and rights.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Run, Self::Import, Self::Admin];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Import => "import",
            Self::Admin => "admin",
        }
    }
}

/// Everything that a request can be about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Look at a project, its runs, cases, logs, reports and history.
    Read,
    /// Start a run, upload its source.
    Run,
    /// Stop a run.
    Cancel,
    /// Let a parked run of a stranger begin.
    Approve,
    /// Import results.
    Import,
    /// Change a project's settings, schedules, notifications and webhooks; read what they contain.
    Configure,
    /// Read the audit log.
    Audit,
    /// Give and take keys and memberships.
    Grant,
    /// Make projects, remove them, and what concerns all of them.
    Operate,
}

impl Action {
    /// The least role that may do it.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Run | Self::Cancel | Self::Import => Role::Developer,
            Self::Approve | Self::Configure | Self::Audit => Role::Maintainer,
            Self::Grant | Self::Operate => Role::Admin,
        }
    }

    /// The scope that a credential needs for it.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Run | Self::Cancel | Self::Approve => Scope::Run,
            Self::Import => Scope::Import,
            Self::Configure | Self::Audit | Self::Grant | Self::Operate => Scope::Admin,
        }
    }
}

/// A role in one project, or in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The project; `None` = every project, and what concerns all of them.
    pub project: Option<ProjectId>,
    /// The role.
    pub role: Role,
}

/// A verified caller of the public API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Stable name: `key:key_…`, or `oidc:issuer#subject`.
    pub subject: String,
    /// What it holds.
    pub grants: Vec<Grant>,
    /// What its credential is good for.
    pub scopes: BTreeSet<Scope>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It must not even learn that the thing exists.
    #[error("not found")]
    Hidden,
    /// The role is too low.
    #[error("this needs the role `{needed}`")]
    Role {
        /// The least role.
        needed: Role,
    },
    /// The credential has not the scope.
    #[error("this needs a credential with the scope `{}`", needed.as_str())]
    Scope {
        /// The scope.
        needed: Scope,
    },
}

impl Principal {
    /// Its role in a project; with `None`, over all projects.
    #[must_use]
    pub fn role_in(&self, project: Option<&ProjectId>) -> Option<Role> {
        let reaches = |grant: &&Grant| grant.project.is_none() || grant.project.as_ref() == project;
        self.grants.iter().filter(reaches).map(|grant| grant.role).max()
    }

    /// Whether it may do this in the project; with `None`, to what belongs to no project.
    ///
    /// # Errors
    /// Why not; `Hidden` if it has no role there at all.
    pub fn may(&self, action: Action, project: Option<&ProjectId>) -> Result<(), Denied> {
        let role = match (self.role_in(project), project) {
            (Some(role), _) => role,
            (None, Some(_)) => return Err(Denied::Hidden),
            (None, None) => return Err(Denied::Role { needed: action.role() }),
        };
        if role < action.role() {
            return Err(Denied::Role { needed: action.role() });
        }
        if !self.scopes.contains(&action.scope()) {
            return Err(Denied::Scope { needed: action.scope() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(project: Option<&str>, role: Role, scopes: &[Scope]) -> Principal {
        let project = project.map(|name| ProjectId(name.to_owned()));
        Principal {
            subject: "key:x".to_owned(),
            grants: vec![Grant { project, role }],
            scopes: scopes.iter().copied().collect(),
        }
    }

    #[test]
    fn a_foreign_project_is_hidden_and_a_grant_over_all_reaches_it() {
        let (here, there) = (ProjectId("here".to_owned()), ProjectId("there".to_owned()));
        let one = principal(Some("here"), Role::Admin, &Scope::ALL);
        assert_eq!(one.may(Action::Grant, Some(&here)), Ok(()));
        assert_eq!(one.may(Action::Read, Some(&there)), Err(Denied::Hidden));
        assert_eq!(one.may(Action::Operate, None), Err(Denied::Role { needed: Role::Admin }));
        let all = principal(None, Role::Viewer, &Scope::ALL);
        assert_eq!(all.may(Action::Read, Some(&there)), Ok(()));
        assert_eq!(all.may(Action::Run, Some(&there)), Err(Denied::Role { needed: Role::Developer }));
    }

    #[test]
    fn a_credential_does_no_more_than_its_scopes() {
        let here = ProjectId("here".to_owned());
        let reader = principal(Some("here"), Role::Admin, &[Scope::Read]);
        assert_eq!(reader.may(Action::Read, Some(&here)), Ok(()));
        assert_eq!(reader.may(Action::Run, Some(&here)), Err(Denied::Scope { needed: Scope::Run }));
    }

    #[test]
    fn the_highest_grant_counts() {
        let here = ProjectId("here".to_owned());
        let mut both = principal(None, Role::Viewer, &Scope::ALL);
        both.grants.push(Grant { project: Some(here.clone()), role: Role::Maintainer });
        assert_eq!(both.role_in(Some(&here)), Some(Role::Maintainer));
        assert_eq!(both.role_in(None), Some(Role::Viewer));
    }
}
