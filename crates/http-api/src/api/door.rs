//! The only way from a request to the services: an argument that stands for a passed check.
//!
//! `Authorized<R, A>` says in a handler's signature what it works on (`R`) and what it is about to do (`A`). It is
//! made by finding the resource and asking [`Principal::may`]; what a caller has no role in is not found, whether it
//! exists or not.

mod signed;

pub use signed::Signed;

use super::holdings::Holdings;
use super::idempotency::Seed;
pub mod upload;

use super::identity;
use super::metrics::Metrics;
use super::oidc::Verifier;
use super::problem::Problem;
use super::rate::Budget;
use super::request::RequestId;
use super::settings::ApiSettings;
use super::shown::{Line, Shown};
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use shared::domain::access::{Action, Principal};
use shared::domain::audit::Actor;
use shared::domain::id::{ProjectId, RunId, ScheduleId};
use shared::domain::project::Project;
use shared::domain::run::Run;
use shared::domain::schedule::Schedule;
use shared::service::Services;
use shared::service::key::KeyMemory;
use shared::service::repository::Stored;
use shared::service::runs::RunDocument;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

/// State of the router. What it holds is private to this module: handlers get it from [`Authorized`].
#[derive(Debug, Clone)]
pub struct Api {
    services: Arc<Services>,
    holdings: Arc<Holdings>,
    import_limit_bytes: u64,
}

/// Largest report that is imported, unless set otherwise.
pub const IMPORT_LIMIT_BYTES: u64 = 1024 * 1024 * 1024;

impl Api {
    /// The API over these services, with ordinary settings.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self::with_settings(services, ApiSettings::default())
    }

    /// The API over these services.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the caller hands its share over")]
    pub fn with_settings(services: Arc<Services>, settings: ApiSettings) -> Self {
        let services = Arc::new(super::shelf::with_shelf(&services));
        Self { services, holdings: Arc::new(Holdings::new(settings)), import_limit_bytes: IMPORT_LIMIT_BYTES }
    }

    /// For the layers around handlers only.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    pub(super) fn settings(&self) -> &ApiSettings {
        &self.holdings.settings
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.holdings.verifier
    }

    pub(super) fn keys(&self) -> &KeyMemory {
        &self.holdings.keys
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.holdings.metrics
    }

    /// Takes one request of a caller's budget, if there are budgets.
    pub(super) fn take(&self, subject: &str) -> Option<Budget> {
        let limit = self.holdings.settings.rate?;
        Some(self.holdings.buckets.take(limit, subject, self.services.clock.now()))
    }

    /// The same with another limit for imported reports.
    #[must_use]
    pub fn with_import_limit(self, bytes: u64) -> Self {
        Self { import_limit_bytes: bytes, ..self }
    }

    pub(super) fn fresh_id(&self) -> u128 {
        self.services.ids.uuid()
    }
}

/// The named parts of a request's path.
#[derive(Debug, Default)]
pub struct PathParts(BTreeMap<String, String>);

impl PathParts {
    /// A part, read as what it must be.
    ///
    /// # Errors
    /// 404 if it is no such thing: a path that cannot name anything names nothing.
    pub fn read<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.0.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|error: T::Err| Problem::not_found(error.to_string()))
    }

    /// The project's id.
    ///
    /// # Errors
    /// 404 if it cannot be one.
    pub fn project(&self) -> Result<ProjectId, Problem> {
        let text = self.0.get("project").map(String::as_str).unwrap_or_default();
        ProjectId::parse(text).map_err(Problem::not_found)
    }
}

/// To whom a resource belongs.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// A project.
    Project(&'a ProjectId),
    /// No project: the instance.
    Instance,
    /// Whoever asks: it shows nothing but what is the caller's own.
    Caller,
}

/// What a request works on.
pub trait Resource: Sized + Send {
    /// Finds it by the request's path.
    fn find(api: &Api, path: &PathParts) -> impl Future<Output = Result<Self, Problem>> + Send;
    /// To whom it belongs.
    fn owner(&self) -> Owner<'_>;
}

/// What a request is about to do.
pub trait Intent: Send + 'static {
    /// The action, by which roles and scopes are looked up.
    const ACTION: Action;
}

macro_rules! intents {
    ($($(#[$doc:meta])* $name:ident => $action:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;
        impl Intent for $name {
            const ACTION: Action = Action::$action;
        }
    )*};
}

intents! {
    /// Looks.
    CanRead => Read;
    /// Starts a run.
    CanRun => Run;
    /// Stops a run.
    CanCancel => Cancel;
    /// Lets a parked run begin.
    CanApprove => Approve;
    /// Imports results.
    CanImport => Import;
    /// Changes settings, schedules, notifications, webhooks.
    CanConfigure => Configure;
    /// Reads the audit log.
    CanAudit => Audit;
    /// Gives and takes rights.
    CanGrant => Grant;
    /// Makes and removes projects.
    CanOperate => Operate;
}

/// A passed check.
pub struct Authorized<R, I> {
    /// What it was passed for.
    pub resource: R,
    /// Who passed it.
    pub principal: Arc<Principal>,
    /// The same, for the audit log.
    pub actor: Actor,
    /// The parts of the path.
    pub path: PathParts,
    seed: Option<Seed>,
    api: Api,
    intent: PhantomData<fn() -> I>,
}

impl<R, I> fmt::Debug for Authorized<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("principal", &self.principal.subject).finish_non_exhaustive()
    }
}

