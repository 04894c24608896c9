//! Schedules: made, shown with what comes next, fired once however often they are told of, and told of in the log.

use super::Front;
use crate::desk::{REPOSITORY, now};
use serde_json::{Value, json};
use shared::domain::access::{Role, Scope};
use shared::domain::time::Timestamp;

const PATH: &str = "/v1/projects/web/schedules";
const HOUR_MS: u64 = 60 * 60 * 1000;
/// 2026-03-28T12:00:00Z, the day before clocks are set in Berlin.
const NOON: u64 = 1_774_699_200_000;

fn front() -> Front {
    let front = Front::with_project("web");
    front.desk.clock.advance_to(Timestamp(NOON));
    front
}

fn hourly(front: &Front) -> Value {
    front.post(PATH, &json!({ "name": "hourly", "cron": "0 * * * *" })).ok()
}

fn place(schedule: &Value) -> String {
    format!("{PATH}/{}", schedule["id"].as_str().unwrap())
}

fn patch(front: &Front, schedule: &Value, change: &Value) -> Value {
    front.call("PATCH", &place(schedule), Some(&front.admin), Some(change)).ok()
}

fn tick(front: &Front) -> usize {
    now(front.desk.services.fire_due(front.desk.services.clock.now())).unwrap().len()
}

fn runs(front: &Front) -> Vec<Value> {
    front.get("/v1/projects/web/runs").ok()["items"].as_array().unwrap().clone()
}

#[test]
fn a_schedule_shows_its_next_five_fires_in_its_zone() {
    let front = front();
    let order = json!({ "ref": "main", "suites": ["pytest"], "filter": "smoke", "priority": 3 });
    let body = json!({ "name": "nightly", "cron": "30 2 * * *", "zone": "Europe/Berlin", "order": order });
    let made = front.post(PATH, &body);
    assert_eq!((made.status, made.headers["location"].to_str().unwrap()), (201, place(&made.body).as_str()));
    let fires = [
        "2026-03-29T01:00:00.000Z",
        "2026-03-30T00:30:00.000Z",
        "2026-03-31T00:30:00.000Z",
        "2026-04-01T00:30:00.000Z",
        "2026-04-02T00:30:00.000Z",
    ];
    assert_eq!(made.body["next_fires"], json!(fires));
    assert_eq!(made.body["order"]["filter"], "smoke");
    let shown = front.get(&place(&made.body)).ok();
    assert_eq!(front.get(PATH).ok()["items"], json!([shown]));
}

#[test]
fn a_fire_is_one_run_however_often_it_is_told_of() {
    let front = front();
    let schedule = hourly(&front);
    assert_eq!(tick(&front), 0);
    front.desk.clock.advance_ms(HOUR_MS);
    assert_eq!(tick(&front), 1);
    assert_eq!((tick(&front), tick(&front)), (0, 0));
    let started = runs(&front);
    assert_eq!(started.len(), 1);
    assert_eq!(started[0]["trigger"], json!({ "kind": "schedule", "of": schedule["id"] }));
    let shown = front.get(&place(&schedule)).ok();
    assert_eq!((&shown["last_run"], &shown["problem"]), (&started[0]["id"], &json!(null)));
    assert_eq!(shown["last_fire"], "2026-03-28T13:00:00.000Z");
    front.desk.sweep();
    assert_eq!(runs(&front)[0]["status"], "running");
}

#[test]
fn a_host_that_died_between_run_and_note_comes_to_the_same_run() {
    let front = front();
    let schedule = hourly(&front);
    front.desk.clock.advance_ms(HOUR_MS);
    let services = &front.desk.services;
    let project = now(services.project(&shared::domain::id::ProjectId("web".into()))).unwrap();
    let id = schedule["id"].as_str().unwrap().parse().unwrap();
    let stored = now(services.schedule(&project.value.id, id)).unwrap().value;
    // What the dead host had done: the run was accepted, the schedule not yet noted.
    let asker = shared::service::order::Asker {
        actor: "system".into(),
        trigger: shared::domain::origin::Trigger::Request,
        parked: false,
    };
    let run = stored.run_at(Timestamp(NOON + HOUR_MS));
    now(services.order_run(run, &project.value, &stored.order, asker)).unwrap();
    tick(&front);
    assert_eq!(runs(&front).len(), 1);
    assert_eq!(front.get(&place(&schedule)).ok()["last_run"], run.to_string());
}

#[test]
fn of_missed_fires_the_latest_is_made_up_for_unless_it_is_too_late() {
    let front = front();
    hourly(&front);
    let daily = front.post(PATH, &json!({ "name": "daily", "cron": "0 13 * * *" })).ok();
    front.desk.clock.advance_ms(10 * HOUR_MS + 1);
    assert_eq!(tick(&front), 1, "one of ten hourly fires; the daily one is nine hours old");
    let shown = front.get(&place(&daily)).ok();
    assert_eq!(
        (&shown["last_run"], &shown["next_fires"][0]),
        (&json!(null), &json!("2026-03-29T13:00:00.000Z"))
    );
}

