//! Who may call what: every operation of the description, called by everyone.
//!
//! The table is generated: a new route appears in it by itself, and the difference shows who may use it.

use super::Front;
use crate::desk::now;
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::audit::Actor;
use shared::domain::id::ProjectId;
use shared::domain::time::Timestamp;
use shared::service::key::NewKey;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Routes that ask for no credential of the API, by their beginning.
const OPEN: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/v1/webhooks/", "/v1/uploads/"];
const CALLERS: [&str; 12] = [
    "viewer",
    "developer",
    "maintainer",
    "admin",
    "read scope",
    "instance",
    "inst. viewer",
    "foreign",
    "none",
    "expired",
    "malformed",
    "revoked",
];

/// An installation with one of everything, and everyone's credential.
struct Scene {
    front: Front,
    keys: BTreeMap<&'static str, Option<String>>,
    parts: BTreeMap<&'static str, String>,
}

fn scene() -> Scene {
    let front = Front::with_project("web");
    front.make_project("other");
    let order = json!({ "config": "[suite.unit]\nframework = \"pytest\"\n" });
    let run = front.post("/v1/projects/web/runs", &order).ok()["id"].as_str().unwrap().to_owned();
    let made = front.post("/v1/projects/web/keys", &json!({ "name": "k", "role": "viewer" })).ok();
    front
        .call(
            "PUT",
            "/v1/projects/web/members/oidc:i%23s",
            Some(&front.admin),
            Some(&json!({ "role": "viewer" })),
        )
        .ok();
    front.desk.sweep();
    let role = |role| Some(front.key(Some("web"), role, &Scope::ALL));
    let keys = BTreeMap::from([
        ("viewer", role(Role::Viewer)),
        ("developer", role(Role::Developer)),
        ("maintainer", role(Role::Maintainer)),
        ("admin", role(Role::Admin)),
        ("read scope", Some(front.key(Some("web"), Role::Admin, &[Scope::Read]))),
        ("instance", Some(front.admin.clone())),
        ("inst. viewer", Some(front.key(None, Role::Viewer, &Scope::ALL))),
        ("foreign", Some(front.key(Some("other"), Role::Admin, &Scope::ALL))),
        ("none", None),
        ("expired", Some(expired(&front))),
        ("malformed", Some(format!("{}0", front.admin))),
        ("revoked", Some(revoked(&front))),
    ]);
    let key = made["key"]["id"].as_str().unwrap().to_owned();
    Scene { keys, parts: parts(run, key), front }
}

fn parts(run: String, key: String) -> BTreeMap<&'static str, String> {
    let digits = "0".repeat(32);
    BTreeMap::from([
        ("project", "web".to_owned()),
        ("run", run),
        ("key", key),
        ("subject", "oidc:i%23s".to_owned()),
        ("job", "1".to_owned()),
        ("shard", "1".to_owned()),
        ("case", format!("case_{digits}")),
        ("name", "report.json".to_owned()),
        ("schedule", format!("sched_{digits}")),
        ("event", format!("evt_{digits}")),
    ])
}

fn expired(front: &Front) -> String {
    let new = NewKey {
        name: "old".to_owned(),
        project: Some(ProjectId("web".to_owned())),
        role: Role::Admin,
        scopes: Scope::ALL.into_iter().collect(),
        expires_at: Some(Timestamp(1)),
        replaces: None,
    };
    now(front.desk.services.create_key(&Actor::system(), new)).unwrap().1.reveal().to_owned()
}

fn revoked(front: &Front) -> String {
    let made = front.post("/v1/projects/web/keys", &json!({ "name": "r", "role": "admin" })).ok();
    let path = format!("/v1/projects/web/keys/{}", made["key"]["id"].as_str().unwrap());
    front.call("DELETE", &path, Some(&front.admin), None).ok();
    made["token"].as_str().unwrap().to_owned()
}

impl Scene {
    /// Status of a call that is made with an empty object as body, if it takes one.
    fn call(&self, method: &str, template: &str, operation: &Value, caller: &str) -> u16 {
        let path: Vec<String> = template.split('/').map(|part| self.part(part)).collect();
        let body = operation.get("requestBody").map(|_| json!({}));
        let key = self.keys[caller].as_deref();
        self.front.call(&method.to_uppercase(), &path.join("/"), key, body.as_ref()).status
    }

    fn part(&self, part: &str) -> String {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        // What no one has named here does not exist; who may ask for it is told so.
        name.map_or_else(
            || part.to_owned(),
            |name| self.parts.get(name).cloned().unwrap_or_else(|| "none".to_owned()),
        )
    }
}

fn operations() -> Vec<(String, String, Value)> {
    let document = http_api::api::description();
    let paths = document["paths"].as_object().unwrap().clone();
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            all.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    all
}

/// Whether the door opened: the routes behind it answer differently, and that is theirs to test.
fn cell(status: u16) -> String {
    if [401, 403, 404].contains(&status) { status.to_string() } else { "yes".to_owned() }
}

#[test]
fn everyone_may_do_what_the_table_says() {
    let mut table = format!("{:<64}", "");
    for caller in CALLERS {
        write!(table, "{caller:<13}").unwrap();
    }
    let mut scene = scene();
    for (path, method, operation) in operations() {
        write!(table, "\n{:<64}", format!("{} {path}", method.to_uppercase())).unwrap();
        let responses = operation["responses"].as_object().unwrap();
        for caller in CALLERS {
            let status = scene.call(&method, &path, &operation, caller);
            let what = format!("{method} {path} as {caller}: {status}");
            assert!(status < 500, "{what}");
            assert!(responses.contains_key(&status.to_string()), "{what} is not documented");
            let cell = cell(status);
            if method != "get" && cell == "yes" {
                // What one caller changed must not be seen by the next.
                scene = self::scene();
            }
            write!(table, "{cell:<13}").unwrap();
        }
    }
    let table: Vec<&str> = table.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn without_a_good_credential_every_door_is_shut() {
    let scene = scene();
    let mut shut = 0;
    for (path, method, operation) in operations() {
        if OPEN.iter().any(|open| path.starts_with(open)) {
            continue;
        }
        for caller in ["none", "expired", "malformed", "revoked"] {
            assert_eq!(scene.call(&method, &path, &operation, caller), 401, "{method} {path} as {caller}");
        }
        if path.contains("{project}") || path.contains("{run}") {
            assert_eq!(scene.call(&method, &path, &operation, "foreign"), 404, "{method} {path}");
        }
        shut += 1;
    }
    assert!(shut > 15, "{shut}");
}
