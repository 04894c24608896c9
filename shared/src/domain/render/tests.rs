//! Snapshots of every format, what no format may do (look green, let markup through), and what stays bounded.

use super::samples::{START, attempt, broken, job, record, records, render, run, text_of};
use super::*;
use crate::domain::case::{CaseId, CaseResult, Failure};
use crate::domain::filter::Filter;
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::report::{JobSummary, Span};
use crate::domain::verdict::{Cause, CauseCode, Judgement};
use proptest::prelude::*;

fn junit(run: &RunSummary, records: &[CaseRecord]) -> String {
    text_of(|out| render(Junit::new(out), run, records))
}

fn html(run: &RunSummary, records: &[CaseRecord]) -> String {
    text_of(|out| render(Html::new(out), run, records))
}

#[test]
fn junit_of_one_of_everything() {
    insta::assert_snapshot!("junit", junit(&run(&records()), &records()));
}

#[test]
fn json_of_one_of_everything() {
    insta::assert_snapshot!("json", text_of(|out| render(Json::new(out), &run(&records()), &records())));
}

#[test]
fn ctrf_of_one_of_everything() {
    insta::assert_snapshot!("ctrf", text_of(|out| render(Ctrf::new(out), &run(&records()), &records())));
}

#[test]
fn no_format_shows_a_run_that_could_not_begin_as_green() {
    let xml = junit(&broken(), &[]);
    insta::assert_snapshot!("junit_broken", xml);
    let json: serde_json::Value =
        serde_json::from_str(&text_of(|out| render(Json::new(out), &broken(), &[]))).unwrap();
    assert_eq!((&json["run"]["verdict"], &json["run"]["exit_code"]), (&"errored".into(), &3.into()));
    let ctrf: serde_json::Value =
        serde_json::from_str(&text_of(|out| render(Ctrf::new(out), &broken(), &[]))).unwrap();
    assert_eq!(ctrf["results"]["summary"]["failed"], 1);
    assert_eq!(ctrf["results"]["tests"][0]["status"], "failed");
    let page = html(&broken(), &[]);
    assert!(page.contains("Could not run") && page.contains("no matching distribution &lt;found&gt;"));
}

#[test]
fn a_run_without_jobs_or_with_a_lost_failure_is_red_too() {
    let no_jobs = RunSummary { jobs: Vec::new(), ..broken() };
    assert!(junit(&no_jobs, &[]).contains("errors=\"1\""));
    let judgement = Judgement::because(Cause::new(CauseCode::TestsFailed, "1 failed"));
    let lost = RunSummary { judgement, ..run(&[]) };
    assert!(junit(&lost, &[]).contains("<error "));
}

#[test]
fn junit_totals_equal_its_elements_and_the_library_reads_them_back() {
    let xml = junit(&run(&records()), &records());
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (7, 1, 1));
    let sum = |of: fn(&quick_junit::TestSuite) -> usize| report.test_suites.iter().map(of).sum::<usize>();
    assert_eq!((sum(|s| s.tests), sum(|s| s.failures), sum(|s| s.errors), sum(|s| s.skipped)), (7, 1, 1, 1));
}

#[test]
fn a_long_unit_gets_several_suites_of_one_name() {
    let many: Vec<CaseRecord> =
        (0..4_500).map(|n| record(vec![attempt("a.py", &format!("t{n}"), Outcome::Passed)])).collect();
    let xml = junit(&run(&many), &many);
    assert_eq!(xml.matches("<testsuite name=\"unit a.py\"").count(), 3);
    assert_eq!(xml.matches("<testcase ").count(), 4_500);
}

#[test]
fn text_that_xml_cannot_hold_is_removed() {
    let odd = "a\u{0}b\u{8}c\u{fffe}d\u{ffff}e\u{1b}[31mf\tg]]>&<x>";
    let hostile = CaseResult { output: odd.into(), ..attempt("a.py", odd, Outcome::Failed) };
    let records = [record(vec![hostile])];
    let xml = junit(&run(&records), &records);
    let allowed = |c: char| matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(allowed));
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!(
        report.test_suites[0].test_cases[0].system_out.as_deref(),
        Some("abc\u{fffd}d\u{fffd}ef    g]]>&<x>")
    );
}

