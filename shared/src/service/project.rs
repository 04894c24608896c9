//! Projects: registered, listed, changed.

use super::audit::{Change, Listed};
use super::repository::{Commit, Stored, load, parse};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::ProjectId;
use crate::domain::project::{Project, ProjectSettings};
use crate::ports::{Condition, Key, PortError, PortResult};

const PROJECTS: &str = "projects";

/// What a new project is made of.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Id.
    pub id: ProjectId,
    /// Title; empty = the id.
    pub title: String,
    /// Repository.
    pub repository: Option<String>,
    /// Default branch.
    pub default_branch: String,
    /// Default configuration.
    pub config: Option<String>,
    /// Settings.
    pub settings: ProjectSettings,
}

/// Key of a project.
#[must_use]
pub fn project_key(id: &ProjectId) -> Key {
    Key::new(PROJECTS, id.0.clone())
}

impl Services {
    /// Registers a project.
    ///
    /// # Errors
    /// `AlreadyExists` if the id is taken; port errors.
    pub async fn create_project(&self, actor: &Actor, new: NewProject) -> ServiceResult<Project> {
        let now = self.clock.now();
        let title = if new.title.is_empty() { new.id.0.clone() } else { new.title };
        let project = Project {
            id: new.id,
            title,
            repository: new.repository,
            default_branch: new.default_branch,
            config: new.config,
            settings: new.settings,
            created_at: now,
            updated_at: now,
        };
        let mut commit = Commit::new();
        commit.create(project_key(&project.id), &project)?;
        let change = Change {
            actor,
            action: "project.created",
            project: Some(&project.id),
            subject: project.id.0.clone(),
        };
        self.audit(&mut commit, change, None::<&Project>, Some(&project))?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => Ok(project),
            Err(PortError::Conflict { .. }) => {
                Err(PortError::AlreadyExists { port: "store", subject: project.id.0 }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A project with its version.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn project(&self, id: &ProjectId) -> ServiceResult<Stored<Project>> {
        load(self.store.as_ref(), &project_key(id), self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.0.clone()))
    }

    /// What is set for a project; for one that there is not, what is usual.
    pub(crate) async fn settings_of(&self, id: &ProjectId) -> ServiceResult<ProjectSettings> {
        let stored = load::<Project>(self.store.as_ref(), &project_key(id), self.clock.now()).await?;
        Ok(stored.map(|project| project.value.settings).unwrap_or_default())
    }

    /// Whether there is such a project: `Ok` if so.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn check_project(&self, id: &ProjectId) -> ServiceResult<()> {
        let found = self.store.load(&project_key(id), self.clock.now()).await?;
        found.map(drop).ok_or_else(|| ServiceError::NotFound(id.0.clone()))
    }

    /// Projects by id.
    ///
    /// # Errors
    /// Port errors.
    pub async fn projects(&self, after: Option<&str>, limit: usize) -> ServiceResult<Listed<Project>> {
        let page = self.store.query(PROJECTS, "", after, limit, self.clock.now()).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }

    /// Changes a project that must still be as it was read.
    ///
    /// # Errors
    /// `Conflict` if it was changed meanwhile; port errors.
    pub async fn change_project(
        &self,
        actor: &Actor,
        before: &Stored<Project>,
        mut next: Project,
    ) -> ServiceResult<Stored<Project>> {
        next.id.clone_from(&before.value.id);
        next.updated_at = self.clock.now();
        let mut commit = Commit::new();
        commit.put(project_key(&next.id), Condition::Version(before.version), &next, None)?;
        let change =
            Change { actor, action: "project.changed", project: Some(&next.id), subject: next.id.0.clone() };
        self.audit(&mut commit, change, Some(&before.value), Some(&next))?;
        commit.perform(self.store.as_ref()).await?;
        Ok(Stored { value: next, version: before.version + 1 })
    }
}
