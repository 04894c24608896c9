//! Who is calling: an API key or a token of an identity provider, as a bearer token.
//!
//! It is found out once per request, before anything else; [`Authorized`](super::door::Authorized) takes it from there.

use super::door::Api;
use super::oidc::TokenRefused;
use super::problem::Problem;
use super::rate::Budget;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap, StatusCode};
use shared::domain::access::{Grant, Principal, Role, Scope};
use shared::domain::key::PREFIX;
use shared::service::ServiceError;
use std::sync::Arc;

/// Whom a request's credential stands for.
#[derive(Debug, Clone)]
struct Identified(Result<Arc<Principal>, Problem>);

/// Finds out who is calling, and what they have left to call, if that is limited.
pub(super) async fn identify(api: &Api, request: &mut Request) -> Option<Budget> {
    let who = principal(api, request.headers()).await;
    let budget = who.as_ref().ok().and_then(|principal| api.take(&principal.subject));
    request.extensions_mut().insert(Identified(who));
    budget
}

/// Whom the request stands for.
///
/// # Errors
/// 401 if it stands for nobody; 503 if that could not be found out.
pub(super) fn caller(extensions: &Extensions) -> Result<Arc<Principal>, Problem> {
    let found = extensions.get::<Identified>().cloned();
    found.map_or_else(|| Err(Problem::unauthorised("nobody asked who is calling")), |found| found.0)
}

/// The same caller, for another request on its behalf.
pub(super) fn hand_on(from: &Extensions, to: &mut Extensions) {
    if let Some(found) = from.get::<Identified>() {
        to.insert(found.clone());
    }
}

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

async fn principal(api: &Api, headers: &HeaderMap) -> Result<Arc<Principal>, Problem> {
    let token = bearer(headers)?;
    if token.starts_with(PREFIX) || token.matches('.').count() != 2 {
        api.services().principal_of_key(api.keys(), token).await.map_err(refused)
    } else {
        member(api, token).await.map(Arc::new)
    }
}

fn refused(error: ServiceError) -> Problem {
    match error {
        ServiceError::BadToken => Problem::unauthorised("the key is unknown, mistyped, expired or revoked"),
        other @ (ServiceError::Port(_)
        | ServiceError::Rejected(_)
        | ServiceError::Shard(_)
        | ServiceError::Invalid(_)
        | ServiceError::Member(_)
        | ServiceError::NotFound(_)) => Problem::from(other),
    }
}

/// Whom a provider's token stands for: rights come from memberships and settings, never from the token.
async fn member(api: &Api, token: &str) -> Result<Principal, Problem> {
    let services = api.services();
    let subject = api.verifier().subject(token, services.clock.now()).await.map_err(|refused| {
        if refused == TokenRefused::Unavailable {
            let problem =
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_unavailable", refused.to_string());
            Problem { retry_after_s: Some(5), ..problem }
        } else {
            Problem::unauthorised(&refused.to_string())
        }
    })?;
    let mut grants = services.grants_of(&subject).await?;
    if api.settings().admins.contains(&subject) {
        grants.push(Grant { project: None, role: Role::Admin });
    }
    Ok(Principal { subject, grants, scopes: Scope::ALL.into_iter().collect() })
}
