//! What belongs to a project, by command: imports, keys, schedules, settings, members, notifications, webhooks.

use crate::commands::{Said, Shell};
use crate::instance::{Instance, Server, repository};
use crate::stage::{PATIENCE, Stage, eventually};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

const CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\nslots = 1\nretries = 0\n";

/// A server with the stage's project, whose one test fails.
fn serve(stage: &Stage, args: &[&str]) -> Server {
    let files = [("test_a.py", "def test_a():\n    assert 0\n"), ("fleetest.toml", CONFIG)];
    let root = repository(stage, "project", &files);
    let server = Instance::new(stage).start_with(&[&["--allow-local-sources", "--slots=1"], args].concat());
    server.post("/v1/projects", &json!({ "id": "project", "repository": root, "config": CONFIG }));
    server
}

fn id(document: &Value) -> &str {
    document["id"].as_str().unwrap_or_else(|| panic!("no id: {document}"))
}

#[test]
fn an_import_tells_what_was_not_taken() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let shell = Shell::new(&stage, &server);
    let case = "<testcase classname=\"c\" name=\"a\"/>";
    stage.write("whole.xml", &format!("<testsuite name=\"s\" tests=\"1\">{case}</testsuite>"));
    stage.write("part.xml", &format!("<testsuite name=\"s\" tests=\"3\">{case}</testsuite>"));
    stage.write("tap.txt", "TAP version 13\n1..2\nok 1 - x\nnot ok 2 - y\n");
    shell.types(&["import", "whole.xml", "tap.txt"]).ended(0, &[]).shows(&[
        "PASSED",
        "FAILED",
        "1 failed, 1 passed",
    ]);
    let part = shell.types(&["import", "part.xml"]);
    part.ended(3, &["of `part.xml` 1 part not accepted", "line 1, column ", "declares 3 tests, but has 1"]);
    part.shows(&["ERRORED"]);
    let both = shell.types(&["import", "whole.xml", "part.xml", "--json"]);
    let both = both.ended(3, &["`whole.xml` was imported before"]).json();
    assert_eq!(
        (&both["items"][0]["repeated"], &both["items"][1]["not_accepted_count"]),
        (&json!(true), &json!(1))
    );
    let piped = shell.pipes("1..1\nok 1 - z\n", &["import", "-", "--suite=piped"]);
    let made = piped.ended(0, &[]).shows(&["PASSED", "1 passed"]);
    assert!(made.err.contains("project `project`"));
    stage.write("x", "hello");
    shell.types(&["import", "x"]).ended(2, &["in no format that is recognised", "--format"]);
    shell.types(&["import", "gone.xml"]).ended(2, &["`gone.xml` cannot be read"]);
    let imported = shell.json(&["runs", "--status=passed"])["items"][0].clone();
    shell.types(&["rerun", id(&imported), "--all"]).ended(2, &["import"]);
}

#[test]
fn keys_are_made_used_replaced_and_taken_back() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let admin = Shell::new(&stage, &server);
    admin.types(&["keys", "list"]).ended(0, &["there is no key"]);
    let made = admin.types(&["keys", "create", "ci", "--scope=read", "--expires=90d"]);
    made.ended(0, &["(ci, developer)", "shown this once"]);
    assert!(made.out.starts_with("fl_") && made.out.lines().count() == 1, "{made:?}");
    let ci = Shell::at(&stage, &server.url, made.out.trim());
    ci.gets(&["runs"]);
    ci.types(&["rerun", "run_01900000000070008000000000000000"]).ended(2, &[]);
    ci.types(&["keys", "list"]).ended(2, &["403"]);
    let listed = admin.json(&["keys", "list"]);
    let key = id(&listed["items"][0]).to_owned();
    assert_eq!(listed["items"][0]["scopes"], json!(["read"]));
    admin.types(&["keys", "list"]).shows(&["ROLE", &key, "until 2"]);
    let rotated = admin.types(&["keys", "rotate", &key, "--overlap=1h", "--json"]).json();
    assert_eq!(rotated["key"]["replaces"], json!(key));
    ci.gets(&["runs"]);
    let next = Shell::at(&stage, &server.url, rotated["token"].as_str().unwrap());
    next.gets(&["runs"]);
    admin.types(&["keys", "revoke", &key]).ended(0, &["taken back"]);
    ci.types(&["runs"]).ended(2, &["revoked"]);
    let revoked = admin.json(&["keys", "revoke", id(&rotated["key"])]);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    next.types(&["runs"]).ended(2, &["revoked"]);
    admin.types(&["keys", "list", "--instance"]).shows(&["admin", "valid"]);
    admin.types(&["keys", "create", "x", "--role=king"]).ended(2, &["a role is", "/role"]);
    admin.types(&["keys", "rotate", "--instance", &key]).ended(2, &["cannot be rotated"]);
}

#[test]
fn a_list_of_many_pages_is_whole() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    for n in 0..205 {
        server.post("/v1/projects/project/keys", &json!({ "name": n.to_string(), "role": "viewer" }));
    }
    let listed = Shell::new(&stage, &server).json(&["keys", "list"]);
    let names: std::collections::BTreeSet<&str> =
        listed["items"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 205);
}

