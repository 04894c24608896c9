//! The public API over services in memory: what each route answers to whom.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

mod imports;
mod rights;
mod runs;

use crate::desk::{Desk, now};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::audit::Actor;
use shared::domain::id::ProjectId;
use shared::service::key::NewKey;
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

impl Front {
    pub(crate) fn new() -> Self {
        let desk = Desk::new();
        let router = http_api::api::router(http_api::api::door::Api::new(Arc::clone(&desk.services)));
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
        let body = json!({ "id": name, "repository": "https://example.org/x.git" });
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

    pub(crate) fn send(&self, request: Request<Body>) -> Answer {
        let response = now(self.router.clone().oneshot(request)).unwrap();
        let (parts, body) = response.into_parts();
        let bytes = now(to_bytes(body, usize::MAX)).unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}
