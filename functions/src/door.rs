//! Requests of the HTTP API, given to the same routers that every other host has.

use crate::cloud::Cloud;
use crate::path::mended;
use crate::start::{Failed, Function};
use async_trait::async_trait;
use aws::limits::{HTTP_API_LIMIT_S, PAYLOAD_LIMIT_BYTES};
use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use axum::Router;
use axum::extract::ConnectInfo;
use http_api::api::door::Api;
use http_api::api::settings::ApiSettings;
use http_api::api::wait::HostPatience;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::ServiceExt as _;
use lambda_http::{Adapter, Context, LambdaEvent, Request, Service as _};
use lambda_runtime::tracing::{Span, info, info_span};
use serde_json::{Value, json};
use shared::domain::audit::Actor;
use shared::domain::id::{RunId, ShardAttempt};
use shared::service::key::NewKey;
use shared::service::token::Caller;
use std::net::{IpAddr, SocketAddr};

/// An answer has to be through before the HTTP API gives up: the longest wait for the end of a run, in seconds.
const PATIENCE_S: u64 = HTTP_API_LIMIT_S - 10;
/// Header of an answer to a caller who asked us to wait, whether or not there was something to wait for.
const APPLIED: &str = "preference-applied";
/// Room for what stands around the body of an answer.
const AROUND_BYTES: usize = 64 * 1024;
/// What whoever may invoke the function by itself can ask for: `{"fleetest": "new-admin-key"}`.
pub const ADMIN_KEY_COMMAND: &str = "new-admin-key";

/// A router as a function.
#[derive(Debug)]
pub struct Door {
    cloud: Cloud,
    router: Router,
    /// Whether it can be asked for the first key.
    gives_keys: bool,
}

impl Door {
    /// The public API.
    #[must_use]
    pub fn api(cloud: Cloud) -> Self {
        let api = Api::with_settings(cloud.services.clone(), ApiSettings::default());
        let router = http_api::api::router(api);
        Self { cloud, router, gives_keys: true }
    }

    /// The runner link.
    #[must_use]
    pub fn link(cloud: Cloud) -> Self {
        let router = http_api::link::router(cloud.services.clone());
        Self { cloud, router, gives_keys: false }
    }

    async fn answer(&self, event: Value, context: Context) -> Result<Value, Failed> {
        let mut request: ApiGatewayV2httpRequest = serde_json::from_value(event)?;
        request.raw_path = request.raw_path.as_deref().map(mended);
        let source = request.request_context.http.source_ip.as_deref();
        let address = source.and_then(|text| text.parse::<IpAddr>().ok());
        let router = self.router.clone().map_request(move |mut request: Request| {
            request.extensions_mut().insert(HostPatience(PATIENCE_S));
            if let Some(address) = address {
                request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 0)));
            }
            request
        });
        let span = self.span(&request);
        let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(request), context);
        // The routers are always ready; the adapter must not be there while the answer is waited for.
        let answer = {
            let mut adapter = Adapter::from(router);
            adapter.call(event)
        };
        let Ok(answer) = answer.await;
        let answer = serde_json::to_value(answer)?;
        let status = answer.get("statusCode").and_then(Value::as_u64);
        span.in_scope(|| info!(status, "answered"));
        Ok(fitting(answer))
    }

    /// Whom a request is about, for the log: a runner says it by its token, others by the path. Paths are not logged, some
    /// hold tokens.
    fn span(&self, request: &ApiGatewayV2httpRequest) -> Span {
        let header = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let runner = token.and_then(|token| self.cloud.services.settings.token_key.read_session(token).ok());
        let method = request.request_context.http.method.as_str();
        if let Some(Caller { id, .. }) = runner {
            let ShardAttempt { run, job, shard, attempt } = id;
            return info_span!("request", method, %run, job = job.0, shard, attempt);
        }
        let mut parts = request.raw_path.as_deref().unwrap_or_default().split('/');
        match parts.find_map(|part| part.parse::<RunId>().ok()) {
            Some(run) => info_span!("request", method, %run),
            None => info_span!("request", method),
        }
    }

    /// Makes a key for whoever sets the stack up.
    async fn admin_key(&self) -> Result<Value, Failed> {
        let (_key, text) = self.cloud.services.create_key(&Actor::system(), NewKey::admin()).await?;
        Ok(json!({"url": self.cloud.config.fleet.link_url, "key": text.reveal()}))
    }
}

/// The answer, if it can be given.
fn fitting(answer: Value) -> Value {
    if size_bytes(&answer) > PAYLOAD_LIMIT_BYTES - AROUND_BYTES { too_large() } else { answer }
}

/// Length of the body in the payload, where control characters and quotes take more.
fn size_bytes(answer: &Value) -> usize {
    answer.get("body").map_or(0, |body| body.to_string().len())
}

/// An answer that does not fit a payload: otherwise the platform would say only that something is wrong with us.
fn too_large() -> Value {
    let detail =
        "the answer is larger than a function may give; where there is a `limit`, ask for less at a time";
    let problem = json!({
        "type": "https://fleetest.dev/problems/too_large",
        "title": "Payload Too Large",
        "status": 413,
        "detail": detail,
        "code": "too_large",
    });
    json!({
        "statusCode": 413,
        "headers": {"content-type": "application/problem+json"},
        "body": problem.to_string(),
        "isBase64Encoded": false,
    })
}

#[async_trait]
impl Function for Door {
    async fn call(&self, event: Value, context: Context) -> Result<Value, Failed> {
        match event.get("fleetest").and_then(Value::as_str) {
            Some(ADMIN_KEY_COMMAND) if self.gives_keys => self.admin_key().await,
            Some(other) => Err(Failed::Event(format!("there is no command `{other}`"))),
            None => self.answer(event, context).await,
        }
    }

    fn waited(&self, answer: &Value) -> bool {
        answer.get("headers").is_some_and(|headers| headers.get(APPLIED).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_a_payload_cannot_hold_says_so() {
        // Two quotes stand around it.
        let room = PAYLOAD_LIMIT_BYTES - AROUND_BYTES - 2;
        let answer = |text: String| json!({ "statusCode": 200, "body": text });
        let status = |text: String| fitting(answer(text))["statusCode"].as_u64();
        assert_eq!(status("x".repeat(room)), Some(200));
        assert_eq!(status("x".repeat(room + 1)), Some(413));
        // In the payload, a quote takes two bytes.
        assert_eq!(status("\"".repeat(room / 2)), Some(200));
        assert_eq!(status("\"".repeat(room / 2 + 1)), Some(413));
    }
}
