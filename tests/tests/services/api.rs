//! The public API over services in memory: what each route answers to whom.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

mod case_lists;
mod conventions;
mod idempotency;
mod imports;
mod logs;
mod matrix;
mod members;
mod notifications;
mod oidc;
mod reports;
mod rerun;
mod rights;
mod runs;
mod schedules;
mod sources;
mod statistics;
mod uploads;
mod webhooks;

use crate::desk::{Desk, REPOSITORY, cases, now, spec, unit, whole};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use http_api::api::door::Api;
use http_api::api::settings::ApiSettings;
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::audit::Actor;
use shared::domain::case::CaseId;
use shared::domain::id::{ProjectId, RunId};
use shared::domain::outcome::Outcome;
use shared::domain::spec::{RunSpec, SuiteSpec};
use shared::domain::unit::{DiscoveredUnit, LeasedEntry, UnitEvent};
use shared::service::key::NewKey;
use shared::wire::link::RunnerEnd;
use std::sync::Arc;
use tower::ServiceExt as _;

/// A client of an installation: calls as the holder of a key.
pub(crate) struct Front {
    pub(crate) desk: Desk,
    router: Router,
    /// A key that may do everything.
    pub(crate) admin: String,
}

/// What a call was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// The body of a call that must have succeeded.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self.body
    }

    /// Status and machine code of a problem.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["request_id"], self.headers["x-request-id"].to_str().unwrap());
        (self.status, self.body["code"].as_str().unwrap())
    }
}

/// What the n-th attempt at a case comes to.
pub(crate) type Outcomes<'a> = dyn Fn(&str, u32) -> Outcome + 'a;

/// What a runner says about an entry; each attempt prints which it is.
pub(crate) fn said(leased: &LeasedEntry, units: &[(&str, usize)], outcome: &Outcomes<'_>) -> Vec<UnitEvent> {
    let count = units.iter().find(|(name, _)| *name == leased.entry.unit).unwrap().1;
    let attempt = leased.entry.attempt;
    let found: Vec<_> =
        cases(&leased.entry.unit, count).into_iter().map(|id| (outcome(&id.0, attempt), id)).collect();
    let found: Vec<(CaseId, Outcome)> = found.into_iter().map(|(outcome, id)| (id, outcome)).collect();
    let mut events = whole(leased, &found);
    for event in &mut events {
        if let UnitEvent::Case { result, .. } = event {
            result.output = format!("attempt {attempt} at {}", result.case);
            result
                .failure
                .iter_mut()
                .for_each(|failure| failure.message = format!("{} is not 2", result.case));
        }
    }
    events
}

impl Front {
    pub(crate) fn new() -> Self {
        Self::with_settings(ApiSettings::default())
    }

    pub(crate) fn with_settings(settings: ApiSettings) -> Self {
        Self::of(Desk::new(), settings)
    }

    pub(crate) fn of(desk: Desk, settings: ApiSettings) -> Self {
        let api = Api::with_settings(Arc::clone(&desk.services), settings);
        let router = http_api::api::router(api);
        let mut front = Self { desk, router, admin: String::new() };
        front.admin = front.key(None, Role::Admin, &Scope::ALL);
        front
    }

    /// With a project `name` whose runs fetch a repository.
    pub(crate) fn with_project(name: &str) -> Self {
        let front = Self::new();
        front.make_project(name);
        front
    }

    pub(crate) fn make_project(&self, name: &str) {
        let body = json!({ "id": name, "repository": REPOSITORY });
        self.post("/v1/projects", &body).ok();
    }

    /// The text of a fresh key.
    pub(crate) fn key(&self, project: Option<&str>, role: Role, scopes: &[Scope]) -> String {
        let new = NewKey {
            name: "test".to_owned(),
            project: project.map(|name| ProjectId(name.to_owned())),
            role,
            scopes: scopes.iter().copied().collect(),
            expires_at: None,
            replaces: None,
        };
        now(self.desk.services.create_key(&Actor::system(), new)).unwrap().1.reveal().to_owned()
    }

    /// The router, for calls that wait.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Every item of a list, part by part.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let part = self.get(&path);
            let link = part.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
            items.extend(part.ok()["items"].as_array().unwrap().iter().cloned());
            next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        }
        items
    }

    /// A run of the project with these suites, on its way.
    pub(crate) fn start(&self, project: &str, suites: Vec<SuiteSpec>) -> RunId {
        self.desk.clock.advance_ms(10);
        let spec = RunSpec {
            project: ProjectId(project.to_owned()),
            commit: Some("c0ffee".to_owned()),
            branch: Some("main".to_owned()),
            ..spec(suites)
        };
        self.desk.submit(&spec)
    }

    /// Works on a job of a run until it is over: `units` are its units, `outcome` says what attempt `n` at a case
    /// comes to.
    pub(crate) fn play(&self, run: RunId, job: u32, units: &[(&str, usize)], outcome: &Outcomes<'_>) {
        let mut hand = self.desk.runner_of(Some(run), (job, 1), 1);
        let listed: Vec<DiscoveredUnit> = units.iter().map(|(name, _)| unit(name)).collect();
        hand.manifest(&listed);
        let mut finished = None;
        while let Some(mut batch) = hand.lease(finished.take()) {
            batch.last.events =
                batch.entries.iter().flat_map(|leased| said(leased, units, outcome)).collect();
            finished = Some(batch.last);
        }
        hand.finish(RunnerEnd::Done);
        self.desk.sweep();
        self.desk.sweep();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Some(&self.admin), None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(&self.admin), Some(body))
    }

    pub(crate) fn call(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let sent = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(sent).unwrap())
    }

    /// Calls as the admin, with more headers.
    pub(crate) fn with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let sent = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(sent).unwrap())
    }

    pub(crate) fn send(&self, request: Request<Body>) -> Answer {
        let response = now(self.router.clone().oneshot(request)).unwrap();
        let (parts, body) = response.into_parts();
        let bytes = now(to_bytes(body, usize::MAX)).unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, text }
    }
}
