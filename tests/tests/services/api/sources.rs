//! Where the source of a run comes from: references looked up once, with a clear end if that cannot be.

use super::Front;
use crate::desk::{REPOSITORY, now};
use serde_json::{Value, json};
use shared::domain::project::ProjectSettings;
use shared::ports::{PortError, PortResult};

fn start(front: &Front, body: &Value) -> String {
    let accepted = front.post("/v1/projects/web/runs", body);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    format!("/v1/runs/{}", accepted.body["id"].as_str().unwrap())
}

/// Lets everything happen that needs no runner.
fn settle(front: &Front, run: &str) -> Value {
    for _ in 0..3 {
        front.desk.sweep();
    }
    front.get(run).ok()
}

#[test]
fn a_branch_becomes_its_commit_and_that_commits_suites() {
    let front = Front::with_project("web");
    let text =
        "timeout = \"2h\"\n[suite.unit]\nframework = \"pytest\"\n[suite.e2e]\nframework = \"pytest\"\n";
    let commit = front.desk.forge.commit(REPOSITORY, &[("fleetest.toml", text)], &["refs/heads/topic"]);
    let run = start(&front, &json!({ "ref": "topic", "suites": ["e2e"] }));
    let planned = settle(&front, &run);
    assert_eq!((&planned["status"], &planned["jobs"]), (&json!("running"), &json!(1)), "{planned}");
    assert_eq!((&planned["commit"], &planned["branch"]), (&json!(commit), &json!("topic")));
    // The branch goes on; the run does not follow it.
    front.desk.forge.commit(REPOSITORY, &[("pytest.ini", "")], &["refs/heads/topic"]);
    assert_eq!(settle(&front, &run)["commit"], json!(commit));
    assert_eq!(front.desk.forge.asked(), 1);
}

#[test]
fn a_commit_without_configuration_uses_the_projects_and_then_detection() {
    let front = Front::with_project("web");
    let detected = settle(&front, &start(&front, &json!({})));
    assert_eq!((&detected["status"], &detected["jobs"]), (&json!("running"), &json!(1)), "{detected}");
    let config = "[suite.a]\nframework = \"pytest\"\n[suite.b]\nframework = \"pytest\"\n";
    let path = "/v1/projects/web";
    front.call("PATCH", path, Some(&front.admin), Some(&json!({ "config": config }))).ok();
    assert_eq!(settle(&front, &start(&front, &json!({})))["jobs"], 2);
    let inline = json!({ "config": "[suite.only]\nframework = \"pytest\"\n" });
    assert_eq!(settle(&front, &start(&front, &inline))["jobs"], 1);
}

#[test]
fn what_can_never_be_ends_at_once_with_its_reason() {
    let front = Front::with_project("web");
    front.desk.forge.commit(REPOSITORY, &[("README", "")], &["refs/heads/bare"]);
    front.desk.forge.commit(REPOSITORY, &[("fleetest.toml", "[suite")], &["refs/heads/broken"]);
    for (body, code, says) in [
        (json!({ "ref": "nope" }), "source_failed", "no branch, tag or commit `nope`"),
        (json!({ "ref": "0".repeat(40) }), "source_failed", "no branch, tag or commit `000"),
        (json!({ "ref": "bare" }), "no_tests", "no tests recognised"),
        (json!({ "ref": "broken" }), "setup_failed", "fleetest.toml:1:"),
        (json!({ "suites": ["none"] }), "no_tests", "no suite `none`"),
    ] {
        let over = settle(&front, &start(&front, &body));
        assert_eq!((&over["status"], &over["verdict"]), (&json!("finished"), &json!("errored")), "{over}");
        assert_eq!(over["cause"]["code"], code, "{over}");
        assert!(over["cause"]["message"].as_str().unwrap().contains(says), "{over}");
    }
}

#[test]
fn a_forge_that_is_away_is_asked_again_and_not_for_ever() {
    let front = Front::with_project("web");
    front.desk.forge.set_away(true);
    let run = start(&front, &json!({}));
    for _ in 0..3 {
        assert_eq!(settle(&front, &run)["status"], "queued");
    }
    assert_eq!(front.desk.forge.asked(), 1, "not before its time");
    front.desk.forge.set_away(false);
    front.desk.pass(2_000);
    assert_eq!(settle(&front, &run)["status"], "running");

    front.desk.forge.set_away(true);
    let lost = start(&front, &json!({}));
    for _ in 0..20 {
        front.desk.pass(60_000);
    }
    let over = settle(&front, &lost);
    assert_eq!(
        (&over["verdict"], &over["cause"]["code"]),
        (&json!("errored"), &json!("source_failed")),
        "{over}"
    );
    let message = over["cause"]["message"].as_str().unwrap();
    assert!(
        message.contains(REPOSITORY) && message.contains("10 tries") && message.contains("does not answer")
    );
}

/// A forge whose repositories no runner can fetch, and what it hands out for the next commit.
fn hidden(pieces: Vec<PortResult<Vec<u8>>>) -> Front {
    let front = Front::with_project("web");
    front.desk.forge.hide(pieces);
    front
}

fn stored(front: &Front) -> Vec<String> {
    now(front.desk.services.blobs.list("sources/")).unwrap()
}

