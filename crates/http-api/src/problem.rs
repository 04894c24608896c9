//! Errors of the runner link as RFC 9457 problem documents.
//!
//! The code is what a runner acts on: `stale_lease` means drop the batch, `fenced` means stop, `unavailable` means
//! try again. A rejection is an answer, not a fault.

use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::domain::queue::Rejected;
use shared::ports::PortError;
use shared::service::ServiceError;
use shared::wire::link::Problem;

/// A failed call of the link.
#[derive(Debug)]
pub struct LinkProblem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl LinkProblem {
    pub(crate) fn unauthorised() -> Self {
        let detail = "the session token is missing or not valid".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, code: "unauthorised", detail }
    }
}

impl From<ServiceError> for LinkProblem {
    fn from(error: ServiceError) -> Self {
        let (status, code) = match &error {
            ServiceError::BadToken => (StatusCode::UNAUTHORIZED, "unauthorised"),
            ServiceError::Shard(_) => (StatusCode::GONE, "fenced"),
            ServiceError::Rejected(Rejected::StaleLease) => (StatusCode::CONFLICT, "stale_lease"),
            ServiceError::Rejected(Rejected::PartGap { .. }) => (StatusCode::CONFLICT, "part_gap"),
            ServiceError::Rejected(Rejected::Malformed { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "malformed")
            }
            ServiceError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            ServiceError::Member(_) => (StatusCode::CONFLICT, "last_admin"),
            ServiceError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            ServiceError::Port(port) => port_status(port),
        };
        Self { status, code, detail: error.to_string() }
    }
}

fn port_status(error: &PortError) -> (StatusCode, &'static str) {
    match error {
        PortError::Conflict { .. } | PortError::Unavailable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        PortError::Denied { .. } => (StatusCode::INSUFFICIENT_STORAGE, "denied"),
        PortError::NotFound { .. } | PortError::AlreadyExists { .. } | PortError::Corrupt { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

impl From<JsonRejection> for LinkProblem {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), code: "invalid", detail: rejection.body_text() }
    }
}

impl IntoResponse for LinkProblem {
    fn into_response(self) -> Response {
        let problem = Problem {
            code: self.code.to_owned(),
            status: self.status.as_u16(),
            title: self.status.canonical_reason().unwrap_or("error").to_owned(),
            detail: self.detail,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
