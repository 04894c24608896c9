//! `/v1/projects/{project}/notifications`: who is told what. What a rule holds as a secret is never shown again.

use crate::api::door::{Api, Authorized, CanConfigure, OneProject};
use crate::api::extract::Body;
use crate::api::idempotency::Unkept;
use crate::api::problem::Problem;
use crate::api::wire::{
    ChannelBody, DeliveryShown, NewRuleBody, OccasionWord, Page, ProblemBody, RuleChange, RuleMade, RuleShown,
};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use shared::domain::id::RuleId;
use shared::domain::notify::{Occasion, Rule, Wrong};
use shared::domain::secret::Secret;
use shared::service::Services;
use shared::service::notify::NewRule;
use shared::service::repository::Stored;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(test))
}

type Door = Authorized<OneProject, CanConfigure>;

/// The rules of a project, in the order of their making. There are few, so they come at once.
#[utoipa::path(get, path = "/v1/projects/{project}/notifications", tag = "notifications",
    params(("project" = String, Path)),
    responses((status = 200, body = Page<RuleShown>), (status = "4XX", body = ProblemBody)))]
async fn list(door: Door) -> Result<Json<Page<RuleShown>>, Problem> {
    let rules = door.services().rules(&door.resource.0.value.id).await?;
    let items = rules.into_iter().map(|rule| RuleShown::from(rule.value)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Makes a rule.
#[utoipa::path(post, path = "/v1/projects/{project}/notifications", tag = "notifications",
    params(("project" = String, Path)), request_body = NewRuleBody,
    responses((status = 201, body = RuleMade), (status = "4XX", body = ProblemBody)))]
async fn create(door: Door, Body(body): Body<NewRuleBody>) -> Result<Response, Problem> {
    let project = &door.resource.0.value.id;
    let (new, secret) = parse(door.services(), body)?;
    let rule = door.services().create_rule(&door.actor, project, new).await?;
    let location = format!("/v1/projects/{project}/notifications/{}", rule.id);
    let unkept = secret.is_some().then_some(Extension(Unkept));
    let made = RuleMade { rule: rule.into(), secret };
    Ok((StatusCode::CREATED, unkept, [(header::LOCATION, location)], Json(made)).into_response())
}

/// A rule.
#[utoipa::path(get, path = "/v1/projects/{project}/notifications/{rule}", tag = "notifications",
    params(("project" = String, Path), ("rule" = String, Path)),
    responses((status = 200, body = RuleShown), (status = "4XX", body = ProblemBody)))]
async fn show(door: Door) -> Result<Json<RuleShown>, Problem> {
    Ok(Json(found(&door).await?.value.into()))
}

/// Changes a rule. A channel is replaced as a whole, with its secrets.
#[utoipa::path(patch, path = "/v1/projects/{project}/notifications/{rule}", tag = "notifications",
    params(("project" = String, Path), ("rule" = String, Path)), request_body = RuleChange,
    responses((status = 200, body = RuleMade), (status = "4XX", body = ProblemBody)))]
async fn change(door: Door, Body(change): Body<RuleChange>) -> Result<Json<RuleMade>, Problem> {
    let before = found(&door).await?;
    let fresh = fresh_secret(door.services());
    let secret = change.channel.as_ref().filter(|channel| wants_secret(channel));
    let secret = secret.map(|_| fresh.reveal().to_owned());
    let next = changed(before.value.clone(), change, fresh)?;
    let project = &door.resource.0.value.id;
    let rule = door.services().change_rule(&door.actor, project, &before, next).await?;
    Ok(Json(RuleMade { rule: rule.into(), secret }))
}

/// Removes a rule. Messages that are still on their way to it fail.
#[utoipa::path(delete, path = "/v1/projects/{project}/notifications/{rule}", tag = "notifications",
    params(("project" = String, Path), ("rule" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemBody)))]
async fn remove(door: Door) -> Result<StatusCode, Problem> {
    let rule = found(&door).await?.value;
    door.services().remove_rule(&door.actor, &door.resource.0.value.id, &rule).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the rule a message about nothing. What becomes of it is in the deliveries.
#[utoipa::path(post, path = "/v1/projects/{project}/notifications/{rule}/test", tag = "notifications",
    params(("project" = String, Path), ("rule" = String, Path)),
    responses((status = 202, body = DeliveryShown), (status = "4XX", body = ProblemBody)))]
async fn test(door: Door) -> Result<Response, Problem> {
    let rule: RuleId = door.path.read("rule")?;
    let delivery = door.services().test_rule(&door.resource.0.value.id, rule).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryShown::from(delivery))).into_response())
}

async fn found(door: &Door) -> Result<Stored<Rule>, Problem> {
    Ok(door.services().rule(&door.resource.0.value.id, door.path.read("rule")?).await?)
}

fn fresh_secret(services: &Services) -> Secret {
    Secret::new(services.ids.secret())
}

/// Whether a signing secret has to be made for it.
fn wants_secret(channel: &ChannelBody) -> bool {
    matches!(channel, ChannelBody::Webhook { secret: None, .. })
}

/// The rule, and the secret to be shown if one was made for it.
fn parse(services: &Services, body: NewRuleBody) -> Result<(NewRule, Option<String>), Problem> {
    let fresh = fresh_secret(services);
    let made = wants_secret(&body.channel).then(|| fresh.reveal().to_owned());
    let github = matches!(body.channel, ChannelBody::Github { .. });
    let words = if github && body.on.is_empty() { vec![OccasionWord::Finished] } else { body.on };
    let now = services.clock.now();
    let rule = Rule {
        id: RuleId(0),
        name: body.name.trim().to_owned(),
        on: words.into_iter().map(Occasion::from).collect(),
        branches: body.branches,
        channel: body.channel.channel(fresh),
        paused: body.paused,
        created_at: now,
        updated_at: now,
    };
    rule.check().map_err(|wrong| wrong_at(&wrong))?;
    let Rule { name, on, branches, channel, paused, .. } = rule;
    Ok((NewRule { name, on, branches, channel, paused }, made))
}

fn changed(mut rule: Rule, change: RuleChange, fresh: Secret) -> Result<Rule, Problem> {
    rule.name = change.name.map_or(rule.name, |name| name.trim().to_owned());
    rule.on = change.on.map_or(rule.on, |words| words.into_iter().map(Occasion::from).collect());
    rule.branches = change.branches.unwrap_or(rule.branches);
    rule.channel = change.channel.map_or(rule.channel, |channel| channel.channel(fresh));
    rule.paused = change.paused.unwrap_or(rule.paused);
    rule.check().map_err(|wrong| wrong_at(&wrong))?;
    Ok(rule)
}

fn wrong_at(wrong: &Wrong) -> Problem {
    Problem::invalid(wrong.pointer, wrong.detail)
}
