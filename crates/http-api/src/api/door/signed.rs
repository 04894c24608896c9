//! The only way from a forge's webhook to the services: an argument that stands for a signature that fits.
//!
//! A webhook has no key and no role. It is believed because one of the project's secrets signed its exact bytes; until
//! then nothing of it is read as anything. Whether the project exists is not told to whoever cannot sign.

use super::{Api, PathParts, path_parts};
use crate::api::extract::too_large;
use crate::api::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use shared::domain::project::Project;
use shared::domain::webhook::{is_genuine, is_word};
use shared::service::{ServiceError, Services};
use std::fmt;
use std::sync::Arc;

/// A webhook whose signature fits.
pub struct Signed {
    /// The project that it was sent to.
    pub project: Project,
    /// The sender's id of it.
    pub delivery: String,
    /// Its event.
    pub event: String,
    /// Its exact bytes.
    pub body: Bytes,
    api: Api,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

impl Signed {
    /// The services.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.api.services
    }
}

impl FromRequest<Api> for Signed {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let path = path_parts(&mut parts, api).await?;
        let signature = word(&parts.headers, "x-hub-signature-256").ok_or_else(unsigned)?;
        // The secrets come first: who sends to a place without any is not read to the end.
        let (project, secrets) = expected(&api.services, &path).await?;
        let request = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(request, api).await.map_err(|rejection| too_large(&rejection))?;
        if !is_genuine(&secrets, &signature, &body) {
            return Err(unsigned());
        }
        let named = |name: &str| word(&parts.headers, name).filter(|text| is_word(text));
        let delivery = named("x-github-delivery");
        let delivery =
            delivery.ok_or_else(|| Problem::invalid("x-github-delivery", "the header is missing"))?;
        let event = named("x-github-event");
        let event = event.ok_or_else(|| Problem::invalid("x-github-event", "the header is missing"))?;
        Ok(Self { project, delivery, event, body, api: api.clone() })
    }
}

fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The same words whatever is wrong: an unknown project, no secret, no signature, a wrong one.
fn unsigned() -> Problem {
    Problem::unauthorised("the webhook is not signed with one of the project's secrets")
}

async fn expected(
    services: &Services,
    path: &PathParts,
) -> Result<(Project, Vec<shared::domain::secret::Secret>), Problem> {
    let id = path.project().map_err(|_unknown| unsigned())?;
    let project = match services.project(&id).await {
        Ok(project) => project.value,
        Err(ServiceError::NotFound(_)) => return Err(unsigned()),
        Err(error) => return Err(error.into()),
    };
    let secrets = services.webhook_secrets(&id).await?.value.secrets();
    if secrets.is_empty() { Err(unsigned()) } else { Ok((project, secrets)) }
}
