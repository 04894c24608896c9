//! Webhooks from outside: kept once, turned into runs, and replayed on request.
//!
//! A webhook is written down before anything is made of it; its run has an id derived from it. Receiving it twice,
//! replaying it, or dying in between makes one run.

use super::audit::{Change, Listed};
use super::repository::{Commit, Stored, load, parse, project_partition};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::{EventId, ProjectId};
use crate::domain::origin::{Origin, Trigger};
use crate::domain::project::Project;
use crate::domain::secret::Secret;
use crate::domain::spec::RunSpec;
use crate::domain::webhook::{
    Meaning, Outcome, Push, Received, WebhookSecrets, delivery_digest, received_id,
};
use crate::ports::{Condition, Key, PortError, PortResult};
use serde::{Deserialize, Serialize};

const WEBHOOKS: &str = "webhook#";
/// Webhooks, and what is known of which were received, are forgotten after this long.
const KEEP_MS: u64 = 30 * 24 * 3600 * 1000;

/// A webhook whose signature fits.
#[derive(Debug, Clone)]
pub struct Genuine {
    /// The sender's id of it.
    pub delivery: String,
    /// Event.
    pub event: String,
    /// What it means.
    pub meaning: Meaning,
}

/// How the spec of a run is made of a project and a commit.
pub type SpecOf<'a> = &'a (dyn Fn(&Project, &Push) -> Result<RunSpec, String> + Sync);

/// Which webhook a delivery was.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    id: EventId,
}

fn seen_key(project: &ProjectId, delivery: &str) -> Key {
    Key::new(project_partition(project), format!("webhook_seen#{}", delivery_digest(delivery)))
}

fn webhook_key(project: &ProjectId, id: EventId) -> Key {
    Key::new(project_partition(project), format!("{WEBHOOKS}{:032x}", u128::MAX - id.0))
}

fn secrets_key(project: &ProjectId) -> Key {
    Key::new(project_partition(project), "webhook_secrets")
}

impl Services {
    /// The secrets of a project's webhooks, with the version to change them by; 0 = there are none yet.
    ///
    /// # Errors
    /// Port errors.
    pub async fn webhook_secrets(&self, project: &ProjectId) -> ServiceResult<Stored<WebhookSecrets>> {
        let stored = load(self.store.as_ref(), &secrets_key(project), self.clock.now()).await?;
        Ok(stored.unwrap_or(Stored { value: WebhookSecrets::default(), version: 0 }))
    }

    /// Sets a new secret; the newest of the others stays good if `keep_previous`.
    ///
    /// # Errors
    /// `Conflict` if they were changed meanwhile; port errors.
    pub async fn set_webhook_secret(
        &self,
        actor: &Actor,
        project: &ProjectId,
        secret: &Secret,
        keep_previous: bool,
    ) -> ServiceResult<WebhookSecrets> {
        let before = self.webhook_secrets(project).await?;
        let next = before.value.with(secret, keep_previous, self.clock.now());
        let condition =
            if before.version == 0 { Condition::Absent } else { Condition::Version(before.version) };
        let mut commit = Commit::new();
        commit.put(secrets_key(project), condition, &next, None)?;
        let subject = "webhook secrets".to_owned();
        let change = Change { actor, action: "webhook_secrets.changed", project: Some(project), subject };
        self.audit(&mut commit, change, Some(&before.value.fingerprints()), Some(&next.fingerprints()))?;
        commit.perform(self.store.as_ref()).await?;
        Ok(next)
    }

    /// Takes a genuine webhook: writes it down and makes its run. One that was received before is given back as it
    /// became; if its run could not be made then, it is tried again.
    ///
    /// # Errors
    /// Port errors; the webhook may then be sent again.
    pub async fn receive_webhook(
        &self,
        project: &Project,
        genuine: Genuine,
        spec_of: SpecOf<'_>,
    ) -> ServiceResult<Received> {
        let stored = self.write_down(&project.id, genuine).await?;
        match stored.value.outcome {
            Outcome::Received | Outcome::Failed { .. } => self.act_on(project, stored, spec_of).await,
            Outcome::Ignored { .. } | Outcome::Run { .. } => Ok(stored.value),
        }
    }

