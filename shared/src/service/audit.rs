//! The audit log: written in the commit of the change that it tells of, read newest first.

use super::repository::{Commit, parse, project_partition};
use super::{ServiceResult, Services};
use crate::domain::audit::{Actor, AuditEntry};
use crate::domain::id::{EventId, ProjectId};
use crate::ports::{Condition, Key, PortResult};
use serde::Serialize;

/// Partition of what belongs to no project.
pub const INSTANCE: &str = "instance";

/// A change to be told of.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) action: &'a str,
    pub(crate) project: Option<&'a ProjectId>,
    pub(crate) subject: String,
}

/// A part of a longer list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// The partition of a project's own documents, or of the instance's.
pub(crate) fn partition_of(project: Option<&ProjectId>) -> String {
    project.map_or_else(|| INSTANCE.to_owned(), project_partition)
}

impl Services {
    /// Adds an entry to a commit. Before and after must hold no secrets.
    pub(crate) fn audit<B: Serialize, A: Serialize>(
        &self,
        commit: &mut Commit,
        change: Change<'_>,
        before: Option<&B>,
        after: Option<&A>,
    ) -> PortResult<()> {
        let at = self.clock.now();
        let entry = AuditEntry {
            id: EventId(self.ids.uuid()),
            at,
            actor: change.actor.clone(),
            action: change.action.to_owned(),
            project: change.project.cloned(),
            subject: change.subject,
            before: before.and_then(|value| serde_json::to_value(value).ok()),
            after: after.and_then(|value| serde_json::to_value(value).ok()),
        };
        let sort = format!("audit#{:020}#{}", u64::MAX - at.0, entry.id);
        commit.put(Key::new(partition_of(change.project), sort), Condition::Absent, &entry, None)
    }

    /// The log of a project, or of what belongs to none, newest first.
    ///
    /// # Errors
    /// Port errors.
    pub async fn audit_log(
        &self,
        project: Option<&ProjectId>,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<AuditEntry>> {
        let now = self.clock.now();
        let page = self.store.query(&partition_of(project), "audit#", after, limit, now).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }
}
