//! `/v1/webhooks/github/{project}`, what came in by it, and the secrets that it is believed by.

use crate::api::door::{Api, Authorized, CanConfigure, OneProject, Signed};
use crate::api::extract::{Asked, Body};
use crate::api::page::{self, Part};
use crate::api::problem::Problem;
use crate::api::wire::{Page, ProblemBody, SecretsShown, WebhookSecretBody, WebhookShown};
use axum::Json;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use shared::domain::order::RunOrder;
use shared::domain::project::Project;
use shared::domain::secret::Secret;
use shared::domain::spec::RunSpec;
use shared::domain::webhook::{self, Push};
use shared::service::webhook::Genuine;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest payload: GitHub sends none that is larger.
const BODY_LIMIT_BYTES: usize = 25 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<Api> {
    let receive =
        OpenApiRouter::new().routes(routes!(receive)).layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES));
    OpenApiRouter::new()
        .merge(receive)
        .routes(routes!(list))
        .routes(routes!(replay))
        .routes(routes!(secrets, set_secret))
}

/// Takes a webhook from GitHub. It is believed by its `X-Hub-Signature-256` alone; the same delivery again is answered
/// with the same run.
#[utoipa::path(post, path = "/v1/webhooks/github/{project}", tag = "webhooks", security(()),
    params(("project" = String, Path), ("x-hub-signature-256" = String, Header),
        ("x-github-delivery" = String, Header, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("x-github-event" = String, Header, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 202, body = WebhookShown), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody), (status = "4XX", body = ProblemBody)))]
async fn receive(signed: Signed) -> Result<Response, Problem> {
    let meaning = webhook::read(&signed.event, &signed.body)
        .map_err(|unreadable| Problem::invalid("", unreadable.to_string()))?;
    let genuine = Genuine { delivery: signed.delivery.clone(), event: signed.event.clone(), meaning };
    let received = signed.services().receive_webhook(&signed.project, genuine, &spec_of).await?;
    Ok((StatusCode::ACCEPTED, Json(WebhookShown::from(received))).into_response())
}

/// Webhooks that were received, newest first. They are kept for thirty days.
#[utoipa::path(get, path = "/v1/projects/{project}/webhooks", tag = "webhooks",
    params(("project" = String, Path), Part),
    responses((status = 200, body = Page<WebhookShown>), (status = "4XX", body = ProblemBody)))]
async fn list(
    door: Authorized<OneProject, CanConfigure>,
    Asked(part): Asked<Part>,
    uri: Uri,
) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let name = format!("webhooks {project}");
    let after = part.after(&door, &name)?;
    let listed = door.services().webhooks(project, after.as_deref(), part.limit()?).await?;
    Ok(page::answer(&door, (&name, &uri), listed, WebhookShown::from))
}

/// Makes of a webhook what it asks for, once more. A run that it made already is the same run.
#[utoipa::path(post, path = "/v1/projects/{project}/webhooks/{event}/replay", tag = "webhooks",
    params(("project" = String, Path), ("event" = String, Path)),
    responses((status = 202, body = WebhookShown), (status = "4XX", body = ProblemBody)))]
async fn replay(door: Authorized<OneProject, CanConfigure>) -> Result<Response, Problem> {
    let project = &door.resource.0.value;
    let event = door.path.read("event")?;
    let received = door.services().replay_webhook(&door.actor, project, event, &spec_of).await?;
    Ok((StatusCode::ACCEPTED, Json(WebhookShown::from(received))).into_response())
}

/// The secrets that webhooks of the project are believed by, without themselves.
#[utoipa::path(get, path = "/v1/projects/{project}/webhook-secrets", tag = "webhooks",
    params(("project" = String, Path)),
    responses((status = 200, body = SecretsShown), (status = "4XX", body = ProblemBody)))]
async fn secrets(door: Authorized<OneProject, CanConfigure>) -> Result<Json<SecretsShown>, Problem> {
    Ok(Json(door.services().webhook_secrets(&door.resource.0.value.id).await?.value.into()))
}

/// Sets the secret that webhooks are signed with. Setting the same again changes nothing.
#[utoipa::path(put, path = "/v1/projects/{project}/webhook-secrets", tag = "webhooks",
    params(("project" = String, Path)), request_body = WebhookSecretBody,
    responses((status = 200, body = SecretsShown), (status = "4XX", body = ProblemBody)))]
async fn set_secret(
    door: Authorized<OneProject, CanConfigure>,
    Body(body): Body<WebhookSecretBody>,
) -> Result<Json<SecretsShown>, Problem> {
    let (project, secret) = (&door.resource.0.value.id, Secret::new(body.secret));
    if !secret.can_sign() {
        return Err(Problem::invalid(
            "/secret",
            "a secret has at least 16 characters and at most 1024 bytes",
        ));
    }
    let set = door.services().set_webhook_secret(&door.actor, project, &secret, body.keep_previous);
    Ok(Json(set.await?.into()))
}

/// What a commit of a webhook is tested with: everything but the commit is the project's own.
fn spec_of(project: &Project, push: &Push) -> Result<RunSpec, String> {
    let order = RunOrder {
        reference: Some(push.commit.clone()),
        branch: push.branch.clone(),
        pull_request: push.pull_request,
        suites: push.suite.iter().cloned().collect(),
        ..RunOrder::default()
    };
    let spec = order.spec(project, None).map_err(|wrong| wrong.detail)?;
    Ok(RunSpec { commit: Some(push.commit.clone()), ..spec })
}
