//! Rules, and what becomes of a run's news on the way to them.

use super::Front;
use crate::desk::{now, spec, suite, unit};
use serde_json::{Value, json};
use shared::domain::case::CaseId;
use shared::domain::id::RunId;
use shared::domain::notify::parcel::{Answer, Parcel};
use shared::domain::outcome::Outcome::{self, Failed, Passed};
use shared::domain::spec::{RunSpec, SuiteSpec};
use shared::ports::{Change, Condition, Key, Write};
use shared::service::notify::Notices;
use shared::wire::link::RunnerEnd;
use std::sync::Arc;
use testkit::memory::MemoryNotifier;

const RULES: &str = "/v1/projects/p/notifications";
const DELIVERIES: &str = "/v1/projects/p/deliveries";

/// An installation with a project `p` and a way out that remembers.
struct Office {
    front: Front,
    way_out: Arc<MemoryNotifier>,
    notices: Notices,
}

impl Office {
    fn new() -> Self {
        let front = Front::with_project("p");
        let way_out = Arc::new(MemoryNotifier::default());
        let notices = Notices {
            services: Arc::clone(&front.desk.services),
            notifier: Arc::clone(&way_out) as _,
            run_link: Some("https://ci.example.org/v1/runs/".to_owned()),
        };
        Self { front, way_out, notices }
    }

    fn rule(&self, on: &[&str], branches: &[&str]) -> String {
        let body = json!({
            "name": "team", "on": on, "branches": branches,
            "channel": { "kind": "webhook", "url": "https://example.org/hook-canary", "secret": "canary-canary-canary" },
        });
        let made = self.front.post(RULES, &body).ok();
        made["rule"]["id"].as_str().unwrap().to_owned()
    }

    /// A run of one test on a branch, from its beginning to its end; `attempts` says what each attempt comes to.
    fn run(&self, branch: &str, attempts: &[Outcome]) -> RunId {
        let retries = u32::try_from(attempts.len() - 1).unwrap();
        let one = SuiteSpec { retries, ..suite("unit") };
        let run = self.front.desk.submit(&RunSpec { branch: Some(branch.to_owned()), ..spec(vec![one]) });
        let orders = self.front.desk.launcher.orders();
        let mine = orders.values().find(|order| order.shard.run == run).unwrap();
        let mut runner = self.front.desk.play(mine, 1);
        runner.manifest(&[unit("a")]);
        runner.work(&|leased| {
            let place = usize::try_from(leased.entry.attempt - 1).unwrap();
            vec![(CaseId("a::test_<!here>".to_owned()), attempts[place])]
        });
        runner.finish(RunnerEnd::Done);
        self.front.desk.end(run);
        self.front.desk.clock.advance_ms(1_000);
        run
    }

    fn deliver(&self) -> usize {
        now(self.notices.deliver_due()).unwrap()
    }

    fn deliveries(&self) -> Vec<Value> {
        self.front.get(DELIVERIES).ok()["items"].as_array().unwrap().clone()
    }

    /// The events of every message, in the order in which they left.
    fn told(&self) -> Vec<Vec<String>> {
        let body = |parcel: Parcel| match parcel {
            Parcel::Calls(calls) => serde_json::from_str::<Value>(&calls[0].body).unwrap(),
            Parcel::Mail(_) => panic!("nobody asked for mails"),
        };
        let bodies = self.way_out.parcels().into_iter().map(body);
        bodies.map(|body| serde_json::from_value(body["events"].clone()).unwrap()).collect()
    }
}

#[test]
fn a_failure_is_told_once_whoever_looks_how_often() {
    let office = Office::new();
    office.rule(&["failure"], &["main"]);
    office.run("main", &[Passed]);
    assert_eq!((office.deliver(), office.deliveries().len()), (0, 0));
    let run = office.run("main", &[Failed]);
    office.run("other", &[Failed]);
    assert_eq!((office.deliver(), office.deliver()), (1, 0));
    let sent = office.deliveries();
    assert_eq!(
        (sent.len(), &sent[0]["status"], &sent[0]["run"]),
        (1, &json!("delivered"), &json!(run.to_string()))
    );
    let Parcel::Calls(calls) = office.way_out.parcels().remove(0) else { panic!() };
    let body: Value = serde_json::from_str(&calls[0].body).unwrap();
    assert_eq!(body["data"]["failures"][0]["case"], "a::test_<!here>");
    assert_eq!(body["url"], format!("https://ci.example.org/v1/runs/{run}"));
    assert_eq!(body["data"]["jobs"][0]["name"], "unit");
}

#[test]
fn a_note_that_was_handled_already_makes_no_second_message() {
    let office = Office::new();
    office.rule(&["failure"], &[]);
    let run = office.run("main", &[Failed]);
    let key = Key::new(format!("run#{run}"), "untold");
    let services = &office.front.desk.services;
    let note = now(services.store.load(&key, services.clock.now())).unwrap().unwrap();
    assert_eq!(office.deliver(), 1);
    // As a host would find it that read the index before another one had told it.
    let index = shared::ports::IndexEntry { name: "untold".to_owned(), sort: "0".to_owned() };
    let change = Change::Put { body: note.body.to_string(), expires_at: None, index: Some(index) };
    now(services.store.commit(vec![Write { key, condition: Condition::Any, change }])).unwrap();
    assert_eq!((office.deliver(), office.deliveries().len()), (0, 1));
    let left = now(services.store.query_index("untold", "~", 10)).unwrap();
    assert_eq!(left, []);
}

