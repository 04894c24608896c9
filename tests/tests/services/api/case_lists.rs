//! Cases of runs: listed, filtered, in parts, one with all that it printed, while the run works and afterwards.

use super::Front;
use crate::desk::{now, suite};
use serde_json::{Value, json};
use shared::domain::id::RunId;
use shared::domain::outcome::Outcome::{self, Failed, Passed, Skipped, TimedOut};
use shared::domain::spec::SuiteSpec;
use std::collections::BTreeSet;

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn number(case: &str) -> usize {
    case.rsplit('_').next().unwrap().parse().unwrap()
}

/// Of 1,000 cases every 50th fails, every 50th is slow, every 50th is skipped, every 50th passes at last.
fn mixed(case: &str, attempt: u32) -> Outcome {
    match number(case) % 50 {
        7 => Failed,
        8 => TimedOut,
        9 => Skipped,
        10 if attempt == 1 => Failed,
        _ => Passed,
    }
}

#[test]
fn a_thousand_cases_are_each_seen_once_failures_first() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    front.play(run, 1, &[("a.py", 600), ("b.py", 400)], &mixed);
    let all = front.all(&format!("/v1/runs/{run}/cases?limit=70"));
    assert_eq!(all.len(), 1000);
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>().len(), 1000);
    let red: Vec<bool> =
        all.iter().map(|case| matches!(case["outcome"].as_str().unwrap(), "failed" | "timed_out")).collect();
    assert!(red[..40].iter().all(|red| *red) && red[40..].iter().all(|red| !red));
    let count = |query: &str| front.all(&format!("/v1/runs/{run}/cases?limit=7&{query}")).len();
    assert_eq!(
        (count("outcome=failures"), count("outcome=failed"), count("outcome=timed_out")),
        (40, 20, 20)
    );
    assert_eq!((count("outcome=skipped"), count("flaky=true"), count("flaky=false")), (20, 20, 980));
    assert_eq!((count("outcome=passed"), count("outcome=passed&flaky=false")), (940, 920));
    assert_eq!(count("outcome=crashed"), 0);
    assert_eq!((count("q=B.PY%3A%3Atest_003"), count("q=00007+is+not+2")), (100, 2));
    assert_eq!((count("q=nowhere"), count("q=%22")), (0, 0));
    let flaky = &front.all(&format!("/v1/runs/{run}/cases?flaky=true&limit=1"))[0];
    assert_eq!((&flaky["flaky"], &flaky["attempts"]), (&json!("isolation"), &json!(2)));
}

/// Takes the pages of a run out of their books: where requests cost nothing, each has a blob of its own.
fn unbind(front: &Front, run: RunId) {
    let blobs = &front.desk.services.blobs;
    let key = |name: &str| format!("runs/{run}/cases/{name}");
    let mut index: Value =
        serde_json::from_slice(&now(blobs.fetch(&key("index.json"), None)).unwrap()).unwrap();
    for kind in ["failures", "rest"] {
        for (number, page) in index[kind].as_array_mut().unwrap().iter_mut().enumerate() {
            let place = page.as_object_mut().unwrap().remove("p").unwrap();
            let place = (place[0].as_u64().unwrap(), place[1].as_u64().unwrap());
            let book = format!("{kind}-book-{:05}", number / 16);
            for (extension, range) in [("rows", Some(place)), ("records", None)] {
                let bytes = now(blobs.fetch(&key(&format!("{book}.{extension}")), range)).unwrap();
                now(blobs.put(&key(&format!("{kind}-{number:05}.{extension}")), bytes)).unwrap();
            }
        }
    }
    let books = now(blobs.list(&key(""))).unwrap().into_iter().filter(|key| key.contains("-book-"));
    books.for_each(|key| now(blobs.delete(&key)).unwrap());
    now(blobs.put(&key("index.json"), serde_json::to_vec(&index).unwrap())).unwrap();
}

#[test]
fn pages_that_are_in_no_book_are_read_as_well() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    front.play(run, 1, &[("a.py", 600), ("b.py", 400)], &mixed);
    unbind(&front, run);
    let all = front.all(&format!("/v1/runs/{run}/cases?limit=70"));
    let distinct: BTreeSet<String> = ids(&all).into_iter().collect();
    assert_eq!((all.len(), distinct.len()), (1000, 1000));
    for case in all.iter().step_by(97) {
        let shown = front.get(&format!("/v1/runs/{run}/cases/{}", case["key"].as_str().unwrap())).ok();
        assert_eq!(shown["case"], *case);
        assert_eq!(shown["attempts"][0]["output"], format!("attempt 1 at {}", case["id"].as_str().unwrap()));
    }
}