    async fn write_down(&self, project: &ProjectId, genuine: Genuine) -> ServiceResult<Stored<Received>> {
        let seen = seen_key(project, &genuine.delivery);
        let now = self.clock.now();
        let received = Received {
            id: received_id(now, project, &genuine.delivery),
            project: project.clone(),
            delivery: genuine.delivery,
            event: genuine.event,
            meaning: genuine.meaning,
            received_at: now,
            outcome: Outcome::Received,
        };
        let until = now.plus_ms(KEEP_MS);
        let mut commit = Commit::new();
        commit.put_until(seen.clone(), Condition::Absent, &Seen { id: received.id }, (None, until))?;
        let key = webhook_key(project, received.id);
        commit.put_until(key, Condition::Absent, &received, (None, until))?;
        match commit.perform(self.store.as_ref()).await {
            Ok(()) => Ok(Stored { value: received, version: 1 }),
            Err(PortError::Conflict { .. }) => {
                let known: Option<Stored<Seen>> = load(self.store.as_ref(), &seen, now).await?;
                let id = known.map_or(received.id, |seen| seen.value.id);
                self.webhook(project, id).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes what a webhook asks for, and writes down what became of it.
    async fn act_on(
        &self,
        project: &Project,
        stored: Stored<Received>,
        spec_of: SpecOf<'_>,
    ) -> ServiceResult<Received> {
        let mut next = stored.value;
        next.outcome = match &next.meaning {
            Meaning::Nothing { reason } => Outcome::Ignored { reason: reason.clone() },
            Meaning::Test(push) => self.test(project, &next, push, spec_of).await?,
        };
        let mut commit = Commit::new();
        let until = next.received_at.plus_ms(KEEP_MS);
        let key = webhook_key(&project.id, next.id);
        commit.put_until(key, Condition::Version(stored.version), &next, (None, until))?;
        match commit.perform(self.store.as_ref()).await {
            // Who was faster came to the same.
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(next),
            Err(error) => Err(error.into()),
        }
    }

    async fn test(
        &self,
        project: &Project,
        received: &Received,
        push: &Push,
        spec_of: SpecOf<'_>,
    ) -> ServiceResult<Outcome> {
        let spec = match spec_of(project, push) {
            Ok(spec) => spec,
            Err(reason) => return Ok(Outcome::Failed { reason }),
        };
        let origin = Origin {
            pull_request: push.pull_request,
            trigger: Trigger::Webhook { event: received.event.clone() },
            actor: format!("github:{}", push.sender),
            parked: push.fork,
            limited: project.settings.concurrency.is_some(),
            ..Origin::of(&spec)
        };
        match self.submit_from(received.run_id(), &spec, origin).await {
            Ok(run) => Ok(Outcome::Run { run }),
            Err(ServiceError::Invalid(reason)) => Ok(Outcome::Failed { reason }),
            Err(error) => Err(error),
        }
    }

    /// Makes of a webhook what it asks for, once more. A run that it made already is the same run.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn replay_webhook(
        &self,
        actor: &Actor,
        project: &Project,
        id: EventId,
        spec_of: SpecOf<'_>,
    ) -> ServiceResult<Received> {
        let stored = self.webhook(&project.id, id).await?;
        let mut commit = Commit::new();
        let change =
            Change { actor, action: "webhook.replayed", project: Some(&project.id), subject: id.to_string() };
        self.audit(&mut commit, change, None::<&Received>, None::<&Received>)?;
        commit.perform(self.store.as_ref()).await?;
        match stored.value.outcome {
            Outcome::Run { .. } => Ok(stored.value),
            Outcome::Received | Outcome::Ignored { .. } | Outcome::Failed { .. } => {
                self.act_on(project, stored, spec_of).await
            }
        }
    }

    /// One webhook.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn webhook(&self, project: &ProjectId, id: EventId) -> ServiceResult<Stored<Received>> {
        load(self.store.as_ref(), &webhook_key(project, id), self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))
    }

    /// Webhooks of a project, newest first.
    ///
    /// # Errors
    /// Port errors.
    pub async fn webhooks(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Received>> {
        let (place, now) = (project_partition(project), self.clock.now());
        let page = self.store.query(&place, WEBHOOKS, after, limit, now).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }
}
