//! Which webhooks are believed, and what they are taken to mean.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(*text)).collect()
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn a_signature_fits_one_of_two_secrets_or_none() {
    // The example of GitHub's own documents.
    let known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert!(is_genuine(&secrets(&["It's a Secret to Everybody"]), known, b"Hello, World!"));
    let (body, two) = (b"{}".as_slice(), secrets(&["new", "old"]));
    assert!(is_genuine(&two, &sign("old", body), body) && is_genuine(&two, &sign("new", body), body));
    let foreign = [
        sign("other", body),
        sign("old", b"{ }"),
        sign("old", body).replace("sha256=", "sha1="),
        sign("old", body).replace("sha256=", ""),
        sign("old", body)[..40].to_owned(),
        "sha256=".to_owned(),
        String::new(),
    ];
    for signature in foreign {
        assert!(!is_genuine(&two, &signature, body), "{signature}");
    }
    assert!(!is_genuine(&[], &sign("", body), body), "without a secret nothing is genuine");
}

fn meaning(event: &str, body: &Value) -> Meaning {
    read(event, body.to_string().as_bytes()).unwrap()
}

fn tested(event: &str, body: &Value) -> Push {
    match meaning(event, body) {
        Meaning::Test(push) => push,
        Meaning::Nothing { reason } => panic!("{reason}"),
    }
}

fn pull(action: &str, head_repo: &Value, label: &str) -> Value {
    json!({
        "action": action, "number": 5, "sender": { "login": "eve" },
        "pull_request": {
            "head": { "sha": COMMIT, "ref": "main", "label": label, "repo": head_repo },
            "base": { "sha": COMMIT, "ref": "main", "label": "us:main", "repo": { "id": 1 } },
        },
    })
}

#[test]
fn a_push_is_tested_unless_it_removes_or_tags() {
    let push =
        |r#ref: &str, after: &str| json!({ "ref": r#ref, "after": after, "sender": { "login": "ann" } });
    let push_of_main = tested("push", &push("refs/heads/main", &COMMIT.to_uppercase()));
    assert_eq!((push_of_main.commit.as_str(), push_of_main.branch.as_deref()), (COMMIT, Some("main")));
    assert!(!push_of_main.fork && push_of_main.sender == "ann");
    for body in [
        push("refs/tags/v1", COMMIT),
        push("refs/heads/main", &"0".repeat(40)),
        json!({ "ref": "refs/heads/x", "after": COMMIT, "deleted": true }),
    ] {
        assert!(matches!(meaning("push", &body), Meaning::Nothing { .. }), "{body}");
    }
    for after in ["main", "--upload-pack=x", "0123", &format!("{COMMIT}0")] {
        assert!(read("push", push("refs/heads/x", after).to_string().as_bytes()).is_err(), "{after}");
    }
    assert!(read("push", push("refs/heads/a\u{7}", COMMIT).to_string().as_bytes()).is_err());
}

#[test]
fn a_fork_is_known_as_one_and_its_branch_is_not_ours() {
    let own = tested("pull_request", &pull("opened", &json!({ "id": 1 }), "us:main"));
    assert_eq!((own.fork, own.branch.as_deref(), own.pull_request), (false, Some("main"), Some(5)));
    for (repo, label) in
        [(json!({ "id": 2 }), "eve:main"), (Value::Null, "eve:main"), (json!({ "id": 2 }), "main")]
    {
        let foreign = tested("pull_request", &pull("synchronize", &repo, label));
        assert!(foreign.fork);
        assert!(foreign.branch.is_some_and(|branch| branch.contains(':')), "no branch of ours has a colon");
    }
    assert!(matches!(
        meaning("pull_request", &pull("closed", &json!({ "id": 1 }), "us:x")),
        Meaning::Nothing { .. }
    ));
}

#[test]
fn a_check_is_run_again_if_it_is_ours() {
    let check = |action: &str, name: &str, branch: Value| {
        json!({
            "action": action, "requested_action": { "identifier": "rerun" },
            "check_run": {
                "head_sha": COMMIT, "name": name, "check_suite": { "head_branch": branch },
                "pull_requests": [{ "number": 8 }],
            },
        })
    };
    let again = tested("check_run", &check("rerequested", "fleetest / unit[os=linux]", json!("main")));
    assert_eq!((again.suite.as_deref(), again.pull_request, again.fork), (Some("unit"), Some(8), false));
    assert!(tested("check_run", &check("requested_action", "fleetest / unit", Value::Null)).fork);
    assert_eq!(tested("check_run", &check("rerequested", "fleetest / run", json!("main"))).suite, None);
    for (action, name) in [("rerequested", "lint"), ("completed", "fleetest / unit")] {
        let body = check(action, name, json!("main"));
        assert!(matches!(meaning("check_run", &body), Meaning::Nothing { .. }), "{body}");
    }
    let suite =
        json!({ "action": "rerequested", "check_suite": { "head_sha": COMMIT, "head_branch": "main" } });
    assert_eq!(tested("check_suite", &suite).branch.as_deref(), Some("main"));
}

#[test]
fn secrets_overlap_while_they_are_replaced() {
    let at = Timestamp;
    let one = WebhookSecrets::default().with(&Secret::new("a"), true, at(1));
    let two = one.with(&Secret::new("b"), true, at(2));
    assert_eq!(two.secrets(), secrets(&["b", "a"]));
    assert_eq!(two.with(&Secret::new("c"), true, at(3)).secrets(), secrets(&["c", "b"]));
    assert_eq!(two.with(&Secret::new("b"), false, at(4)), one.with(&Secret::new("b"), false, at(2)));
}

proptest! {
    #[test]
    fn reading_never_panics_and_never_names_what_is_no_commit(
        event in proptest::sample::select(vec!["push", "pull_request", "check_run", "check_suite", "ping", "x"]),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        sha in ".{0,70}", branch in ".{0,300}",
    ) {
        drop(read(event, &body));
        let payload = json!({
            "action": "rerequested", "ref": format!("refs/heads/{branch}"), "after": sha,
            "check_suite": { "head_sha": sha, "head_branch": branch },
        });
        if let Ok(Meaning::Test(push)) = read(event, payload.to_string().as_bytes()) {
            prop_assert!(matches!(push.commit.len(), 40 | 64));
            prop_assert!(push.commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
