//! The description of the API (OpenAPI 3.1): what the handlers say, and what holds for every one of them.
//!
//! Problems, limits and headers of the conventions are added here, once, so that no handler has to repeat them.

use super::resources;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fleetest",
        description = "Serverless test execution: runs, results, history and rights. Errors are problem documents (RFC 9457); lists come in parts by `limit` and `cursor`; every POST may carry an `Idempotency-Key`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Problems are added below; words that only queries use are not found by themselves.
    components(schemas(
        super::wire::OutcomeWord,
        super::wire::ProblemBody,
        super::wire::StatusWord,
        super::wire::VerdictWord
    )),
    security(("key" = []))
)]
struct Description;

/// Every problem status: its name among the components, and when it comes.
const PROBLEMS: [(u16, &str, &str); 16] = [
    (400, "BadRequest", "The request is malformed."),
    (401, "Unauthorised", "There is no credential, or it is not valid."),
    (403, "Forbidden", "The role is too low, or the credential lacks a scope."),
    (404, "NotFound", "There is no such thing, or it is not for this caller to know of it."),
    (409, "Conflict", "It was changed meanwhile, exists already, or the same request is still at work."),
    (412, "PreconditionFailed", "The resource is not as `If-Match` says."),
    (413, "TooLarge", "The body is too large."),
    (414, "UriTooLong", "The path or the query is too long."),
    (415, "UnsupportedMediaType", "The body is not of the right type."),
    (422, "Invalid", "A part of the request is wrong; `errors` says which."),
    (429, "RateLimited", "Too many requests; `Retry-After` says when to go on."),
    (431, "HeadersTooLarge", "The headers are too large."),
    (500, "Internal", "A fault of the server."),
    (503, "Unavailable", "Something does not answer now; try again after `Retry-After`."),
    (507, "CannotStore", "The server cannot store this."),
    (405, "MethodNotAllowed", "This route has no such method."),
];

/// The whole description.
#[must_use]
pub fn description() -> Value {
    let (_, mut described) =
        OpenApiRouter::with_openapi(Description::openapi()).merge(resources::routes()).split_for_parts();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = described.components.get_or_insert_default();
    components.add_security_scheme("key", bearer.clone());
    components.add_security_scheme("metrics", bearer);
    let mut document = serde_json::to_value(&described).unwrap_or_default();
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("responses".to_owned(), problems());
        components.insert("parameters".to_owned(), parameters());
    }
    name_unsigned(&mut document);
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete(path, method, operation);
            }
        }
    }
    document
}

