//! What a project's history says about its cases and days.

use super::Front;
use crate::desk::suite;
use serde_json::{Value, json};
use shared::domain::outcome::Outcome::{self, Failed, Passed};
use shared::domain::trend::DAY_MS;

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn flaky_slow_and_broken_cases_are_found_by_job() {
    let front = Front::with_project("web");
    assert_eq!(front.all("/v1/projects/web/flaky").len(), 0);
    let outcome = |number: u32| {
        move |case: &str, attempt: u32| -> Outcome {
            match case {
                "a.py::test_00001" if attempt == 1 => Failed,
                "a.py::test_00002" if number == 3 => Failed,
                "a.py::test_00003" => Failed,
                _ => Passed,
            }
        }
    };
    let mut last = String::new();
    for number in 1..=3 {
        let run = front.start("web", vec![suite("unit")]);
        front.play(run, 1, &[("a.py", 5)], &outcome(number));
        last = run.to_string();
    }
    let flaky = front.all("/v1/projects/web/flaky");
    assert_eq!(ids(&flaky), ["a.py::test_00001"]);
    assert!(flaky[0]["flaky_score"].as_f64().unwrap() > 0.5 && flaky[0]["failing"] == json!(false));
    let case = front.all(&format!("/v1/runs/{last}/cases?q=test_00001"));
    assert_eq!(flaky[0]["key"], case[0]["key"]);
    let broken = front.all("/v1/projects/web/broken");
    assert_eq!(ids(&broken), ["a.py::test_00002"], "a case that never passed is not newly broken");
    assert_eq!(broken[0]["failing_since"], json!(last));
    let slow = front.all("/v1/projects/web/slow?limit=2");
    assert_eq!(slow.len(), 4, "a case that never passed has no time of its own");
    assert!(slow.iter().all(|case| case["duration_us"] == json!(1000) && case["job_name"] == "unit"));
    let mended = front.start("web", vec![suite("unit")]);
    front.play(mended, 1, &[("a.py", 5)], &|_, _| Passed);
    assert_eq!(front.all("/v1/projects/web/broken").len(), 0);
}

#[test]
fn trends_are_told_by_day() {
    let front = Front::with_project("web");
    let play = |outcome: Outcome| {
        let run = front.start("web", vec![suite("unit")]);
        front.desk.clock.advance_ms(1000);
        front.play(run, 1, &[("a.py", 2)], &|_, _| outcome);
    };
    play(Passed);
    front.desk.clock.advance_ms(2 * DAY_MS);
    play(Passed);
    play(Failed);
    front.start("web", vec![suite("unit")]);
    let trends = front.get("/v1/projects/web/trends?days=3").ok();
    assert_eq!(trends["complete"], true);
    let days = trends["days"].as_array().unwrap();
    let told: Vec<_> =
        days.iter().map(|day| (day["date"].as_str().unwrap(), day["runs"].as_u64().unwrap())).collect();
    assert_eq!(told, [("1970-01-01", 1), ("1970-01-02", 0), ("1970-01-03", 2)]);
    assert_eq!((&days[2]["pass_rate"], &days[1]["pass_rate"]), (&json!(0.5), &Value::Null));
    assert_eq!(days[2]["queue_wait"], json!({ "p50_ms": 1000, "p95_ms": 1000 }));
    assert_eq!(
        (&days[2]["wall"]["p50_ms"], &days[2]["infrastructure_failure_rate"]),
        (&json!(1000), &json!(0.0))
    );
    assert!(days[2]["busy_s"]["pytest"].as_f64().is_some());
    for days in ["0", "91", "x"] {
        let answer = front.get(&format!("/v1/projects/web/trends?days={days}"));
        assert_eq!(answer.problem(), (422, "invalid"), "{days}");
    }
}
