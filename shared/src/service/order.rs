//! An order becomes a run: checked, its upload looked up, accepted.

use super::{ServiceError, Services};
use crate::domain::id::RunId;
use crate::domain::order::{RunOrder, Wrong};
use crate::domain::origin::{Origin, Trigger};
use crate::domain::project::Project;
use crate::domain::spec::{Source, Unresolved};

/// On whose behalf, and why.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who, as in the audit log.
    pub actor: String,
    /// What made the run.
    pub trigger: Trigger,
    /// Whether the run waits for someone's approval.
    pub parked: bool,
}

/// Why an order is no run.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A part of it is wrong.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// The use-case did not happen.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Services {
    /// Accepts a run under a chosen id; accepting the same id twice is one run, the one that was asked for first.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn order_run(
        &self,
        id: RunId,
        project: &Project,
        order: &RunOrder,
        asker: Asker,
    ) -> Result<RunId, OrderError> {
        let archive = match order.source {
            Some(source) => Some(self.use_source(project, source).await?.ok_or_else(|| Wrong {
                pointer: "/source",
                detail: format!(
                    "`{project_id}` has no upload `{source}` with an archive",
                    project_id = project.id
                ),
            })?),
            None => None,
        };
        let mut spec = order.spec(project, archive)?;
        if let (Source::Git { url, commit }, true) = (&spec.source, self.forge.sees_private()) {
            // Only planning can tell whether runners can fetch it.
            spec.source = Source::Reference(Unresolved::of_commit(url, commit));
        }
        let origin = Origin {
            actor: asker.actor,
            trigger: asker.trigger,
            parked: asker.parked,
            priority: order.priority,
            limited: project.settings.concurrency.is_some(),
            pull_request: order.pull_request,
            ..Origin::of(&spec)
        };
        Ok(self.submit_from(id, &spec, origin).await?)
    }
}