#[test]
fn the_first_failure_and_the_recovery_of_a_branch_are_told() {
    let office = Office::new();
    office.rule(&["first_failure_and_recovery"], &[]);
    for (branch, outcome) in
        [("a", Failed), ("a", Failed), ("b", Passed), ("a", Passed), ("a", Passed), ("b", Failed)]
    {
        office.run(branch, &[outcome]);
        office.deliver();
    }
    assert_eq!(office.told(), [["first_failure"], ["recovered"], ["first_failure"]]);
}

#[test]
fn a_flaky_case_is_news_once() {
    let office = Office::new();
    office.rule(&["new_flaky"], &[]);
    for attempts in [&[Passed, Passed], &[Failed, Passed], &[Failed, Passed], &[Passed, Passed]] {
        office.run("main", attempts);
        office.deliver();
    }
    assert_eq!(office.told(), [["newly_flaky"]]);
}

#[test]
fn what_is_not_taken_is_tried_five_times_and_once_more_on_request() {
    let office = Office::new();
    office.rule(&["finished"], &[]);
    for _ in 0..5 {
        office
            .way_out
            .answer(Answer::Later { reason: "the receiver answered 503".to_owned(), after_ms: None });
    }
    office.run("main", &[Passed]);
    for pause_ms in [0, 10_000, 60_000, 600_000, 3_600_000] {
        assert_eq!(if pause_ms == 0 { 0 } else { office.deliver() }, 0, "not before its time");
        office.front.desk.clock.advance_ms(pause_ms);
        assert_eq!(office.deliver(), 1);
    }
    let failed = office.deliveries().remove(0);
    assert_eq!((&failed["status"], failed["attempts"].as_array().unwrap().len()), (&json!("failed"), 5));
    assert_eq!(failed["attempts"][0]["problem"], "the receiver answered 503");
    office.front.desk.clock.advance_ms(100_000_000);
    assert_eq!(office.deliver(), 0);
    let again = format!("{DELIVERIES}/{}/redeliver", failed["id"].as_str().unwrap());
    assert_eq!(office.front.call("POST", &again, Some(&office.front.admin), None).status, 202);
    assert_eq!((office.deliver(), &office.deliveries()[0]["status"]), (1, &json!("delivered")));
    let log = office.front.get("/v1/projects/p/audit").ok();
    assert_eq!(log["items"][0]["action"], "delivery.redelivered");
}

#[test]
fn what_is_refused_and_what_has_lost_its_rule_fails_at_once() {
    let office = Office::new();
    let rule = office.rule(&["finished"], &[]);
    office.way_out.answer(Answer::Refused { reason: "the receiver answered 410".to_owned() });
    office.run("main", &[Passed]);
    office.deliver();
    assert_eq!(office.deliveries()[0]["attempts"][0]["problem"], "the receiver answered 410");
    office.run("main", &[Passed]);
    now(office.notices.tell_untold()).unwrap();
    let gone = office.front.call("DELETE", &format!("{RULES}/{rule}"), Some(&office.front.admin), None);
    assert_eq!(gone.status, 204);
    office.deliver();
    let statuses: Vec<Value> = office.deliveries().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "failed"]);
    assert_eq!(office.way_out.parcels().len(), 1, "without its rule nobody knows where to send it");
}

#[test]
fn a_rule_is_tried_changed_and_paused_and_never_shows_its_secrets() {
    let office = Office::new();
    let rule = office.rule(&["finished"], &["main"]);
    let place = format!("{RULES}/{rule}");
    let tried = office.front.call("POST", &format!("{place}/test"), Some(&office.front.admin), None);
    assert_eq!((tried.status, office.deliver(), office.told()), (202, 1, vec![vec!["test".to_owned()]]));
    let change = json!({ "paused": true, "channel": { "kind": "slack", "url": "https://hooks.slack.com/services/canary" } });
    let changed = office.front.call("PATCH", &place, Some(&office.front.admin), Some(&change)).ok();
    assert_eq!(changed["rule"]["channel"]["url"], "https://hooks.slack.com/…");
    office.run("main", &[Passed]);
    assert_eq!(office.deliver(), 0);
    let made = json!({ "name": "x", "on": ["failure"], "channel": { "kind": "webhook", "url": "https://example.org/x" } });
    let made = office.front.post(RULES, &made).ok();
    assert_eq!(made["secret"].as_str().unwrap().len(), 64, "a secret that was made here is shown once");
    for path in [RULES, &place, DELIVERIES, "/v1/projects/p/audit"] {
        let shown = office.front.get(path).ok().to_string();
        assert!(
            !shown.contains("canary") && !shown.contains(made["secret"].as_str().unwrap()),
            "{path} {shown}"
        );
    }
}

#[test]
fn what_cannot_be_a_rule_is_refused_at_its_place() {
    let office = Office::new();
    let slack = json!({ "kind": "slack", "url": "https://hooks.slack.com/x" });
    let table = [
        (json!({ "name": "x", "on": [], "channel": slack }), "/on"),
        (json!({ "name": "x", "on": ["always"], "channel": slack }), "/on/0"),
        (json!({ "name": "", "on": ["failure"], "channel": slack }), "/name"),
        (
            json!({ "name": "x", "on": ["failure"], "channel": { "kind": "slack", "url": "file:///etc" } }),
            "/channel/url",
        ),
        (
            json!({ "name": "x", "on": ["failure"], "channel": { "kind": "github", "owner": "o", "repo": "r" } }),
            "/on",
        ),
        (
            json!({ "name": "x", "on": ["failure"], "channel": { "kind": "email", "to": ["a@b\nBcc: c@d"] } }),
            "/channel/to",
        ),
    ];
    for (body, pointer) in table {
        let refused = office.front.post(RULES, &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
    for no in 0..21 {
        let made = office.front.post(RULES, &json!({ "name": "x", "on": ["failure"], "channel": slack }));
        assert_eq!(made.status, if no < 20 { 201 } else { 422 });
    }
}
