//! Members of projects: listed, added, changed, removed, and what somebody is a member of.
//!
//! A membership is stored twice, by project and by subject, in one commit: a list of members and the grants of a
//! caller are one query each.

use super::audit::{Change, Listed};
use super::repository::{Commit, Stored, load, load_all, parse, project_partition};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::access::{Grant, Role};
use crate::domain::audit::Actor;
use crate::domain::id::{ProjectId, digest_hex};
use crate::domain::member::{Member, may_become};
use crate::ports::{Condition, Key, PortError, PortResult};

const MEMBER: &str = "member#";

fn member_key(project: &ProjectId, subject: &str) -> Key {
    Key::new(project_partition(project), format!("{MEMBER}{subject}"))
}

/// Partition of what somebody is a member of.
fn subject_partition(subject: &str) -> String {
    format!("subject#{}", digest_hex(subject))
}

fn mirror_key(project: &ProjectId, subject: &str) -> Key {
    Key::new(subject_partition(subject), project.0.clone())
}

impl Services {
    /// Members of a project, by subject.
    ///
    /// # Errors
    /// Port errors.
    pub async fn members(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Member>> {
        let partition = project_partition(project);
        let page = self.store.query(&partition, MEMBER, after, limit, self.clock.now()).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }

    /// One member.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn member(&self, project: &ProjectId, subject: &str) -> ServiceResult<Member> {
        let stored = self.stored_member(project, subject).await?;
        stored.map(|member| member.value).ok_or_else(|| ServiceError::NotFound(subject.to_owned()))
    }

    /// What a subject may do by its memberships.
    ///
    /// # Errors
    /// Port errors.
    pub async fn grants_of(&self, subject: &str) -> ServiceResult<Vec<Grant>> {
        let partition = subject_partition(subject);
        let members: Vec<Stored<Member>> =
            load_all(self.store.as_ref(), &partition, "", self.clock.now()).await?;
        // The whole subject is compared: its partition is named by a digest only.
        let own = members.iter().filter(|member| member.value.subject == subject);
        Ok(own.map(|member| member.value.grant()).collect())
    }

    /// Gives a subject a role; tells whether it was no member before.
    ///
    /// # Errors
    /// `Refused` if the last admin would step down; port errors.
    pub async fn put_member(
        &self,
        actor: &Actor,
        project: &ProjectId,
        subject: &str,
        role: Role,
    ) -> ServiceResult<(Member, bool)> {
        let before = self.stored_member(project, subject).await?;
        self.check_member(project, subject, Some(role), actor).await?;
        let next = Member {
            project: project.clone(),
            subject: subject.to_owned(),
            role,
            added_at: before.as_ref().map_or_else(|| self.clock.now(), |old| old.value.added_at),
            added_by: before.as_ref().map_or_else(|| actor.subject.clone(), |old| old.value.added_by.clone()),
        };
        if before.as_ref().is_some_and(|old| old.value == next) {
            return Ok((next, false));
        }
        let mut commit = Commit::new();
        let condition = before.as_ref().map_or(Condition::Absent, |old| Condition::Version(old.version));
        commit.put(member_key(project, subject), condition, &next, None)?;
        commit.put(mirror_key(project, subject), Condition::Any, &next, None)?;
        let change =
            Change { actor, action: "member.put", project: Some(project), subject: subject.to_owned() };
        self.audit(&mut commit, change, before.as_ref().map(|old| &old.value), Some(&next))?;
        commit.perform(self.store.as_ref()).await?;
        Ok((next, before.is_none()))
    }

    /// Takes a subject's role away.
    ///
    /// # Errors
    /// `NotFound`; `Refused` if the last admin would step down; port errors.
    pub async fn remove_member(
        &self,
        actor: &Actor,
        project: &ProjectId,
        subject: &str,
    ) -> ServiceResult<Member> {
        let before = self.stored_member(project, subject).await?;
        let before = before.ok_or_else(|| ServiceError::NotFound(subject.to_owned()))?;
        self.check_member(project, subject, None, actor).await?;
        let mut commit = Commit::new();
        commit.check_and_delete(member_key(project, subject), before.version);
        commit.delete(mirror_key(project, subject));
        let change =
            Change { actor, action: "member.removed", project: Some(project), subject: subject.to_owned() };
        self.audit(&mut commit, change, Some(&before.value), None::<&Member>)?;
        commit.perform(self.store.as_ref()).await?;
        Ok(before.value)
    }

    async fn stored_member(
        &self,
        project: &ProjectId,
        subject: &str,
    ) -> Result<Option<Stored<Member>>, PortError> {
        load(self.store.as_ref(), &member_key(project, subject), self.clock.now()).await
    }

    async fn check_member(
        &self,
        project: &ProjectId,
        subject: &str,
        next: Option<Role>,
        actor: &Actor,
    ) -> ServiceResult<()> {
        let partition = project_partition(project);
        let members: Vec<Stored<Member>> =
            load_all(self.store.as_ref(), &partition, MEMBER, self.clock.now()).await?;
        let members: Vec<Member> = members.into_iter().map(|member| member.value).collect();
        Ok(may_become(&members, subject, next, &actor.subject)?)
    }
}
