//! Members: added, changed, removed, and what stays as it is.

use super::Front;
use serde_json::json;
use shared::domain::access::{Role, Scope};

pub(super) const ANNA: &str = "/v1/projects/web/members/oidc:https%3A%2F%2Fid.example%23anna";

#[test]
fn a_member_is_added_changed_and_removed_and_the_log_tells() {
    let front = Front::with_project("web");
    front.desk.clock.advance_ms(1);
    let put = |role: &str| front.call("PUT", ANNA, Some(&front.admin), Some(&json!({ "role": role })));
    assert_eq!(front.get(ANNA).problem(), (404, "not_found"));
    let added = put("viewer");
    assert_eq!((added.status, &added.body["subject"]), (201, &json!("oidc:https://id.example#anna")));
    front.desk.clock.advance_ms(1);
    let changed = put("maintainer");
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("maintainer")));
    assert_eq!(changed.body["added_at"], added.body["added_at"]);
    assert_eq!(put("maintainer").status, 200);
    assert_eq!(front.get("/v1/projects/web/members").ok()["items"], json!([front.get(ANNA).ok()]));
    front.desk.clock.advance_ms(1);
    front.call("DELETE", ANNA, Some(&front.admin), None).ok();
    assert_eq!(front.call("DELETE", ANNA, Some(&front.admin), None).problem(), (404, "not_found"));
    let log = front.get("/v1/projects/web/audit").ok();
    let told: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["member.removed", "member.put", "member.put", "project.created"]);
    assert_eq!(log["items"][1]["before"]["role"], "viewer");
}

#[test]
fn only_who_gives_rights_sees_members_and_only_people_are_members() {
    let front = Front::with_project("web");
    let maintainer = front.key(Some("web"), Role::Maintainer, &Scope::ALL);
    for (method, path) in
        [("GET", "/v1/projects/web/members"), ("GET", ANNA), ("PUT", ANNA), ("DELETE", ANNA)]
    {
        let refused = front.call(method, path, Some(&maintainer), Some(&json!({ "role": "viewer" })));
        assert_eq!(refused.problem(), (403, "role_too_low"), "{method}");
    }
    for subject in ["key:key_1", "anna", "oidc:x"] {
        let path = format!("/v1/projects/web/members/{subject}");
        let refused = front.call("PUT", &path, Some(&front.admin), Some(&json!({ "role": "viewer" })));
        assert_eq!(refused.problem(), (422, "invalid"), "{subject}");
        for method in ["GET", "DELETE"] {
            let nobody = front.call(method, &path, Some(&front.admin), None);
            assert_eq!(nobody.problem(), (404, "not_found"), "{method} {subject}");
        }
    }
    let refused = front.call("PUT", ANNA, Some(&front.admin), Some(&json!({ "role": "king" })));
    assert_eq!(
        (refused.problem(), &refused.body["errors"][0]["pointer"]),
        ((422, "invalid"), &json!("/role"))
    );
    let unmatched = front.with("PUT", ANNA, &[("if-match", "*")], Some(&json!({ "role": "viewer" })));
    assert_eq!(unmatched.problem(), (412, "precondition_failed"));
}
