//! The outbox: runs become deliveries, deliveries are sent, and what was missed is found again.
//!
//! A host calls [`Notices::deliver_due`] every few seconds, from a task of its own: receivers may be slow. Several
//! hosts may do so at once. A delivery is claimed before it is sent, so it is sent twice only if a host dies in
//! between; it has one id, by which receivers can tell.

use super::super::repository::{Commit, Stored, load, load_run};
use super::super::{ServiceResult, Services};
use super::{OUTBOX, UNTOLD, Untold, delivery_key, put_delivery, until, untold_key};
use crate::domain::id::RunId;
use crate::domain::notify::delivery::{Delivery, delivery_id};
use crate::domain::notify::parcel::Answer;
use crate::domain::notify::story::Told;
use crate::domain::notify::{Ended, Occasion, Rule, decide, render};
use crate::domain::run::{Run, RunStatus};
use crate::domain::verdict::Verdict;
use crate::ports::{Condition, Key, Notifier, PortError};
use std::sync::Arc;

/// Runs told about in one pass.
const RUNS_PER_PASS: usize = 100;
/// Deliveries tried in one pass.
const DELIVERIES_PER_PASS: usize = 50;

/// The use-cases that tell people, and what they stand on.
#[derive(Debug, Clone)]
pub struct Notices {
    /// Everything else.
    pub services: Arc<Services>,
    /// The way out.
    pub notifier: Arc<dyn Notifier>,
    /// What stands before the id of a run to make a link to it, as in `https://ci.example.org/v1/runs/`.
    pub run_link: Option<String>,
}

impl Notices {
    /// One pass: tells about every run that nobody was told about, then sends everything whose time has come. Returns
    /// how many deliveries were tried. One that fails does not keep the others back; the first error is returned.
    ///
    /// # Errors
    /// The first port error of any.
    pub async fn deliver_due(&self) -> ServiceResult<usize> {
        let told = self.tell_untold().await;
        let mut first_error = told.err();
        let due = self.due().await?;
        for key in &due {
            if let Err(error) = self.send(key).await {
                first_error = first_error.or(Some(error));
            }
        }
        first_error.map_or(Ok(due.len()), Err)
    }

    /// Turns runs that nobody was told about into deliveries.
    ///
    /// # Errors
    /// The first port error of any run.
    pub async fn tell_untold(&self) -> ServiceResult<()> {
        let keys = self.services.store.query_index(UNTOLD, "~", RUNS_PER_PASS).await?;
        let mut first_error = None;
        for key in keys {
            if let Err(error) = self.tell(&key).await {
                first_error = first_error.or(Some(error));
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Keys of deliveries whose time has come, for hosts that send several at once.
    ///
    /// # Errors
    /// Port errors.
    pub async fn due(&self) -> ServiceResult<Vec<Key>> {
        let now = self.services.clock.now();
        Ok(self.services.store.query_index(OUTBOX, &until(now), DELIVERIES_PER_PASS).await?)
    }

    async fn tell(&self, key: &Key) -> ServiceResult<()> {
        let (store, now) = (self.services.store.as_ref(), self.services.clock.now());
        let Some(note): Option<Stored<Untold>> = load(store, key, now).await? else { return Ok(()) };
        let run = load_run(store, note.value.run, now).await?.map(|run| run.value);
        let deliveries = match run.filter(|run| run.status == RunStatus::Finished) {
            Some(run) => self.deliveries_of(&run).await?,
            None => Vec::new(),
        };
        let mut commit = Commit::new();
        commit.check_and_delete(untold_key(note.value.run), note.version);
        for delivery in &deliveries {
            // One that is there already was made of the same run and rule.
            if !self.exists(delivery).await? {
                put_delivery(&mut commit, Condition::Absent, delivery)?;
            }
        }
        match commit.perform(store).await {
            // Someone else told it.
            Ok(()) | Err(PortError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn exists(&self, delivery: &Delivery) -> ServiceResult<bool> {
        let key = delivery_key(&delivery.project, delivery.id);
        let found = self.services.store.load(&key, self.services.clock.now()).await?;
        Ok(found.is_some())
    }

    async fn deliveries_of(&self, run: &Run) -> ServiceResult<Vec<Delivery>> {
        let rules: Vec<Rule> =
            self.services.rules(&run.origin.project).await?.into_iter().map(|rule| rule.value).collect();
        let branch = run.origin.branch.as_deref();
        let listening = rules.iter().filter(|rule| rule.listens_to(branch));
        let wanted: Vec<Occasion> = listening.flat_map(|rule| rule.on.iter().copied()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let story = self.services.story(run, &wanted).await?;
        let compared = wanted.contains(&Occasion::FirstFailureAndRecovery);
        let previous = if compared { self.services.verdict_before(run).await? } else { None };
        let ended = Ended {
            verdict: run.judgement.as_ref().map_or(Verdict::Errored, |judgement| judgement.verdict),
            branch: run.origin.branch.clone(),
            partial: run.partial,
            previous,
            newly_flaky: story.newly_flaky_count > 0,
        };
        let now = self.services.clock.now();
        let deliveries = decide(&rules, &ended).into_iter().filter_map(|telling| {
            let rule = rules.iter().find(|rule| rule.id == telling.rule)?;
            let id = delivery_id(run.finished_at.unwrap_or(run.queued_at), run.id, rule.id);
            Some(Delivery::new(id, rule, telling.events, story.clone(), now))
        });
        Ok(deliveries.collect())
    }

    /// Tries to send one delivery, if its time has come and nobody else does.
    ///
    /// # Errors
    /// Port errors.
    pub async fn send(&self, key: &Key) -> ServiceResult<()> {
        let (store, now) = (self.services.store.as_ref(), self.services.clock.now());
        let Some(stored): Option<Stored<Delivery>> = load(store, key, now).await? else { return Ok(()) };
        let Some(begun) = stored.value.begun(now) else { return Ok(()) };
        if !self.save(stored.version, &begun).await? || begun.next_at.is_none() {
            return Ok(());
        }
        let answer = self.attempt(&begun).await?;
        let next = begun.answered(&answer, self.services.clock.now());
        // Someone who asked for it again meanwhile gets it again.
        self.save(stored.version + 1, &next).await?;
        Ok(())
    }

    async fn attempt(&self, delivery: &Delivery) -> ServiceResult<Answer> {
        let rule = match self.services.rule(&delivery.project, delivery.rule).await {
            Ok(rule) => rule.value,
            Err(super::ServiceError::NotFound(_)) => {
                return Ok(Answer::Refused { reason: "the rule was removed".to_owned() });
            }
            Err(error) => return Err(error),
        };
        let told = Told {
            id: delivery.id,
            at: self.services.clock.now(),
            events: delivery.events.clone(),
            story: delivery.story.clone(),
            link: delivery.run.and_then(|run| self.link(run)),
        };
        match render(&rule.channel, &told) {
            Ok(parcel) => Ok(self.notifier.deliver(&parcel).await),
            Err(unsendable) => Ok(Answer::Refused { reason: unsendable.to_string() }),
        }
    }

    fn link(&self, run: RunId) -> Option<String> {
        self.run_link.as_ref().map(|before| format!("{before}{run}"))
    }

    /// Writes a delivery that must still have this version; returns whether it had.
    async fn save(&self, version: u64, delivery: &Delivery) -> ServiceResult<bool> {
        let mut commit = Commit::new();
        put_delivery(&mut commit, Condition::Version(version), delivery)?;
        Ok(commit.attempt(self.services.store.as_ref()).await?)
    }
}