#[test]
fn schedules_are_made_rest_and_start_runs() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let shell = Shell::new(&stage, &server);
    shell.types(&["schedules", "list"]).ended(0, &["there is no schedule"]);
    let made = [
        "schedules",
        "create",
        "nightly",
        "--cron",
        "30 2 * * mon-fri",
        "--time-zone=Europe/Berlin",
        "--ref=main",
    ];
    shell.types(&made).ended(0, &[]).shows(&[
        "nightly",
        "30 2 * * mon-fri (Europe/Berlin)",
        "next 2",
        "30 UTC",
    ]);
    let schedule = shell.json(&["schedules", "list"])["items"][0].clone();
    assert_eq!(
        (&schedule["order"]["ref"], schedule["next_fires"].as_array().unwrap().len()),
        (&json!("main"), 5)
    );
    let schedule = id(&schedule).to_owned();
    shell.types(&["schedules", "pause", &schedule]).ended(0, &[]).shows(&["paused"]);
    shell.types(&["schedules", "list"]).shows(&["paused", &schedule]);
    assert_eq!(shell.json(&["schedules", "resume", &schedule])["paused"], false);
    let run = shell.types(&["schedules", "run", &schedule]);
    let run = run.ended(0, &["watch it"]).out.trim().to_owned();
    let shown = server.finished(&run);
    assert_eq!((&shown["trigger"]["of"], &shown["verdict"]), (&json!(schedule), &json!("failed")));
    assert_eq!(shell.json(&["schedules", "delete", &schedule]), json!({ "removed": schedule }));
    shell.types(&["schedules", "run", &schedule]).ended(2, &["not found"]);
    shell.types(&["schedules", "create", "x", "--cron=soon"]).ended(2, &["cron"]);
}

#[test]
fn a_project_is_made_changed_and_its_changes_are_told() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let shell = Shell::new(&stage, &server);
    stage.write("other.toml", CONFIG);
    let made = shell.json(&["projects", "create", "other", "--config=other.toml", "--concurrency=2"]);
    assert_eq!((&made["settings"]["concurrency"], &made["title"]), (&json!(2), &json!("other")));
    let change = [
        "projects",
        "change",
        "other",
        "--title=Other",
        "--supersede=true",
        "--concurrency=0",
        "--no-config",
    ];
    let changed = shell.types(&change);
    changed.ended(0, &[]).shows(&[
        "Other",
        "any number at a time",
        "cancels the older ones",
        "that of the commit",
    ]);
    let shown = shell.json(&["projects", "show", "other"]);
    assert_eq!(
        (&shown["settings"]["keep_days"], &shown["config"]),
        (&json!(90), &Value::Null),
        "the rest stays"
    );
    shell.types(&["projects", "list"]).shows(&["TITLE", "other", "project"]);
    shell.types(&["projects", "create", "other"]).ended(2, &["other"]);
    shell.types(&["projects", "change", "other", "--keep-days=0"]).ended(2, &["keep_days"]);
    let audit = shell.types(&["audit", "--project=other"]);
    audit.shows(&["project.created", "project.changed", "settings.supersede: false → true", "127.0.0.1"]);
    let entries = shell.json(&["audit", "--project=other", "--limit=1"]);
    assert_eq!(entries["items"][0]["after"]["title"], "Other");
    shell.types(&["audit", "--instance"]).shows(&["key.created", "system"]);
}

#[test]
fn members_get_and_lose_roles() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let shell = Shell::new(&stage, &server);
    let ann = "oidc:https://id.example.org#ann";
    shell.types(&["members", "list"]).ended(0, &["there is no member"]);
    shell.types(&["members", "add", ann, "--role=developer"]).ended(0, &[]).shows(&["developer", ann]);
    assert_eq!(shell.json(&["members", "add", ann, "--role=maintainer"])["role"], "maintainer");
    assert_eq!(shell.json(&["members", "list"])["items"].as_array().unwrap().len(), 1);
    shell.types(&["members", "remove", ann]).ended(0, &["has no role"]);
    shell.types(&["members", "remove", ann]).ended(2, &["not found"]);
    shell.types(&["members", "add", "ann", "--role=viewer"]).ended(2, &["oidc:issuer#subject"]);
    shell.types(&["audit"]).shows(&["member.put", "role: developer → maintainer", "member.removed"]);
}

