//! Keys, roles, scopes, and the log of what was done with them.

use super::Front;
use serde_json::json;
use shared::domain::access::{Role, Scope};

#[test]
fn a_key_works_from_its_making_to_its_end_and_the_log_tells_both() {
    let front = Front::with_project("web");
    front.desk.clock.advance_ms(1);
    let made = front.post("/v1/projects/web/keys", &json!({ "name": "ci", "role": "developer" })).ok();
    let (token, id) = (made["token"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    assert_eq!(made["key"]["scopes"], json!(["read", "run", "import", "admin"]));
    assert_eq!(front.call("GET", "/v1/projects/web", Some(token), None).status, 200);
    let listed = front.get("/v1/projects/web/keys").ok();
    assert!(listed["items"][0]["last_used_at"].is_string());
    assert!(!listed.to_string().contains(token), "the text of a key is shown once");
    front.desk.clock.advance_ms(1);
    let gone = front.call("DELETE", &format!("/v1/projects/web/keys/{id}"), Some(&front.admin), None).ok();
    assert!(gone["revoked_at"].is_string());
    let refused = front.call("GET", "/v1/projects/web", Some(token), None);
    assert_eq!(refused.problem(), (401, "unauthorised"));
    let log = front.get("/v1/projects/web/audit").ok();
    let told: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["key.revoked", "key.created", "project.created"]);
    assert!(
        log["items"][0]["before"]["revoked_at"].is_null()
            && log["items"][0]["after"]["revoked_at"].is_number()
    );
    assert!(!log.to_string().contains(token));
}

#[test]
fn a_replaced_key_works_on_for_its_overlap() {
    let front = Front::with_project("web");
    let made = front.post("/v1/projects/web/keys", &json!({ "name": "ci", "role": "viewer" })).ok();
    let (old, id) = (made["token"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    let path = format!("/v1/projects/web/keys/{id}/rotate");
    let fresh = front.post(&path, &json!({ "overlap_s": 60 })).ok();
    assert_eq!(fresh["key"]["replaces"], id);
    let status = |key: &str| front.call("GET", "/v1/projects/web", Some(key), None).status;
    assert_eq!((status(old), status(fresh["token"].as_str().unwrap())), (200, 200));
    front.desk.clock.advance_ms(60_000);
    assert_eq!((status(old), status(fresh["token"].as_str().unwrap())), (401, 200));
}

#[test]
fn a_foreign_project_looks_like_none() {
    let front = Front::with_project("mine");
    front.make_project("theirs");
    let key = front.key(Some("mine"), Role::Admin, &Scope::ALL);
    let theirs = front.call("GET", "/v1/projects/theirs", Some(&key), None);
    let nobodys = front.call("GET", "/v1/projects/nobodys", Some(&key), None);
    assert_eq!((theirs.problem(), nobodys.problem()), ((404, "not_found"), (404, "not_found")));
    let listed = front.call("GET", "/v1/projects", Some(&key), None).ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(front.call("GET", "/v1/keys", Some(&key), None).problem(), (403, "role_too_low"));
}

#[test]
fn nobody_gives_more_than_they_have_nor_does_more_than_their_key_says() {
    let front = Front::with_project("web");
    let reader = front.key(Some("web"), Role::Admin, &[Scope::Read]);
    let body = json!({ "name": "x", "role": "viewer" });
    let refused = front.call("POST", "/v1/projects/web/keys", Some(&reader), Some(&body));
    assert_eq!(refused.problem(), (403, "scope_missing"));
    for bad in [json!({ "name": "", "role": "viewer" }), json!({ "name": "x", "role": "king" })] {
        assert_eq!(front.post("/v1/projects/web/keys", &bad).problem(), (422, "invalid"));
    }
}