/// Texts that try to become markup, script, a closing tag, an attribute or the end of a comment.
const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</pre></details><iframe src=javascript:alert(1)>",
    "--><svg onload=alert(1)>",
    "]]><x/>",
    "</title><style>*{display:none}</style>",
    "&lt;b&gt;",
    "`${alert(1)}`",
    "\u{202e}gnp.exe\u{0}\u{1b}]8;;http://evil\u{7}click",
    "<!--<script>",
];

/// Names of all tags and attributes of a page whose quoting is the one we write.
fn markup(page: &str) -> std::collections::BTreeSet<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let after = &rest[start + 1..];
        let mut quoted = false;
        let end = after
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .unwrap();
        let tag = &after[..end];
        let bare: String = tag.split('"').step_by(2).collect();
        found.extend(bare.split_whitespace().map(str::to_owned));
        rest = &after[end + 1..];
        // The contents of style and script are ours, and data blocks hold no `<` at all.
        for name in ["style", "script"] {
            if tag.starts_with(name) {
                let close = rest.find(&format!("</{name}>")).unwrap();
                if tag.contains("json") {
                    assert!(!rest[..close].contains(['<', '>', '&']), "markup in the data block");
                }
                rest = &rest[close..];
            }
        }
    }
    found
}

fn hostile_run(text: &str) -> (RunSummary, Vec<CaseRecord>) {
    let failure = Failure { kind: text.into(), message: text.into(), detail: format!("x\n{text}") };
    let make = |outcome: Outcome| CaseResult {
        case: CaseId(text.to_owned()),
        class: text.into(),
        name: text.into(),
        file: Some(text.into()),
        output: text.into(),
        reason: Some(text.into()),
        failure: outcome.is_failure().then(|| failure.clone()),
        ..attempt("a", "b", outcome)
    };
    let records = vec![
        record(vec![make(Outcome::Failed), make(Outcome::Crashed)]),
        record(vec![make(Outcome::Failed), make(Outcome::Passed)]),
        record(vec![make(Outcome::Skipped)]),
    ];
    let mut run = run(&records);
    let cause = Cause { code: CauseCode::SetupFailed, message: text.into(), detail: text.into() };
    let span = Span { shard: 1, slot: 1, unit: text.into(), started_at: START, ended_at: START.plus_ms(5) };
    let first = JobSummary { name: text.into(), spans: vec![span], ..run.jobs.remove(0) };
    run.jobs = vec![first, job(text, Judgement::because(cause))];
    run.project.0 = text.into();
    run.branch = Some(text.into());
    run.commit = Some(text.into());
    run.version = text.into();
    (run, records)
}

