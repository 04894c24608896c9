//! Rules of who is told what, and the note that a run has yet to be told about.
//!
//! The note is written in the commit of the verdict. [`outbox`] turns it into deliveries and sends them, whenever it
//! comes to that: nothing here is lost with a process, and nothing of it touches a verdict.

pub mod outbox;
mod tell;

pub use outbox::Notices;

use super::audit::{Change, Listed};
use super::repository::{Commit, Stored, load, load_all, parse, partition, project_partition};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::{EventId, ProjectId, RuleId, RunId};
use crate::domain::notify::delivery::Delivery;
use crate::domain::notify::story::Story;
use crate::domain::notify::{Channel, Event, Occasion, RULES_LIMIT, Rule};
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::ports::{Condition, IndexEntry, Key, PortResult};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const RULES: &str = "rule#";
const DELIVERIES: &str = "delivery#";
/// Index of runs that nobody was told about yet.
const UNTOLD: &str = "untold";
/// Index of deliveries by the time of their next attempt.
const OUTBOX: &str = "outbox";
/// Deliveries are forgotten after this long.
const KEEP_MS: u64 = 30 * 24 * 3600 * 1000;

/// What a rule is made of.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// What people call it.
    pub name: String,
    /// What it wants to hear of.
    pub on: BTreeSet<Occasion>,
    /// From which branches.
    pub branches: Vec<String>,
    /// Where it listens.
    pub channel: Channel,
    /// Whether it is silent for now.
    pub paused: bool,
}

/// That a run has yet to be told about.
#[derive(Debug, Serialize, Deserialize)]
struct Untold {
    run: RunId,
}

fn untold_key(run: RunId) -> Key {
    Key::new(partition(run), "untold")
}

fn rule_key(project: &ProjectId, rule: RuleId) -> Key {
    Key::new(project_partition(project), format!("{RULES}{rule}"))
}

/// Newest first, because the ids hold their time.
fn delivery_key(project: &ProjectId, id: EventId) -> Key {
    Key::new(project_partition(project), format!("{DELIVERIES}{:032x}", u128::MAX - id.0))
}

fn outbox_entry(delivery: &Delivery) -> Option<IndexEntry> {
    let due = delivery.next_at?;
    Some(IndexEntry { name: OUTBOX.to_owned(), sort: format!("{:020}#{}", due.0, delivery.id) })
}

/// Adds a delivery to a commit.
fn put_delivery(commit: &mut Commit, condition: Condition, delivery: &Delivery) -> PortResult<()> {
    let expires_at = delivery.created_at.plus_ms(KEEP_MS);
    let key = delivery_key(&delivery.project, delivery.id);
    commit.put_until(key, condition, delivery, (outbox_entry(delivery), expires_at))
}

impl Services {
    /// Adds to the commit of a verdict that the run has yet to be told about, if anybody wants to hear of it.
    pub(crate) async fn remember_to_tell(&self, commit: &mut Commit, run: &Run) -> ServiceResult<()> {
        let place = project_partition(&run.origin.project);
        let rules = self.store.query(&place, RULES, None, 1, self.clock.now()).await?;
        if !rules.documents.is_empty() {
            let at = run.finished_at.unwrap_or(run.queued_at);
            let index = IndexEntry { name: UNTOLD.to_owned(), sort: format!("{:020}#{}", at.0, run.id) };
            commit.put(untold_key(run.id), Condition::Any, &Untold { run: run.id }, Some(index))?;
        }
        Ok(())
    }

    /// The rules of a project; there are few.
    ///
    /// # Errors
    /// Port errors.
    pub async fn rules(&self, project: &ProjectId) -> ServiceResult<Vec<Stored<Rule>>> {
        let place = project_partition(project);
        Ok(load_all(self.store.as_ref(), &place, RULES, self.clock.now()).await?)
    }

