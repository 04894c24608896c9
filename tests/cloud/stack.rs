//! The stack that was deployed, and ways to talk to it.

use aws::config::Account;
use aws::connection::Connection;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Names the file that says where everything is.
const STACK_VARIABLE: &str = "FLEETEST_STACK";
const INVOKE_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long anything may take here; the clock of the stack ticks every minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A host of repositories that is not there until a scenario makes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Forge {
    /// Its name in addresses.
    pub(crate) host: String,
    /// Where its API is asked for, on loopback.
    pub(crate) port: u16,
    /// The token that the stack has for it.
    pub(crate) token: String,
}

/// Where everything is.
#[derive(Debug, Deserialize)]
pub(crate) struct Stack {
    endpoint: String,
    region: String,
    name: String,
    /// The HTTP API.
    pub(crate) url: String,
    /// The command line.
    pub(crate) program: PathBuf,
    /// Faults are left here.
    pub(crate) faults: PathBuf,
    /// Where the stack looks repositories up.
    pub(crate) forge: Forge,
    /// Physical ids by the names of the template.
    pub(crate) resources: BTreeMap<String, String>,
}

/// The stack.
pub(crate) fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the variable is how tests are told")]
        let path = std::env::var_os(STACK_VARIABLE);
        let path = path.unwrap_or_else(|| panic!("`{STACK_VARIABLE}` is not set: run `cargo xtask cloud`"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    })
}

/// A key that may do everything, given by the function itself.
pub(crate) fn admin_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let given = stack().invoke("api", &serde_json::json!({"fleetest": "new-admin-key"}));
        given["key"].as_str().unwrap_or_else(|| panic!("{given}")).to_owned()
    })
}

/// Looks until something is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "after {PATIENCE:?} still not: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

impl Stack {
    /// Clients of the emulator.
    pub(crate) fn connection(&self) -> Connection {
        Connection::new(Account {
            region: self.region.clone(),
            key_id: "test".to_owned(),
            secret: "test".to_owned(),
            session_token: None,
            endpoint: Some(self.endpoint.clone()),
        })
    }

    /// Calls a function directly, as somebody who may.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Value {
        let url = format!("{}/2015-03-31/functions/{}-{function}/invocations", self.endpoint, self.name);
        // The emulator believes the credential's account and region, and looks at no signature.
        let scope = format!("Credential=test/20260101/{}/lambda/aws4_request", self.region);
        let answer = ureq::post(url)
            .config()
            .timeout_global(Some(INVOKE_LIMIT))
            .build()
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .send(event.to_string());
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What the runner link answers to a call of this session.
    pub(crate) fn link(&self, session: &str, method: &str, name: &str, body: &Value) -> Value {
        let request =
            ureq::http::Request::builder().method(method).uri(format!("{}/runner/v1/{name}", self.url));
        let request = request.header("authorization", format!("Bearer {session}"));
        let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
        let mut answer = ureq::run(request).unwrap_or_else(|error| panic!("{name}: {error}"));
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// A resource of the API, once it is there.
    pub(crate) fn find(&self, path: &str) -> Option<Value> {
        let request = ureq::get(format!("{}{path}", self.url));
        match request.header("authorization", format!("Bearer {}", admin_key())).call() {
            Err(ureq::Error::StatusCode(404)) => None,
            Err(error) => panic!("GET {path}: {error}"),
            Ok(mut answer) => {
                Some(serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap())
            }
        }
    }

    /// Makes something by the API.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let request = ureq::post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {}", admin_key()));
        let mut answer =
            request.send(body.to_string()).unwrap_or_else(|error| panic!("POST {path}: {error}"));
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// The text of a resource that may lie elsewhere.
    pub(crate) fn text(&self, path: &str) -> String {
        let request = ureq::get(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", admin_key()));
        let mut answer = request.call().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        answer.body_mut().read_to_string().unwrap()
    }

    /// A resource of the API.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.find(path).unwrap_or_else(|| panic!("GET {path}: it is not there"))
    }

    /// Waits until a run is over.
    pub(crate) fn finished(&self, run: &str) -> Value {
        eventually(&format!("{run} is over"), || {
            let shown = self.get(&format!("/v1/runs/{run}"));
            (shown["status"] == "finished").then_some(shown)
        })
    }
}