#[test]
fn a_suite_is_all_of_its_jobs() {
    let front = Front::with_project("web");
    let cells = [("py".to_owned(), vec!["3".to_owned(), "4".to_owned()])];
    let unit = SuiteSpec { matrix: cells.into(), ..suite("unit") };
    let run = front.start("web", vec![unit, suite("e2e")]);
    let names: Vec<String> = front
        .all(&format!("/v1/runs/{run}/jobs"))
        .iter()
        .map(|job| job["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["unit[py=3]", "unit[py=4]", "e2e"]);
    for job in 1..=3 {
        front.play(run, job, &[("a.py", 3)], &|_, _| Passed);
    }
    let count = |query: &str| front.all(&format!("/v1/runs/{run}/cases?{query}")).len();
    assert_eq!((count("suite=unit"), count("suite=unit%5Bpy%3D3%5D"), count("suite=e2e")), (6, 3, 3));
    assert_eq!(count("suite=uni"), 0);
}

#[test]
fn one_case_is_shown_with_each_attempt_and_what_it_printed() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    front.play(run, 1, &[("a.py", 30)], &mixed);
    let case = &front.all(&format!("/v1/runs/{run}/cases?q=test_00010"))[0];
    let place = format!("/v1/runs/{run}/cases/{}", case["key"].as_str().unwrap());
    let shown = front.get(&place).ok();
    assert_eq!(shown["case"], *case);
    let attempts = shown["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts.iter().map(|a| (a["outcome"].clone(), a["output"].clone())).collect();
    assert_eq!(
        told,
        [
            (json!("failed"), json!("attempt 1 at a.py::test_00010")),
            (json!("passed"), json!("attempt 2 at a.py::test_00010"))
        ]
    );
    assert_eq!(attempts[0]["failure"]["message"], "a.py::test_00010 is not 2");
    assert_eq!((&attempts[0]["shard"], &attempts[0]["slot"]), (&json!(1), &json!(1)));
    for case in front.all(&format!("/v1/runs/{run}/cases")) {
        let shown = front.get(&format!("/v1/runs/{run}/cases/{}", case["key"].as_str().unwrap())).ok();
        assert_eq!(shown["case"], case);
    }
    for nothing in ["case_00000000000000000000000000000000", "case_x", "a.py"] {
        let answer = front.get(&format!("/v1/runs/{run}/cases/{nothing}"));
        assert_eq!(answer.problem(), (404, "not_found"), "{nothing}");
    }
}

#[test]
fn every_case_of_a_very_long_run_is_found() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let count = shared::domain::key_table::TABLE_ENTRIES + 3000;
    front.play(run, 1, &[("a.py", count)], &|case, _| if number(case) == 66_000 { Failed } else { Passed });
    for case in ["00000", "31999", "65535", "65536", "66000", "68535"] {
        let id = format!("a.py::test_{case}");
        let key = shared::domain::id::CaseKey::of("unit", &id.as_str().into());
        assert_eq!(front.get(&format!("/v1/runs/{run}/cases/{key}")).ok()["case"]["id"], id);
    }
    let first = front.get(&format!("/v1/runs/{run}/cases?limit=2")).ok();
    assert_eq!(
        (&first["items"][0]["id"], &first["items"][1]["id"]),
        (&json!("a.py::test_66000"), &json!("a.py::test_00000"))
    );
    let unknown = shared::domain::id::CaseKey::of("unit", &"a.py::test_99999".into());
    assert_eq!(front.get(&format!("/v1/runs/{run}/cases/{unknown}")).problem(), (404, "not_found"));
    // A rare match needs more than one request, each of which reads a bounded number of pages.
    let part = front.get(&format!("/v1/runs/{run}/cases?q=test_68535")).ok();
    assert_eq!((part["items"].as_array().unwrap().len(), part["next_cursor"].is_string()), (0, true));
    assert_eq!(front.all(&format!("/v1/runs/{run}/cases?q=test_68535")).len(), 1);
}

#[test]
fn a_run_at_work_shows_what_it_knows_so_far() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    assert_eq!(front.all(&format!("/v1/runs/{run}/cases")).len(), 0);
    let mut hand = front.desk.runner_of(Some(run), (1, 1), 1);
    let units = [("a.py", 40), ("b.py", 40)];
    hand.manifest(&[crate::desk::unit("a.py"), crate::desk::unit("b.py")]);
    let mut batch = hand.lease(None).unwrap();
    let events = super::said(&batch.entries[0].clone(), &units, &mixed);
    let (one, other) = events.split_at(20);
    hand.send(&mut batch, one.to_vec()).unwrap();
    hand.send(&mut batch, other[..5].to_vec()).unwrap();
    // The first two events are no results.
    let sent = 18 + 5;
    let seen = front.all(&format!("/v1/runs/{run}/cases?limit=4"));
    assert_eq!((seen.len(), ids(&seen).into_iter().collect::<BTreeSet<_>>().len()), (sent, sent));
    let red = front.all(&format!("/v1/runs/{run}/cases?outcome=failures"));
    assert_eq!(red.len(), 3);
    let flaky = red.iter().find(|case| case["id"].as_str().unwrap().ends_with("_00010")).unwrap();
    let shown = front.get(&format!("/v1/runs/{run}/cases/{}", flaky["key"].as_str().unwrap())).ok();
    assert_eq!(shown["attempts"][0]["output"], "attempt 1 at a.py::test_00010");
    assert_eq!(front.get(&format!("/v1/runs/{run}/reports")).ok()["items"], json!([]));
}