    /// One rule.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn rule(&self, project: &ProjectId, id: RuleId) -> ServiceResult<Stored<Rule>> {
        load(self.store.as_ref(), &rule_key(project, id), self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))
    }

    /// Makes a rule that was checked.
    ///
    /// # Errors
    /// `Invalid` if there are too many; port errors.
    pub async fn create_rule(&self, actor: &Actor, project: &ProjectId, new: NewRule) -> ServiceResult<Rule> {
        if self.rules(project).await?.len() >= RULES_LIMIT {
            return Err(ServiceError::Invalid(format!("a project has at most {RULES_LIMIT} rules")));
        }
        let now = self.clock.now();
        let NewRule { name, on, branches, channel, paused } = new;
        let id = RuleId(self.ids.uuid());
        let rule = Rule { id, name, on, branches, channel, paused, created_at: now, updated_at: now };
        let mut commit = Commit::new();
        commit.create(rule_key(project, id), &rule)?;
        let change = rule_change(actor, "notification.created", project, id);
        self.audit(&mut commit, change, None::<&Rule>, Some(&rule.masked()))?;
        commit.perform(self.store.as_ref()).await?;
        Ok(rule)
    }

    /// Changes a rule that must still be as it was read; the next one was checked.
    ///
    /// # Errors
    /// `Conflict` if it was changed meanwhile; port errors.
    pub async fn change_rule(
        &self,
        actor: &Actor,
        project: &ProjectId,
        before: &Stored<Rule>,
        next: Rule,
    ) -> ServiceResult<Rule> {
        let next = Rule { id: before.value.id, updated_at: self.clock.now(), ..next };
        let mut commit = Commit::new();
        commit.replace(rule_key(project, next.id), before.version, &next)?;
        let change = rule_change(actor, "notification.changed", project, next.id);
        self.audit(&mut commit, change, Some(&before.value.masked()), Some(&next.masked()))?;
        commit.perform(self.store.as_ref()).await?;
        Ok(next)
    }

    /// Removes a rule. What is still on its way to it fails.
    ///
    /// # Errors
    /// Port errors.
    pub async fn remove_rule(&self, actor: &Actor, project: &ProjectId, rule: &Rule) -> ServiceResult<()> {
        let mut commit = Commit::new();
        commit.delete(rule_key(project, rule.id));
        let change = rule_change(actor, "notification.removed", project, rule.id);
        self.audit(&mut commit, change, Some(&rule.masked()), None::<&Rule>)?;
        Ok(commit.perform(self.store.as_ref()).await?)
    }

    /// Sends a rule a message about nothing, to see whether it arrives.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn test_rule(&self, project: &ProjectId, id: RuleId) -> ServiceResult<Delivery> {
        let rule = self.rule(project, id).await?.value;
        let title = self.project(project).await?.value.title;
        let now = self.clock.now();
        let story = Story::test(project.clone(), title, now).fitted();
        let events = [Event::Test].into_iter().collect();
        let delivery = Delivery::new(EventId(self.ids.uuid()), &rule, events, story, now);
        let mut commit = Commit::new();
        put_delivery(&mut commit, Condition::Absent, &delivery)?;
        commit.perform(self.store.as_ref()).await?;
        Ok(delivery)
    }

    /// Deliveries of a project, newest first.
    ///
    /// # Errors
    /// Port errors.
    pub async fn deliveries(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Delivery>> {
        let (place, now) = (project_partition(project), self.clock.now());
        let page = self.store.query(&place, DELIVERIES, after, limit, now).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }

    /// Sends a delivery once more, whatever became of it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if it is being sent right now; port errors.
    pub async fn redeliver(
        &self,
        actor: &Actor,
        project: &ProjectId,
        id: EventId,
    ) -> ServiceResult<Delivery> {
        let now = self.clock.now();
        let stored: Stored<Delivery> = load(self.store.as_ref(), &delivery_key(project, id), now)
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))?;
        let next = stored.value.again(now);
        let mut commit = Commit::new();
        put_delivery(&mut commit, Condition::Version(stored.version), &next)?;
        let subject = id.to_string();
        let change = Change { actor, action: "delivery.redelivered", project: Some(project), subject };
        self.audit(&mut commit, change, None::<&Delivery>, None::<&Delivery>)?;
        commit.perform(self.store.as_ref()).await?;
        Ok(next)
    }
}

fn rule_change<'a>(actor: &'a Actor, action: &'a str, project: &'a ProjectId, id: RuleId) -> Change<'a> {
    Change { actor, action, project: Some(project), subject: id.to_string() }
}

/// Everything in an index up to now.
fn until(now: Timestamp) -> String {
    format!("{:020}~", now.0)
}
