//! Schedules: made, changed, fired. A fire that is told of twice is one run.

use super::audit::{Change, Listed};
use super::order::{Asker, OrderError};
use super::repository::{Commit, Stored, load, load_all, parse, project_partition};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::audit::Actor;
use crate::domain::id::{ProjectId, RunId, ScheduleId};
use crate::domain::order::{RunOrder, Wrong};
use crate::domain::origin::Trigger;
use crate::domain::project::Project;
use crate::domain::schedule::{Schedule, Timetable, TimetableError};
use crate::domain::time::Timestamp;
use crate::ports::{Condition, IndexEntry, Key, PortError, PortResult};

/// Index of schedules by their next fire.
const DUE: &str = "schedules_due";
/// Schedules looked at by one tick; the next one goes on.
const FIRED_AT_ONCE: usize = 200;
/// Most schedules of a project.
const SCHEDULES_LIMIT: usize = 100;
const NAME_LIMIT_CHARS: usize = 100;

/// What a schedule is made of; of one that exists, what it is to be.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// What people call it.
    pub name: String,
    /// Cron expression.
    pub cron: String,
    /// Time zone.
    pub zone: String,
    /// What is started.
    pub order: RunOrder,
    /// Whether it rests.
    pub paused: bool,
}

fn schedule_key(project: &ProjectId, id: ScheduleId) -> Key {
    Key::new(project_partition(project), format!("schedule#{id}"))
}

fn due_entry(schedule: &Schedule) -> Option<IndexEntry> {
    let next = schedule.next_fire?;
    Some(IndexEntry { name: DUE.to_owned(), sort: format!("{:020}#{}", next.0, schedule.id) })
}

fn wrong(pointer: &'static str, detail: impl Into<String>) -> OrderError {
    Wrong { pointer, detail: detail.into() }.into()
}

/// Where a part of the order is in the body of a schedule.
fn inside(wrong: Wrong) -> Wrong {
    let pointer = match wrong.pointer {
        "/ref" => "/order/ref",
        "/commit" => "/order/commit",
        "/branch" => "/order/branch",
        "/config" => "/order/config",
        "/suites" => "/order/suites",
        "/filter" => "/order/filter",
        "/fail_fast" => "/order/fail_fast",
        "/timeout_s" => "/order/timeout_s",
        "/priority" => "/order/priority",
        _ => "/order",
    };
    Wrong { pointer, ..wrong }
}

/// The timetable of a sound schedule.
fn check(project: &Project, new: &NewSchedule, now: Timestamp) -> Result<Timestamp, OrderError> {
    let chars = new.name.chars().count();
    if !(1..=NAME_LIMIT_CHARS).contains(&chars) || new.name.chars().any(char::is_control) {
        return Err(wrong("/name", "a name has 1 to 100 printable characters"));
    }
    let timetable = Timetable::parse(&new.cron, &new.zone).map_err(|error| match error {
        TimetableError::Expression { .. } => wrong("/cron", error.to_string()),
        TimetableError::Zone(_) => wrong("/zone", error.to_string()),
    })?;
    let next = timetable.after(now);
    let next = next.ok_or_else(|| wrong("/cron", format!("`{}` names a time that never comes", new.cron)))?;
    if new.order.source.is_some() {
        return Err(wrong("/order/source", "an uploaded source is forgotten; a schedule needs a `ref`"));
    }
    new.order.spec(project, None).map_err(inside)?;
    Ok(next)
}

