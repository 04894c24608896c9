//! Who is calling: an API key, as a bearer token.

use super::problem::Problem;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use shared::domain::access::Principal;
use shared::service::{ServiceError, Services};

/// The bearer token of a request.
///
/// # Errors
/// 401 if there is none.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = value.and_then(|value| value.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Problem::unauthorised("send `Authorization: Bearer fl_…`"));
    }
    Ok(token.trim())
}

/// Whom a request's credential stands for.
///
/// # Errors
/// 401 if it stands for nobody; 503 if that cannot be found out now.
pub(super) async fn principal(services: &Services, headers: &HeaderMap) -> Result<Principal, Problem> {
    let token = bearer(headers)?;
    services.principal_of_key(token).await.map_err(|error| match error {
        ServiceError::BadToken => Problem::unauthorised("the key is unknown, mistyped, expired or revoked"),
        other @ (ServiceError::Port(_)
        | ServiceError::Rejected(_)
        | ServiceError::Shard(_)
        | ServiceError::Invalid(_)
        | ServiceError::Member(_)
        | ServiceError::NotFound(_)) => Problem::from(other),
    })
}