#[test]
fn hostile_texts_add_no_tag_and_no_attribute() {
    let (tame, records) = hostile_run("tame");
    let expected = markup(&html(&tame, &records));
    for text in HOSTILE {
        let (run, records) = hostile_run(text);
        assert_eq!(markup(&html(&run, &records)), expected, "{text}");
        let xml = junit(&run, &records);
        quick_junit::Report::deserialize_from_str(&xml).unwrap_or_else(|e| panic!("{text}: {e}"));
        let json: serde_json::Value =
            serde_json::from_str(&text_of(|out| render(Json::new(out), &run, &records))).unwrap();
        assert_eq!(json["cases"][0]["id"], text);
        let ctrf: serde_json::Value =
            serde_json::from_str(&text_of(|out| render(Ctrf::new(out), &run, &records))).unwrap();
        assert_eq!(ctrf["results"]["tests"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn the_page_names_no_other_place_and_carries_its_policy() {
    let page = html(&run(&records()), &records());
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" style=\""));
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    assert!(!page.contains(" on") || !markup(&page).iter().any(|word| word.starts_with("on")));
}

#[test]
fn the_page_of_a_hundred_thousand_cases_stays_small_and_says_what_it_left_out() {
    let unit = "tests/some/deep/directory/test_module.py";
    let mut run = run(&records());
    run.counts = Counts { planned: 100_000, passed: 99_000, failed: 1_000, ..Counts::default() };
    let mut out = Vec::new();
    let mut page = Html::new(&mut out);
    page.begin(&run).unwrap();
    for n in 0..100_000 {
        let outcome = if n % 100 == 0 { Outcome::Failed } else { Outcome::Passed };
        let name = format!("TestSomethingLong::test_behaviour_of_a_thing[parameter-{n}-{}]", "x".repeat(20));
        let result = CaseResult { output: "o".repeat(40_000), ..attempt(unit, &name, outcome) };
        let record = CaseRecord { unit: unit.into(), ..record(vec![result]) };
        page.case(&run.jobs[0], &record).unwrap();
    }
    page.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.len() < 15_000_000, "{}", text.len());
    assert!(text.contains("more are in the JSON report") && text.trim_end().ends_with("</html>"));
}

#[test]
fn numbers_and_durations_read_well() {
    let numbers = [0, 12, 999, 1_000, 1_376, 12_345_678].map(number_text);
    assert_eq!(numbers, ["0", "12", "999", "1,000", "1,376", "12,345,678"]);
    let durations = [0, 95, 1_000, 480_000, 999_960, 7_249_000, 59_960_000, 65_000_000, 7_380_000_000];
    assert_eq!(
        durations.map(duration_text),
        ["0µs", "95µs", "1ms", "480ms", "1.0s", "7.2s", "1m 00s", "1m 05s", "2h 03m"]
    );
}

#[test]
fn a_rerun_line_is_one_line_whatever_the_name() {
    let line = rerun_line("a b", Some("unit"), &CaseId::from("x::y\n\u{1b}'\u{202e}"));
    assert_eq!(line, r#"fleetest run 'a b' --suite unit --filter $'="x::y\x0a\x1b\'\u202e"'"#);
}

/// What `sh` makes of a single-quoted or bare word.
fn unquote(word: &str) -> String {
    if word.starts_with('\'') { word[1..word.len() - 1].replace("'\\''", "'") } else { word.to_owned() }
}

proptest! {
    #[test]
    fn the_rerun_line_selects_its_case(id in "[ -~é]{1,20}|tests/a\\.py::test[ -~]{0,8}") {
        let line = rerun_line(".", None, &CaseId(id.clone()));
        let word = line.strip_prefix("fleetest run . --filter ").unwrap();
        let filter = Filter::parse(&unquote(word)).unwrap();
        prop_assert!(filter.keeps(&CaseId(id)), "{line}");
    }

    #[test]
    fn printable_text_is_printable(text in "\\PC{0,30}|[\u{0}-\u{20}\u{7f}-\u{9f}\u{202e}\\[\\]m]{0,30}") {
        let clean = printable(&text);
        prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        prop_assert!(one_line(&text, 10).chars().count() <= 10);
    }

    #[test]
    fn any_text_makes_valid_documents(text in "\\PC{0,20}|[<>&\"'/a-z \u{0}-\u{1f}]{0,20}") {
        let (run, records) = hostile_run(&text);
        let xml = junit(&run, &records);
        prop_assert!(quick_junit::Report::deserialize_from_str(&xml).is_ok(), "{}", xml);
        let json = text_of(|out| render(Json::new(out), &run, &records));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        let (tame, tame_records) = hostile_run("tame");
        let (found, expected) = (markup(&html(&run, &records)), markup(&html(&tame, &tame_records)));
        prop_assert!(found.is_subset(&expected), "{:?}", found.difference(&expected));
    }
}

#[test]
fn the_reference_names_every_key_of_the_json_report() {
    let reference = include_str!("../../../../docs/report-json.md");
    let text = text_of(|out| render(Json::new(out), &run(&records()), &records()));
    let mut open = vec![serde_json::from_str::<serde_json::Value>(&text).unwrap()];
    let mut keys = std::collections::BTreeSet::new();
    while let Some(value) = open.pop() {
        for (key, value) in value.as_object().into_iter().flatten() {
            keys.insert(key.clone());
            open.push(value.clone());
        }
        open.extend(value.as_array().into_iter().flatten().cloned());
    }
    let missing: Vec<&String> = keys.iter().filter(|key| !reference.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty() && keys.len() > 40, "{missing:?}");
    assert!(reference.contains(JSON_SCHEMA));
    for code in ["runner_lost", "need_not_met", "internal"] {
        assert!(reference.contains(code));
    }
}