impl Services {
    /// Makes a schedule.
    ///
    /// # Errors
    /// `Wrong` at the part that is; port errors.
    pub async fn create_schedule(
        &self,
        actor: &Actor,
        project: &Project,
        new: NewSchedule,
    ) -> Result<Schedule, OrderError> {
        let now = self.clock.now();
        let next = check(project, &new, now)?;
        let others: Vec<Stored<Schedule>> =
            self.all_schedules(&project.id).await.map_err(ServiceError::from)?;
        if others.len() >= SCHEDULES_LIMIT {
            return Err(wrong("", format!("a project has at most {SCHEDULES_LIMIT} schedules")));
        }
        let schedule = Schedule {
            id: ScheduleId(self.ids.uuid()),
            project: project.id.clone(),
            name: new.name,
            cron: new.cron,
            zone: new.zone,
            order: new.order,
            paused: new.paused,
            next_fire: (!new.paused).then_some(next),
            last_run: None,
            last_fire: None,
            problem: None,
            created_at: now,
            created_by: actor.subject.clone(),
            updated_at: now,
        };
        self.save_schedule((actor, "schedule.created"), None, &schedule).await?;
        Ok(schedule)
    }

    async fn all_schedules(&self, project: &ProjectId) -> PortResult<Vec<Stored<Schedule>>> {
        load_all(self.store.as_ref(), &project_partition(project), "schedule#", self.clock.now()).await
    }

    async fn save_schedule(
        &self,
        (actor, action): (&Actor, &str),
        before: Option<&Stored<Schedule>>,
        next: &Schedule,
    ) -> ServiceResult<()> {
        let condition = before.map_or(Condition::Absent, |before| Condition::Version(before.version));
        let mut commit = Commit::new();
        commit.put(schedule_key(&next.project, next.id), condition, next, due_entry(next))?;
        let change = Change { actor, action, project: Some(&next.project), subject: next.id.to_string() };
        self.audit(&mut commit, change, before.map(|before| &before.value), Some(next))?;
        Ok(commit.perform(self.store.as_ref()).await?)
    }

