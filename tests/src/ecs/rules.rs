//! What ECS demands of a launch, and how it remembers one by its token.

#![expect(clippy::indexing_slicing, reason = "what JSON does not have is null")]

use super::tasks::FakeTask;
use super::{CONTAINER, Response, State, TASK_DEFINITION, Trouble, Value, error, json};

/// A launch by its token.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Of its task, if there was room for one.
    pub(super) arn: Option<String>,
    request: Value,
    answer: Value,
}

fn invalid(message: &str) -> Response {
    error(400, "InvalidParameterException", message)
}

/// Starts a task, or answers what was answered to the same request before.
pub(super) fn run_task(state: &mut State, body: &Value) -> Result<Value, Response> {
    state.launches.push(body.clone());
    check(body)?;
    let token = body["clientToken"].as_str().unwrap_or_default();
    if let Some(remembered) = state.tokens.get(token) {
        if remembered.request == *body {
            return Ok(remembered.answer.clone());
        }
        let mut conflict = error(400, "ConflictException", "");
        let body = json!({
            "__type": "ConflictException",
            "message": "The provided clientToken is already in use with a different RunTask request.",
            "resourceIds": remembered.arn.iter().collect::<Vec<_>>(),
        });
        conflict.body = body.to_string().into_bytes();
        return Err(conflict);
    }
    let trouble = state.troubles.pop_front();
    match trouble {
        Some(Trouble::Error(status, code, message)) => return Err(error(status, &code, &message)),
        Some(Trouble::Failure(reason)) => {
            return Ok(refuse(state, body, token, &reason));
        }
        Some(Trouble::Lost) | None => {}
    }
    let provider = body["capacityProviderStrategy"][0]["capacityProvider"].as_str().unwrap_or_default();
    if !has_room(state, body, provider)? {
        let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        return Ok(refuse(state, body, token, reason));
    }
    let answer = start(state, body, provider, token);
    if trouble.is_some() { Err(error(500, "ServerException", "the answer is lost")) } else { Ok(answer) }
}

/// A refusal in an answer that is called a success is what the token stands for from now on.
fn refuse(state: &mut State, body: &Value, token: &str, reason: &str) -> Value {
    let answer = json!({ "tasks": [], "failures": [{ "reason": reason }] });
    let remembered = Remembered { arn: None, request: body.clone(), answer: answer.clone() };
    state.tokens.insert(token.to_owned(), remembered);
    answer
}

fn start(state: &mut State, body: &Value, provider: &str, token: &str) -> Value {
    let number = state.tasks.len() + 1;
    let task = FakeTask {
        arn: format!("arn:aws:ecs:eu-central-1:123456789012:task/fleet/{number:032x}"),
        started_by: body["startedBy"].as_str().unwrap_or_default().to_owned(),
        tags: body["tags"].clone(),
        overrides: body["overrides"].clone(),
        provider: provider.to_owned(),
        ended_s: None,
        forgotten: false,
        unseen: state.lag,
        step: 0,
        end: None,
    };
    let answer = json!({ "tasks": [task.shown(true)], "failures": [] });
    let remembered =
        Remembered { arn: Some(task.arn.clone()), request: body.clone(), answer: answer.clone() };
    state.tokens.insert(token.to_owned(), remembered);
    state.tasks.push(task);
    answer
}

fn has_room(state: &State, body: &Value, provider: &str) -> Result<bool, Response> {
    let there = state.tasks.iter().filter(|task| task.is_there()).count();
    if state.task_limit.is_some_and(|limit| there >= limit) {
        let message = "You've reached the limit on the number of tasks you can run concurrently";
        return Err(error(400, "LimitExceededException", message));
    }
    let subnets = body["networkConfiguration"]["awsvpcConfiguration"]["subnets"].as_array();
    let is_free = |subnet: &Value| {
        let place = (provider.to_owned(), subnet.as_str().unwrap_or_default().to_owned());
        !state.full.contains(&place)
    };
    Ok(subnets.into_iter().flatten().any(is_free))
}

fn check(body: &Value) -> Result<(), Response> {
    if body["taskDefinition"].as_str() != Some(TASK_DEFINITION) {
        return Err(error(400, "ClientException", "TaskDefinition not found."));
    }
    if !(1..=10).contains(&body["count"].as_u64().unwrap_or(1)) {
        return Err(invalid("count must be 1 to 10"));
    }
    let token = body["clientToken"].as_str().unwrap_or_default();
    if token.is_empty() || token.len() > 64 || !token.bytes().all(|b| (33..=126).contains(&b)) {
        return Err(invalid("clientToken must be 1 to 64 ASCII characters"));
    }
    check_capacity(body)?;
    check_marks(body)?;
    check_overrides(&body["overrides"])
}

fn check_capacity(body: &Value) -> Result<(), Response> {
    let strategy = body["capacityProviderStrategy"].as_array();
    if strategy.is_some() && !body["launchType"].is_null() {
        return Err(invalid("launchType and capacityProviderStrategy exclude each other"));
    }
    let known =
        |item: &Value| ["FARGATE", "FARGATE_SPOT"].contains(&item["capacityProvider"].as_str().unwrap_or(""));
    if strategy.is_none_or(|items| items.is_empty() || !items.iter().all(known)) {
        return Err(invalid("the capacity provider is not one of the cluster"));
    }
    let vpc = &body["networkConfiguration"]["awsvpcConfiguration"];
    let subnets = vpc["subnets"].as_array().map_or(0, Vec::len);
    if !(1..=16).contains(&subnets) {
        return Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    }
    let groups = vpc["securityGroups"].as_array().map_or(0, Vec::len);
    if groups > 5 { Err(invalid("too many security groups")) } else { Ok(()) }
}

fn check_marks(body: &Value) -> Result<(), Response> {
    let started_by = body["startedBy"].as_str().unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_');
    if started_by.len() > 128 || !started_by.bytes().all(allowed) {
        return Err(invalid(
            "startedBy must be at most 128 letters, numbers, hyphens, slashes and underscores",
        ));
    }
    let tags = body["tags"].as_array().map_or(&[][..], Vec::as_slice);
    let fits = |tag: &Value| {
        let key = tag["key"].as_str().unwrap_or_default();
        let value = tag["value"].as_str().unwrap_or_default();
        (1..=128).contains(&key.len()) && value.len() <= 256 && !key.to_lowercase().starts_with("aws:")
    };
    if tags.len() > 50 || !tags.iter().all(fits) { Err(invalid("a tag is wrong")) } else { Ok(()) }
}

fn check_overrides(overrides: &Value) -> Result<(), Response> {
    if overrides.to_string().len() > 8192 {
        return Err(invalid("Container Overrides length must be at most 8192"));
    }
    let mut containers = overrides["containerOverrides"].as_array().into_iter().flatten();
    if containers.any(|container| container["name"].as_str() != Some(CONTAINER)) {
        return Err(invalid("Override for container is not a container in the TaskDefinition."));
    }
    Ok(())
}