/// The names of the formats of whole numbers are those of signed ones, whose upper half nobody could send.
fn name_unsigned(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let unsigned = map.get("minimum").and_then(Value::as_u64).is_some();
            match map.get("format").and_then(Value::as_str) {
                Some("int32") if unsigned => map.insert("format".to_owned(), Value::from("uint32")),
                Some("int64") if unsigned => map.insert("format".to_owned(), Value::from("uint64")),
                Some(_) | None => None,
            };
            map.values_mut().for_each(name_unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(name_unsigned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn problems() -> Value {
    let schema = json!({ "$ref": "#/components/schemas/ProblemBody" });
    let entry = |(status, name, about): (u16, &str, &str)| {
        let content = json!({ "application/problem+json": { "schema": schema } });
        let response = if matches!(status, 429 | 503) {
            let seconds = json!({ "description": "Seconds.", "schema": { "type": "integer", "minimum": 0 } });
            json!({ "description": about, "content": content, "headers": { "Retry-After": seconds } })
        } else {
            json!({ "description": about, "content": content })
        };
        (name.to_owned(), response)
    };
    Value::Object(PROBLEMS.into_iter().map(entry).collect())
}

fn parameters() -> Value {
    let header = |name: &str, about: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": about, "schema": schema });
    // What is no tag fits no resource, and wishes that are not understood are not heard: no text is an error.
    let text = json!({ "type": "string" });
    json!({
        "IdempotencyKey": header(
            "Idempotency-Key",
            "The same text again within a day gives the same answer and does nothing more.",
            json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" }),
        ),
        "IfMatch": header("If-Match", "Only if the resource still has one of these tags.", text.clone()),
        "IfNoneMatch": header("If-None-Match", "Only if the resource has none of these tags.", text.clone()),
        "Prefer": header(
            "Prefer",
            "`wait=N`: answer when the run is over, or after N seconds, at most 60.",
            text,
        ),
    })
}

/// Adds to an operation what the layers do to it.
fn complete(path: &str, method: &str, operation: &mut Map<String, Value>) {
    let open = operation.get("security").is_some_and(|security| *security == json!([{}]));
    let of_v1 = path.starts_with("/v1/");
    operation.insert("operationId".to_owned(), Value::from(operation_id(path, method)));
    let input = operation.contains_key("requestBody") || asks(operation);
    take_headers(path, method, open, operation);
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else { return };
    responses.remove("4XX");
    if method == "get" && of_v1 {
        let same = json!({ "description": "The caller has it already: its tag is in `If-None-Match`." });
        responses.entry("304").or_insert(same);
    }
    for (status, response) in responses.iter_mut() {
        if let Some(response) = response.as_object_mut() {
            response.entry("description").or_insert_with(|| Value::from(in_words(status)));
        }
    }
    for (status, name, _) in PROBLEMS {
        let key = status.to_string();
        // A handler may name a problem, but what problems look like is said in one place.
        if comes(status, method, open, input, of_v1) || responses.contains_key(&key) {
            responses.insert(key, json!({ "$ref": format!("#/components/responses/{name}") }));
        }
    }
}

/// Adds the headers that an operation listens to.
fn take_headers(path: &str, method: &str, open: bool, operation: &mut Map<String, Value>) {
    let mut added: Vec<&str> = Vec::new();
    match method {
        "get" if path.starts_with("/v1/") => added.push("IfNoneMatch"),
        "post" if !open => added.push("IdempotencyKey"),
        "put" | "patch" | "delete" if !open => added.push("IfMatch"),
        _ => {}
    }
    let waits = [("/v1/runs/{run}", "get"), ("/v1/projects/{project}/runs", "post")];
    if waits.contains(&(path, method)) {
        added.push("Prefer");
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        let reference = |name| json!({ "$ref": format!("#/components/parameters/{name}") });
        parameters.extend(added.into_iter().map(reference));
    }
}

/// Every answer must be described.
fn in_words(status: &str) -> &'static str {
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

fn asks(operation: &Map<String, Value>) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query"))
}

/// Whether an operation can answer with this problem.
fn comes(status: u16, method: &str, open: bool, input: bool, of_v1: bool) -> bool {
    let changes = method != "get";
    match status {
        400 | 414 | 431 => true,
        401 | 403 | 429 => !open,
        404 | 500 | 503 => of_v1,
        409 | 507 => changes,
        412 => changes && method != "post" && !open,
        413 | 415 => changes && input,
        422 => input || method == "post",
        _ => false,
    }
}

/// A name made of method and path: unique, because they are.
fn operation_id(path: &str, method: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != "v1");
    let words = parts.map(|part| part.trim_matches(['{', '}']).replace(['.', '-'], "_"));
    std::iter::once(method.to_owned()).chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const COMMITTED: &str = include_str!("../../openapi.json");

    fn operations(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().iter().map(move |(method, op)| (format!("{method} {path}"), op))
            })
            .collect()
    }

    #[test]
    fn the_committed_description_is_the_one_that_is_served() {
        let fresh = format!("{}\n", serde_json::to_string_pretty(&description()).unwrap());
        if fresh != COMMITTED {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json.new");
            std::fs::write(place, &fresh).unwrap();
            panic!("the API has changed; look at the difference and move `{place}` over `openapi.json`");
        }
    }

    #[test]
    fn every_operation_is_told_apart_and_says_what_can_go_wrong() {
        let document = description();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut ids = BTreeSet::new();
        for (name, operation) in operations(&document) {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
            assert!(operation["tags"].is_array() && operation["summary"].is_string(), "{name}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
            assert!(responses.keys().all(|status| status.parse::<u16>().is_ok()), "{name}");
            assert!(responses.values().all(|one| one["$ref"].is_string() || one["description"].is_string()));
            let open = operation["security"] == json!([{}]);
            assert!(open || responses.contains_key("401"), "{name}");
            let braces = name.split('{').skip(1).filter_map(|part| part.split('}').next());
            for part in braces {
                let described = operation["parameters"].as_array().unwrap().iter();
                let found = described.filter(|p| p["in"] == "path" && p["name"] == part).count();
                assert_eq!(found, 1, "{name}: `{part}`");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn visit(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| visit(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| visit(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = description();
        let mut found = BTreeSet::new();
        visit(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