    /// Schedules of a project by their making.
    ///
    /// # Errors
    /// Port errors.
    pub async fn schedules(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> ServiceResult<Listed<Schedule>> {
        let (partition, now) = (project_partition(project), self.clock.now());
        let page = self.store.query(&partition, "schedule#", after, limit, now).await?;
        let items =
            page.documents.iter().map(|document| Ok(parse(document)?.value)).collect::<PortResult<_>>()?;
        Ok(Listed { items, next: page.next })
    }

    /// One schedule.
    ///
    /// # Errors
    /// `NotFound`; port errors.
    pub async fn schedule(&self, project: &ProjectId, id: ScheduleId) -> ServiceResult<Stored<Schedule>> {
        load(self.store.as_ref(), &schedule_key(project, id), self.clock.now())
            .await?
            .ok_or_else(|| ServiceError::NotFound(id.to_string()))
    }

    /// Changes a schedule that must still be as it was read. One that rested begins anew: nothing is made up for.
    ///
    /// # Errors
    /// `Wrong` at the part that is; `Conflict`; port errors.
    pub async fn change_schedule(
        &self,
        actor: &Actor,
        project: &Project,
        before: &Stored<Schedule>,
        new: NewSchedule,
    ) -> Result<Schedule, OrderError> {
        let now = self.clock.now();
        let fresh = check(project, &new, now)?;
        let old = &before.value;
        let same_time = (&old.cron, &old.zone, old.paused) == (&new.cron, &new.zone, new.paused);
        let next_fire = if same_time { old.next_fire } else { Some(fresh) };
        let action = match (old.paused, new.paused) {
            (false, true) => "schedule.paused",
            (true, false) => "schedule.resumed",
            (true, true) | (false, false) => "schedule.changed",
        };
        let next = Schedule {
            name: new.name,
            cron: new.cron,
            zone: new.zone,
            order: new.order,
            paused: new.paused,
            next_fire: next_fire.filter(|_| !new.paused),
            problem: None,
            updated_at: now,
            ..old.clone()
        };
        self.save_schedule((actor, action), Some(before), &next).await?;
        Ok(next)
    }

    /// Removes a schedule; the runs that it started stay.
    ///
    /// # Errors
    /// `Conflict` if it was changed meanwhile; port errors.
    pub async fn delete_schedule(&self, actor: &Actor, before: &Stored<Schedule>) -> ServiceResult<()> {
        let Schedule { id, project, .. } = &before.value;
        let mut commit = Commit::new();
        commit.check_and_delete(schedule_key(project, *id), before.version);
        let change =
            Change { actor, action: "schedule.deleted", project: Some(project), subject: id.to_string() };
        self.audit(&mut commit, change, Some(&before.value), None::<&Schedule>)?;
        Ok(commit.perform(self.store.as_ref()).await?)
    }

    /// Starts what a schedule starts, now; its timetable is not touched.
    ///
    /// # Errors
    /// `Wrong` if the order does not fit the project any more; port errors.
    pub async fn run_schedule(
        &self,
        actor: &Actor,
        project: &Project,
        schedule: &Schedule,
    ) -> Result<RunId, OrderError> {
        let asker = asker(&actor.subject, schedule, self.clock.now());
        self.order_run(RunId(self.ids.uuid()), project, &schedule.order, asker).await
    }

    /// Fires every schedule that is due. Any host may call it at any time, as often as it likes: the run of a fire is
    /// the same for everyone. Returns the runs. One schedule that fails does not keep the others from firing.
    ///
    /// # Errors
    /// The first port error of any schedule; the next tick tries again.
    pub async fn fire_due(&self, now: Timestamp) -> ServiceResult<Vec<RunId>> {
        let keys = self.store.query_index(DUE, &format!("{:020}~", now.0), FIRED_AT_ONCE).await?;
        let (mut runs, mut first_error) = (Vec::new(), None);
        for key in keys {
            match self.fire(&key, now).await {
                Ok(run) => runs.extend(run),
                // Someone else fired or changed it.
                Err(error) if error.is_conflict() => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(runs), Err)
    }

    async fn fire(&self, key: &Key, now: Timestamp) -> ServiceResult<Option<RunId>> {
        // The index may lag behind: the document is the truth.
        let Some(stored) = load::<Schedule>(self.store.as_ref(), key, now).await? else { return Ok(None) };
        let schedule = &stored.value;
        let timetable = Timetable::parse(&schedule.cron, &schedule.zone);
        let timetable = timetable.map_err(|error| PortError::Corrupt {
            port: "store",
            subject: schedule.id.to_string(),
            reason: error.to_string(),
        })?;
        let Some(due) = schedule.due(&timetable, now) else { return Ok(None) };
        let mut next = Schedule { next_fire: due.next, ..schedule.clone() };
        let mut started = None;
        if let Some(fire) = due.fire {
            next.last_fire = Some(fire);
            // The run first: if this host dies now, the next one comes to the same run.
            match self.start_fire(schedule, fire).await {
                Ok(run) => (started, next.last_run, next.problem) = (Some(run), Some(run), None),
                Err(OrderError::Wrong(wrong)) => next.problem = Some(wrong.detail),
                Err(OrderError::Service(ServiceError::NotFound(what))) => {
                    next.problem = Some(format!("`{what}` not found"));
                }
                Err(OrderError::Service(error)) => return Err(error),
            }
        }
        let mut commit = Commit::new();
        commit.put(key.clone(), Condition::Version(stored.version), &next, due_entry(&next))?;
        commit.perform(self.store.as_ref()).await?;
        Ok(started)
    }

    async fn start_fire(&self, schedule: &Schedule, fire: Timestamp) -> Result<RunId, OrderError> {
        let project = self.project(&schedule.project).await?.value;
        let asker = asker("system", schedule, fire);
        self.order_run(schedule.run_at(fire), &project, &schedule.order, asker).await
    }
}

fn asker(actor: &str, schedule: &Schedule, due_at: Timestamp) -> Asker {
    let trigger = Trigger::Schedule { schedule: schedule.id.to_string(), due_at };
    Asker { actor: actor.to_owned(), trigger, parked: false }
}