/// A receiver on loopback that takes every message; path and body of each.
fn receiver() -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut lines = Vec::new();
            while !lines.last().is_some_and(|line: &String| line.trim().is_empty()) {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                lines.push(line);
            }
            let length = lines.iter().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(|text| text.trim().parse().unwrap())
            });
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            reader
                .into_inner()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                .unwrap();
            let path = lines[0].split(' ').nth(1).unwrap().to_owned();
            if sender.send((path, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (url, received)
}

#[test]
fn people_are_told_and_a_message_is_sent_again() {
    let stage = Stage::new();
    let server = serve(&stage, &["--allow-private-notifications"]);
    let shell = Shell::new(&stage, &server);
    let (url, received) = receiver();
    let next = || received.recv_timeout(PATIENCE).unwrap();
    shell.types(&["notifications", "list"]).ended(0, &["notifications add"]);
    let slack = format!("{url}/services/secret");
    let made = shell.types(&["notifications", "add", "team", "--slack", &slack, "--branch=main"]);
    made.ended(0, &[]).shows(&["team", "failure on main", "fleetest notifications test rule_"]);
    assert!(!made.out.contains("services/secret"), "{}", made.out);
    let rule = shell.json(&["notifications", "list"])["items"][0].clone();
    let rule = id(&rule).to_owned();
    shell.types(&["notifications", "test", &rule]).ended(0, &["fleetest deliveries list"]);
    let (path, body) = next();
    assert_eq!(path, "/services/secret");
    assert!(body.contains("a test message"), "{body}");

    shell.types(&["run", "--remote"]).ended(1, &[]);
    let (_, told) = next();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["text"].as_str().unwrap().contains("project") && told["blocks"].is_array(), "{told}");
    let arrived = || shell.types(&["deliveries", "list"]).out.matches("delivered").count() == 2;
    assert!(eventually(PATIENCE, arrived));
    let delivery = shell.json(&["deliveries", "list"])["items"][0].clone();
    assert_eq!(delivery["rule_name"], "team");
    shell.types(&["deliveries", "redeliver", id(&delivery)]).ended(0, &["on its way"]);
    assert_eq!(serde_json::from_str::<Value>(&next().1).unwrap(), told);

    shell.types(&["notifications", "pause", &rule]).ended(0, &[]).shows(&["paused"]);
    assert_eq!(shell.json(&["notifications", "resume", &rule])["rule"]["paused"], false);
    let hook = shell
        .pipes(&format!("{url}/hook\n"), &["notifications", "add", "hook", "--webhook=-", "--on=new_flaky"]);
    hook.ended(0, &[]).shows(&["new_flaky", "secret ", "shown this once"]);
    let listed = shell.types(&["notifications", "list"]);
    assert!(listed.out.contains("webhook") && !listed.out.contains("/hook"), "{}", listed.out);
    assert_eq!(shell.json(&["notifications", "remove", &rule]), json!({ "removed": rule }));
    shell.types(&["notifications", "add", "x"]).ended(2, &["--slack"]);
    shell.types(&["notifications", "add", "x", "--slack=a", "--teams=b"]).ended(2, &["cannot be used with"]);
    shell.types(&["notifications", "add", "x", "--github=web"]).ended(2, &["--github pallets/click"]);
    shell.types(&["notifications", "add", "x", "--slack=nonsense"]).ended(2, &["/channel"]);
    shell.types(&["audit"]).shows(&["notification.created", "paused: false → true", "notification.removed"]);
}

/// A pull request of a fork, as GitHub sends it.
fn change_of_a_fork(server: &Server, secret: &str, commit: &str) -> Value {
    let payload = json!({
        "action": "opened", "number": 5, "sender": { "login": "eve" },
        "pull_request": {
            "head": { "sha": commit, "ref": "main", "label": "eve:main", "repo": { "id": 2 } },
            "base": { "sha": commit, "ref": "main", "label": "us:main", "repo": { "id": 1 } },
        },
    });
    let body = payload.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut answer = ureq::post(format!("{}/v1/webhooks/github/project", server.url))
        .header("content-type", "application/json")
        .header("x-github-event", "pull_request")
        .header("x-github-delivery", "d-1")
        .header("x-hub-signature-256", signature)
        .send(&body)
        .unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

#[test]
fn a_change_of_a_fork_waits_until_it_is_approved() {
    let stage = Stage::new();
    let server = serve(&stage, &[]);
    let shell = Shell::new(&stage, &server);
    let secret = "0123456789abcdef-secret";
    let set = shell.pipes(&format!("{secret}\n"), &["webhooks", "secret", "-"]);
    set.ended(0, &[]).shows(&[&format!("{}/v1/webhooks/github/project", server.url), "set 2"]);
    assert!(!set.out.contains(secret));
    shell.types(&["webhooks", "list"]).ended(0, &["no webhook came in yet"]);
    let head = shell.types(&["run", "--remote", "--detach"]);
    let first = server.finished(head.ended(0, &[]).out.trim());
    let event = change_of_a_fork(&server, secret, first["commit"].as_str().unwrap());
    let run = event["run"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
    shell.types(&["webhooks", "list"]).shows(&["pull_request", "#5", &run]);
    let replayed = shell.json(&["webhooks", "replay", id(&event)]);
    assert_eq!(replayed["run"], json!(run), "the run of then");
    shell.types(&["show", &run]).shows(&["waits for approval", &format!("fleetest approve {run}")]);
    shell.types(&["runs"]).shows(&["PARKED"]);
    let mut watch = shell.starts(&["watch", &run]);
    watch.until_it_says("waits for approval");
    shell.types(&["approve", &run]).ended(0, &["watch it"]).shows(&[&run]);
    watch.ends().ended(1, &["1 failed"]);
    let late: Said = shell.types(&["approve", &run]);
    late.ended(0, &["does not wait for approval"]);
    shell.types(&["audit"]).shows(&["webhook"]);
}