#[test]
fn what_rests_does_not_fire_and_makes_up_for_nothing() {
    let front = front();
    let schedule = hourly(&front);
    let paused = patch(&front, &schedule, &json!({ "paused": true }));
    assert_eq!(paused["next_fires"], json!([]));
    front.desk.clock.advance_ms(3 * HOUR_MS);
    assert_eq!(tick(&front), 0);
    patch(&front, &schedule, &json!({ "paused": false }));
    assert_eq!(tick(&front), 0);
    front.desk.clock.advance_ms(HOUR_MS);
    assert_eq!(tick(&front), 1);
    let later = patch(&front, &schedule, &json!({ "cron": "0 0 1 1 *", "name": "yearly" }));
    assert_eq!(
        (&later["name"], &later["next_fires"][0]),
        (&json!("yearly"), &json!("2027-01-01T00:00:00.000Z"))
    );
    front.desk.clock.advance_ms(2 * HOUR_MS);
    assert_eq!(tick(&front), 0);
}

#[test]
fn a_schedule_runs_by_hand_and_ends_when_it_is_removed() {
    let front = front();
    let schedule = hourly(&front);
    let run = front.post(&format!("{}/run", place(&schedule)), &json!(null));
    assert_eq!((run.status, &run.body["trigger"]["kind"]), (202, &json!("schedule")));
    let developer = front.key(Some("web"), Role::Developer, &Scope::ALL);
    let call = |method: &str| front.call(method, &place(&schedule), Some(&developer), None);
    assert_eq!(call("DELETE").problem(), (403, "role_too_low"));
    assert_eq!(call("GET").status, 200);
    assert_eq!(front.call("DELETE", &place(&schedule), Some(&front.admin), None).status, 204);
    assert_eq!(front.get(&place(&schedule)).problem(), (404, "not_found"));
    front.desk.clock.advance_ms(HOUR_MS);
    assert_eq!(tick(&front), 0);
    assert_eq!(runs(&front).len(), 1, "what it started stays");
}

#[test]
fn every_change_is_in_the_log() {
    let front = front();
    let schedule = hourly(&front);
    for change in [json!({ "paused": true }), json!({ "paused": false }), json!({ "name": "x" })] {
        front.desk.clock.advance_ms(1);
        patch(&front, &schedule, &change);
    }
    front.desk.clock.advance_ms(1);
    front.call("DELETE", &place(&schedule), Some(&front.admin), None);
    let log = front.get("/v1/projects/web/audit").ok();
    let entries = log["items"].as_array().unwrap();
    let told: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let words = ["deleted", "changed", "resumed", "paused", "created"].map(|word| format!("schedule.{word}"));
    assert_eq!(told[..5], words);
    assert_eq!(
        (&entries[1]["before"]["name"], &entries[1]["after"]["name"]),
        (&json!("hourly"), &json!("x"))
    );
}

#[test]
fn an_order_that_no_longer_fits_is_a_problem_of_the_schedule_and_of_no_other() {
    let front = front();
    let bad = hourly(&front);
    front.post("/v1/projects", &json!({ "id": "other", "repository": REPOSITORY })).ok();
    front.post("/v1/projects/other/schedules", &json!({ "name": "x", "cron": "0 * * * *" })).ok();
    let path = "/v1/projects/web";
    front.call("PATCH", path, Some(&front.admin), Some(&json!({ "repository": null }))).ok();
    front.desk.clock.advance_ms(HOUR_MS);
    assert_eq!(tick(&front), 1);
    assert_eq!(tick(&front), 0);
    let shown = front.get(&place(&bad)).ok();
    assert!(shown["problem"].as_str().unwrap().contains("no repository"), "{shown}");
    assert_eq!(shown["next_fires"][0], "2026-03-28T14:00:00.000Z");
}

#[test]
fn what_is_no_schedule_is_refused_at_its_place() {
    let front = front();
    let with = |part: &str, value: Value| {
        let mut body = json!({ "name": "n", "cron": "0 2 * * *", "zone": "UTC" });
        body[part] = value;
        body
    };
    for (body, pointer) in [
        (with("name", json!("")), "/name"),
        (with("name", json!("x".repeat(101))), "/name"),
        (with("cron", json!("0 2 * *")), "/cron"),
        (with("cron", json!("* * * * * *")), "/cron"),
        (with("cron", json!("0 0 30 2 *")), "/cron"),
        (with("zone", json!("Mars/Olympus")), "/zone"),
        (with("order", json!({ "ref": "--upload-pack=x" })), "/order/ref"),
        (with("order", json!({ "filter": "((" })), "/order/filter"),
        (with("order", json!({ "config": "[suite" })), "/order/config"),
        (with("order", json!({ "source": "src_00000000000000000000000000000001" })), "/order/source"),
        (with("order", json!({ "reff": "x" })), "/order/reff"),
        (with("colour", json!("red")), "/colour"),
    ] {
        let refused = front.post(PATH, &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
    assert_eq!(front.get(&format!("{PATH}/sched_x")).problem(), (404, "not_found"));
    assert_eq!(front.get(PATH).ok()["items"], json!([]));
}