#[test]
fn a_cursor_of_a_run_at_work_starts_anew_once_the_run_is_over() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let mut hand = front.desk.runner_of(Some(run), (1, 1), 1);
    hand.manifest(&[crate::desk::unit("a.py")]);
    let mut batch = hand.lease(None).unwrap();
    let events = super::said(&batch.entries[0], &[("a.py", 20)], &|_, _| Passed);
    let (one, other) = events.split_at(10);
    hand.send(&mut batch, one.to_vec()).unwrap();
    let cursor = front.get(&format!("/v1/runs/{run}/cases?limit=3")).ok()["next_cursor"].clone();
    hand.send(&mut batch, other.to_vec()).unwrap();
    hand.ask(Some(batch.last)).unwrap();
    hand.finish(shared::wire::link::RunnerEnd::Done);
    front.desk.end(run);
    let rest = front.all(&format!("/v1/runs/{run}/cases?limit=3&cursor={}", cursor.as_str().unwrap()));
    assert_eq!(rest.len(), 20);
}

#[test]
fn a_case_is_followed_over_runs_and_only_inside_its_project() {
    let front = Front::with_project("web");
    front.make_project("other");
    let mut runs = Vec::new();
    for failing in [false, true, false] {
        let run = front.start("web", vec![suite("unit")]);
        front.play(run, 1, &[("a.py", 3)], &|case, _| {
            if failing && case.ends_with("_00001") { Failed } else { Passed }
        });
        runs.push(run.to_string());
    }
    let elsewhere = front.start("other", vec![suite("unit")]);
    front.play(elsewhere, 1, &[("a.py", 3)], &|_, _| Passed);
    let without = front.start("web", vec![suite("unit")]);
    front.play(without, 1, &[("b.py", 3)], &|_, _| Passed);
    let key = shared::domain::id::CaseKey::of("unit", &"a.py::test_00001".into());
    let history = front.get(&format!("/v1/projects/web/cases/{key}/history")).ok();
    assert_eq!((&history["id"], &history["job_name"]), (&json!("a.py::test_00001"), &json!("unit")));
    let told: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["run"].as_str().unwrap(), item["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(&*runs[2], "passed"), (&*runs[1], "failed"), (&*runs[0], "passed")]);
    assert_eq!(
        (&history["items"][0]["commit"], &history["items"][0]["branch"]),
        (&json!("c0ffee"), &json!("main"))
    );
    let unknown = shared::domain::id::CaseKey::of("unit", &"z".into());
    let nobody = front.get(&format!("/v1/projects/web/cases/{unknown}/history"));
    assert_eq!(nobody.problem(), (404, "not_found"));
}

#[test]
fn what_is_asked_wrongly_is_told_so() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    for query in
        ["outcome=red", "flaky=maybe", "limit=0", "limit=201", "cursor=x", &format!("q={}", "x".repeat(900))]
    {
        let answer = front.get(&format!("/v1/runs/{run}/cases?{query}"));
        assert_eq!(answer.problem(), (422, "invalid"), "{query}");
    }
}