impl<R, I> Authorized<R, I> {
    /// The services.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.api.services
    }

    /// Number for the id of the one thing that this request makes: the same for every attempt under one
    /// `Idempotency-Key`, so that an attempt which crashed half-way is gone on with.
    #[must_use]
    pub fn made_id(&self) -> u128 {
        self.seed.map_or_else(|| self.api.fresh_id(), |seed| seed.0)
    }

    /// Runs as they were shown before.
    pub(super) fn shown(&self) -> &Shown {
        &self.api.holdings.shown
    }

    /// Largest report that is imported.
    #[must_use]
    pub fn import_limit_bytes(&self) -> u64 {
        self.api.import_limit_bytes
    }
}

impl<R: Resource, I: Intent> FromRequestParts<Api> for Authorized<R, I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let principal = identity::caller(&parts.extensions)?;
        let path = path_parts(parts, api).await?;
        let resource = R::find(api, &path).await?;
        match resource.owner() {
            Owner::Project(project) => principal.may(I::ACTION, Some(project))?,
            Owner::Instance => principal.may(I::ACTION, None)?,
            Owner::Caller => {}
        }
        let actor = Actor {
            subject: principal.subject.clone(),
            address: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string()),
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
        };
        let seed = parts.extensions.get::<Seed>().copied();
        Ok(Self { resource, principal, actor, path, seed, api: api.clone(), intent: PhantomData })
    }
}

async fn path_parts(parts: &mut Parts, api: &Api) -> Result<PathParts, Problem> {
    let raw = RawPathParams::from_request_parts(parts, api)
        .await
        .map_err(|rejection| Problem::not_found(rejection.to_string()))?;
    Ok(PathParts(raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
}

/// What belongs to no project.
#[derive(Debug)]
pub struct Instance;

impl Resource for Instance {
    async fn find(_: &Api, _: &PathParts) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Instance
    }
}

/// The caller itself, and what it has a role in.
#[derive(Debug)]
pub struct Myself;

impl Resource for Myself {
    async fn find(_: &Api, _: &PathParts) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Caller
    }
}

/// The project that `{project}` in the path names.
#[derive(Debug)]
pub struct OneProject(pub Stored<Project>);

impl Resource for OneProject {
    async fn find(api: &Api, path: &PathParts) -> Result<Self, Problem> {
        Ok(Self(api.services.project(&path.project()?).await?))
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Project(&self.0.value.id)
    }
}

/// The project that `{project}` in the path names, which is there; what it is set to was not read.
#[derive(Debug)]
pub struct NamedProject(pub ProjectId);

impl Resource for NamedProject {
    async fn find(api: &Api, path: &PathParts) -> Result<Self, Problem> {
        let id = path.project()?;
        api.services.check_project(&id).await?;
        Ok(Self(id))
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Project(&self.0)
    }
}

/// The run that `{run}` in the path names, as it is shown.
#[derive(Debug)]
pub struct ShownRun {
    pub(super) line: Line,
    document: RunDocument,
}

impl ShownRun {
    /// The run, read.
    ///
    /// # Errors
    /// 500 if what is stored cannot be read.
    pub fn run(&self) -> Result<Run, Problem> {
        Ok(self.document.run()?)
    }
}

impl Resource for ShownRun {
    async fn find(api: &Api, path: &PathParts) -> Result<Self, Problem> {
        let document = api.services.run_document(path.read("run")?).await?;
        Ok(Self { line: api.holdings.shown.one(&document)?, document })
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Project(self.line.project())
    }
}

/// The run that `{run}` in the path names.
#[derive(Debug)]
pub struct OneRun(pub Stored<Run>);

impl Resource for OneRun {
    async fn find(api: &Api, path: &PathParts) -> Result<Self, Problem> {
        Ok(Self(api.services.run(path.read::<RunId>("run")?).await?))
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Project(&self.0.value.origin.project)
    }
}

/// The schedule that `{project}` and `{schedule}` in the path name.
#[derive(Debug)]
pub struct OneSchedule {
    /// Its project.
    pub project: Stored<Project>,
    /// The schedule.
    pub schedule: Stored<Schedule>,
}

impl Resource for OneSchedule {
    async fn find(api: &Api, path: &PathParts) -> Result<Self, Problem> {
        let services = &api.services;
        let project = services.project(&path.project()?).await?;
        let id: ScheduleId = path.read("schedule")?;
        let schedule = services.schedule(&project.value.id, id).await?;
        Ok(Self { project, schedule })
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Project(&self.project.value.id)
    }
}
