//! A reference becomes a commit and its suites: once per run, before it is planned.
//!
//! Whoever resolves first writes the resolved spec, if there is none yet; everyone plans from that one, so that a branch
//! that moves meanwhile cannot give two planners two commits.

use super::repository::{Commit, load, partition};
use super::snapshot::SnapshotError;
use super::submit::{load_spec, resolved_key};
use super::upload::ReceiveError;
use super::{ServiceError, ServiceResult, Services};
use crate::domain::config::FILE_NAME;
use crate::domain::detect::Listing;
use crate::domain::resolve::{Text, Tries, complete, configuration, needs_listing};
use crate::domain::run::Run;
use crate::domain::spec::{RunSpec, Source, Unresolved};
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{Condition, Key, PortError, Topic};

/// What is known of a run's spec now.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// It can be planned.
    Ready(Box<RunSpec>),
    /// The forge is asked again later.
    Later,
    /// It can never be planned.
    Never(Cause),
}

/// Why the forge gave no spec.
enum Trouble {
    Passing(String),
    Final(Cause),
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self::Final(cause)
    }
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        let failed = |text: String| Self::Final(Cause::new(CauseCode::SourceFailed, text));
        match error {
            PortError::Unavailable { reason, .. } => Self::Passing(reason),
            PortError::Conflict { .. } => Self::Passing(error.to_string()),
            PortError::Denied { subject, reason, .. } => failed(format!(
                "the repository `{subject}` cannot be used: {reason}; check the project's repository and its access"
            )),
            PortError::NotFound { subject, .. } => failed(format!(
                "there is no branch, tag or commit `{subject}`; `git ls-remote` shows what the repository has"
            )),
            PortError::AlreadyExists { .. } | PortError::Corrupt { .. } => failed(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Trouble {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Forge(error) => error.into(),
            SnapshotError::Kept(ReceiveError::Service(ServiceError::Port(error))) => {
                Self::Passing(error.to_string())
            }
            SnapshotError::Kept(error) => {
                let text = format!("the repository cannot be handed to runners: {error}");
                Self::Final(Cause::new(CauseCode::SourceFailed, text))
            }
        }
    }
}

fn in_vain(wanted: &Unresolved, tries: u32, reason: &str) -> Cause {
    let message = format!(
        "the repository `{}` could not be reached in {tries} tries, the last time because: {reason}; check the \
         address and the network of the server, then run again",
        wanted.url,
    );
    Cause::new(CauseCode::SourceFailed, message).fitted()
}

fn tries_key(run: &Run) -> Key {
    Key::new(partition(run.id), "source")
}

impl Services {
    /// The spec that the run is planned from, looked up now if need be.
    pub(crate) async fn outlook(&self, run: &Run) -> ServiceResult<Outlook> {
        let spec = load_spec(self, run.id).await?;
        let Source::Reference(wanted) = &spec.source else {
            return Ok(Outlook::Ready(Box::new(spec)));
        };
        if let Some(cause) = &run.cancel {
            return Ok(Outlook::Never(cause.clone()));
        }
        let now = self.clock.now();
        let stored = load::<Tries>(self.store.as_ref(), &tries_key(run), now).await?;
        let condition =
            stored.as_ref().map_or(Condition::Absent, |stored| Condition::Version(stored.version));
        let tries = stored.map(|stored| stored.value).unwrap_or_default();
        if now < tries.next_at {
            return Ok(Outlook::Later);
        }
        let Some(begun) = tries.begun(now) else {
            return Ok(Outlook::Never(in_vain(wanted, tries.count, "it took too long")));
        };
        // One that never comes to its end counts, too, and keeps others from looking meanwhile. A host that gives out slots
        // is alone and has all the time; if it was killed, it looks again as soon as it is back.
        if self.settings.slots.is_none() {
            let mut commit = Commit::new();
            commit.put(tries_key(run), condition, &begun, None)?;
            if !commit.attempt(self.store.as_ref()).await? {
                return Ok(Outlook::Later);
            }
        }
        match self.look_up(&spec, wanted).await {
            Ok(resolved) => self.agree(run, &resolved).await,
            Err(Trouble::Final(cause)) => Ok(Outlook::Never(cause.fitted())),
            Err(Trouble::Passing(reason)) => self.look_again(run, (wanted, &begun), &reason).await,
        }
    }

    async fn look_up(&self, spec: &RunSpec, wanted: &Unresolved) -> Result<RunSpec, Trouble> {
        let Unresolved { url, reference, .. } = wanted;
        self.forge.check(url)?;
        let found = self.forge.resolve(url, reference).await?;
        let mut config = None;
        if spec.suites.is_empty() {
            let own = match wanted.config_wins {
                true => None,
                false => self.forge.file(url, &found.commit, FILE_NAME).await?,
            };
            let text = own.as_deref().or(wanted.config.as_deref());
            let text = text.map(|text| Text { name: FILE_NAME, text });
            let listing = match needs_listing(text) {
                true => self.forge.listing(url, &found.commit).await?,
                false => Listing::default(),
            };
            config = Some(configuration(text, &listing)?);
        }
        let snapshot = self.forge.snapshot(url, &found.commit).await?;
        let mut resolved = complete(spec.clone(), wanted, (found.commit, found.branch), config)?;
        if let Some(snapshot) = snapshot {
            resolved.source = Source::Snapshot(self.kept_snapshot(&spec.project, snapshot).await?);
        }
        Ok(resolved)
    }

    /// Keeps the first resolved spec, and goes on with it.
    async fn agree(&self, run: &Run, resolved: &RunSpec) -> ServiceResult<Outlook> {
        let body = serde_json::to_vec(resolved).map_err(|error| ServiceError::Invalid(error.to_string()))?;
        match self.blobs.put_absent(&resolved_key(run.id), body).await {
            Ok(()) | Err(PortError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let agreed = load_spec(self, run.id).await?;
        // Another planner's may lie there as well; nobody names it, so it goes after a day.
        if let Source::Snapshot(archive) = &agreed.source {
            let project = self.project(&agreed.project).await?.value;
            self.use_source(&project, archive.id).await?;
        }
        Ok(Outlook::Ready(Box::new(agreed)))
    }

    async fn look_again(
        &self,
        run: &Run,
        (wanted, tries): (&Unresolved, &Tries),
        reason: &str,
    ) -> ServiceResult<Outlook> {
        let now = self.clock.now();
        let Some(next) = tries.again(run.deadline, now) else {
            return Ok(Outlook::Never(in_vain(wanted, tries.count, reason)));
        };
        let mut commit = Commit::new();
        commit.put(tries_key(run), Condition::Any, &next, None)?;
        commit.perform(self.store.as_ref()).await?;
        self.wake(Topic::Plan, run.id, next.next_at.since_ms(now)).await;
        Ok(Outlook::Later)
    }
}