#[test]
fn a_commit_that_runners_cannot_fetch_is_taken_by_whoever_plans_and_kept_like_an_upload() {
    // Enough for its first block and then some, in uneven pieces.
    let archive: Vec<u8> = [&[0x1f, 0x8b][..], &vec![7; 3_000_000]].concat();
    let pieces = || archive.chunks(700_001).map(|piece| Ok(piece.to_vec())).collect::<Vec<_>>();
    let front = hidden(pieces());
    let commit = front.desk.forge.commit(REPOSITORY, &[("pytest.ini", "")], &["refs/heads/main"]);
    let run = start(&front, &json!({}));
    assert_eq!(stored(&front), Vec::<String>::new(), "asking for a run takes nothing");
    let planned = settle(&front, &run);
    assert_eq!((&planned["status"], &planned["commit"]), (&json!("running"), &json!(commit)), "{planned}");
    let kept = stored(&front);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(now(front.desk.services.blobs.fetch(&kept[0], None)).unwrap(), archive);

    // A whole commit id with known suites has to pass by the forge as well.
    front.desk.forge.hide(pieces());
    let config = "[suite.unit]\nframework = \"pytest\"\n";
    let named = settle(&front, &start(&front, &json!({ "ref": commit, "config": config })));
    assert_eq!((&named["status"], &named["commit"]), (&json!("running"), &json!(commit)), "{named}");
    assert_eq!(stored(&front).len(), 2);

    // Kept for the project's days, and then gone.
    let days = u64::from(ProjectSettings::default().keep_days);
    front.desk.clock.advance_ms(days * 24 * 60 * 60 * 1000 - 60_000);
    now(front.desk.services.forget_sources(front.desk.services.clock.now())).unwrap();
    assert_eq!(stored(&front).len(), 2);
    front.desk.clock.advance_ms(120_000);
    now(front.desk.services.forget_sources(front.desk.services.clock.now())).unwrap();
    assert_eq!(stored(&front), Vec::<String>::new());
}

#[test]
fn a_commit_that_does_not_come_whole_is_asked_for_again_and_one_that_is_no_archive_ends_its_run() {
    let broken = PortError::Unavailable {
        port: "forge",
        subject: REPOSITORY.to_owned(),
        reason: "it broke off".to_owned(),
    };
    let begun = [&[0x1f, 0x8b][..], &vec![7; 2_000_000]].concat();
    let front = hidden(vec![Ok(begun.clone()), Err(broken)]);
    let run = start(&front, &json!({}));
    assert_eq!(settle(&front, &run)["status"], "queued");
    assert_eq!(stored(&front), Vec::<String>::new(), "nothing of it stays");
    front.desk.forge.hide(vec![Ok(begun)]);
    front.desk.pass(2_000);
    assert_eq!(settle(&front, &run)["status"], "running");

    front.desk.forge.hide(vec![Ok(b"<html>".repeat(200))]);
    let over = settle(&front, &start(&front, &json!({})));
    assert_eq!((&over["verdict"], &over["cause"]["code"]), (&json!("errored"), &json!("source_failed")));
    assert!(over["cause"]["message"].as_str().unwrap().contains("no tar archive"), "{over}");
    assert_eq!(stored(&front).len(), 1);
}

#[test]
fn a_run_that_is_cancelled_while_its_forge_is_away_is_cancelled() {
    let front = Front::with_project("web");
    front.desk.forge.set_away(true);
    let run = start(&front, &json!({}));
    front.desk.sweep();
    front.post(&format!("{run}/cancel"), &json!({})).ok();
    assert_eq!(settle(&front, &run)["verdict"], "cancelled");
}

#[test]
fn an_order_that_cannot_be_is_refused_at_its_place() {
    let front = Front::with_project("web");
    let bare = json!({ "id": "bare" });
    front.post("/v1/projects", &bare).ok();
    assert_eq!(front.post("/v1/projects/bare/runs", &json!({})).body["errors"][0]["pointer"], "/ref");
    for (body, pointer) in [
        (json!({ "ref": "--upload-pack=x" }), "/ref"),
        (json!({ "ref": "main~1" }), "/ref"),
        (json!({ "ref": "" }), "/ref"),
        (json!({ "source": "run_1" }), "/source"),
        (json!({ "commit": "0123456" }), "/commit"),
        (json!({ "branch": "a\nb" }), "/branch"),
        (json!({ "priority": 101 }), "/priority"),
        (json!({ "timeout_s": 0 }), "/timeout_s"),
        (json!({ "fail_fast": 0 }), "/fail_fast"),
        (json!({ "config": "#".repeat(70_000) }), "/config"),
        (json!({ "filter": "a".repeat(5_000) }), "/filter"),
    ] {
        let refused = front.post("/v1/projects/web/runs", &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
}

#[test]
fn a_project_takes_only_addresses_that_could_be_fetched() {
    let front = Front::with_project("web");
    for url in [
        "",
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "-oProxyCommand=touch x",
        "--upload-pack=touch x",
        "file:///etc",
        "/etc",
        "../other",
        "http://example.org/a",
        "git://example.org/a",
        "https://user:secret@example.org/a",
        "https://token@example.org/a",
        "https://example.org/a\nb",
        "https://example.org/\u{202e}a",
        "https://-oProxyCommand=x/a",
        "ssh://-oProxyCommand=x/a",
        "git@example.org:-a",
        "https://example.org/$(id)",
        "https://example.org",
        "c:\\repo",
    ] {
        let body = json!({ "id": "bad", "repository": url });
        let refused = front.post("/v1/projects", &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{url}");
        assert_eq!(refused.body["errors"][0]["pointer"], "/repository", "{url}");
        assert!(!refused.body.to_string().contains("secret"));
        let change = json!({ "repository": url });
        let changed = front.call("PATCH", "/v1/projects/web", Some(&front.admin), Some(&change));
        assert_eq!(changed.problem(), (422, "invalid"), "{url}");
    }
    for branch in ["", "-x", "a..b", "main~1", "a b"] {
        let body = json!({ "id": "bad", "default_branch": branch });
        assert_eq!(
            front.post("/v1/projects", &body).body["errors"][0]["pointer"],
            "/default_branch",
            "{branch}"
        );
    }
}
