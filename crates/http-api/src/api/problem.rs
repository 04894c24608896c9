//! Errors as RFC 9457 problem documents.
//!
//! A handler returns a [`Problem`]; the layer around all handlers writes it out, because only there the id and the
//! path of the request are known.

use super::wire::{FieldError, ProblemBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::domain::access::Denied;
use shared::ports::PortError;
use shared::service::ServiceError;

/// A failed request.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine code, stable.
    pub code: &'static str,
    /// What failed, why, and what to do.
    pub detail: String,
    /// Which parts of the request are wrong.
    pub errors: Vec<FieldError>,
    /// When it is worth trying again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// No or no valid credential.
    #[must_use]
    pub fn unauthorised(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", detail)
    }

    /// There is no such thing, or it is not for this caller to know of it.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The route exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has no such method")
    }

    /// One part of the request is wrong; `pointer` is a JSON pointer into the body, or names a query parameter.
    #[must_use]
    pub fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = FieldError { pointer: pointer.to_owned(), detail: detail.clone() };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.errors.push(error);
        problem
    }

    /// What was to be changed is not what it was when it was read.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn body(&self, request_id: &str, instance: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("https://fleetest.dev/problems/{}", self.code),
            title: self.status.canonical_reason().unwrap_or("error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.code.to_owned(),
            errors: self.errors.clone(),
            request_id: request_id.to_owned(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Hidden => Self::not_found("there is no such thing here"),
            Denied::Role { .. } => Self::new(StatusCode::FORBIDDEN, "role_too_low", denied.to_string()),
            Denied::Scope { .. } => Self::new(StatusCode::FORBIDDEN, "scope_missing", denied.to_string()),
        }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let detail = error.to_string();
        match error {
            ServiceError::NotFound(_) => Self::not_found(detail),
            ServiceError::Invalid(_) | ServiceError::Rejected(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
            }
            ServiceError::BadToken => Self::unauthorised("the credential is not valid"),
            ServiceError::Member(_) => Self::conflict("last_admin", detail),
            ServiceError::Shard(_) => Self::conflict("fenced", detail),
            ServiceError::Port(port) => Self::from(port),
        }
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match &error {
            PortError::NotFound { .. } => Self::not_found("it is not, or no longer, stored"),
            PortError::AlreadyExists { subject, .. } => {
                Self::conflict("already_exists", format!("`{subject}` exists already"))
            }
            PortError::Conflict { .. } => {
                Self::conflict("changed_meanwhile", "it was changed by someone else; read it again")
            }
            PortError::Unavailable { .. } => Self {
                retry_after_s: Some(1),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the store does not answer; try again",
                )
            },
            // The reasons name files and tables of the server: they go to its log only.
            PortError::Denied { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "denied", "the server cannot store this")
            }
            PortError::Corrupt { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "what is stored cannot be understood",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
