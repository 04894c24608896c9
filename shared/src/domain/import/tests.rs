//! Imports as a whole: what comes out must be what a runner would have left, proven like it.

use super::*;
use crate::domain::case::Failure;
use crate::domain::outcome::Outcome::{self, Failed, Passed, Skipped};
use crate::domain::proof::Ledger;
use proptest::prelude::*;

fn case(name: &str, outcome: Outcome) -> ReportCase {
    let failure = outcome.is_failure().then(Failure::default);
    ReportCase { outcome, failure, ..ReportCase::passed("c", name) }
}

/// Imports the cases; each job must be proven by its own results.
fn imported(cases: Vec<ReportCase>) -> Vec<ImportedJob> {
    let mut importer = Importer::new(RunId(1), Timestamp(1), None);
    cases.into_iter().for_each(|case| importer.case(case));
    importer.finish();
    let portions = importer.take();
    let jobs = importer.into_jobs();
    for job in &jobs {
        let mut ledger = Ledger::new(job.queue.len);
        for lease in &job.leases {
            for part in 0..lease.next_part {
                let portion = portions
                    .iter()
                    .find(|portion| portion.lease.id == lease.id && portion.part == part)
                    .expect("every part is stored");
                portion.events.iter().for_each(|event| ledger.event(lease, event));
            }
            ledger.lease(lease);
        }
        assert_eq!(ledger.contradictions(&job.queue), Vec::<String>::new());
        assert!(job.queue.drained());
    }
    jobs
}

fn told(outcomes: &[Outcome]) -> (u64, u64, u64, u64) {
    let jobs = imported(outcomes.iter().map(|outcome| case("a", *outcome)).collect());
    let counts = jobs[0].queue.counts;
    (counts.passed, counts.failed, counts.skipped, counts.flaky)
}

#[test]
fn a_repeated_case_is_retried_only_if_that_is_the_only_reading() {
    assert_eq!(told(&[Failed, Passed]), (1, 0, 0, 1));
    assert_eq!(told(&[Failed, Failed, Passed]), (1, 0, 0, 1));
    assert_eq!(told(&[Failed, Failed]), (0, 1, 0, 0));
    assert_eq!(told(&[Passed, Failed]), (1, 1, 0, 0));
    assert_eq!(told(&[Failed, Passed, Passed]), (2, 1, 0, 0));
    assert_eq!(told(&[Passed, Failed, Passed]), (2, 1, 0, 0));
    assert_eq!(told(&[Failed, Skipped]), (0, 1, 1, 0));
}

#[test]
fn attempts_that_the_tool_tells_of_make_a_case_flaky() {
    let mut flaky = case("a", Passed);
    flaky.earlier = vec![Failure::default(), Failure::default()];
    let jobs = imported(vec![flaky, case("b", Passed)]);
    assert_eq!((jobs[0].queue.counts.passed, jobs[0].queue.counts.flaky), (2, 1));
    assert_eq!(jobs[0].appended.len(), 1);
}

#[test]
fn suites_are_jobs_and_what_is_too_much_is_told() {
    let cases = (0..40).map(|n| ReportCase { suite: format!("s{n}"), ..case("a", Passed) });
    let mut importer = Importer::new(RunId(1), Timestamp(1), None);
    cases.clone().for_each(|case| importer.case(case));
    importer.finish();
    assert_eq!(importer.accepted(), 32);
    assert_eq!(importer.refused(), ["8 cases of more than 32 suites: name one with `suite`"]);
    assert_eq!(importer.into_jobs().len(), 32);
    let mut named = Importer::new(RunId(1), Timestamp(1), Some("unit\u{1b}#1"));
    cases.for_each(|case| named.case(case));
    named.finish();
    let jobs = named.into_jobs();
    assert_eq!((jobs.len(), jobs[0].name.as_str()), (1, "unit__1"));
}

#[test]
fn nothing_at_all_is_a_job_without_tests() {
    let jobs = imported(Vec::new());
    assert_eq!((jobs.len(), jobs[0].queue.len, jobs[0].name.as_str()), (1, 0, NAMELESS));
}

#[test]
fn documents_stay_small_however_many_units_there_are() {
    let cases = (0..30_000)
        .map(|n| ReportCase { class: format!("{}{n}", "long \"name\" ".repeat(50)), ..case("a", Passed) });
    let jobs = imported(cases.collect());
    for lease in &jobs[0].leases {
        assert!(serde_json::to_string(lease).unwrap().len() < 100_000);
    }
    assert!(jobs[0].queue.len < 21_000, "{}", jobs[0].queue.len);
}

proptest! {
    #[test]
    fn every_import_is_proven_and_loses_no_failure(
        cases in prop::collection::vec((0..6u8, 0..3u8, prop::sample::select(vec![Passed, Failed, Skipped, Outcome::Errored]), 0..3usize), 0..60)
    ) {
        let built: Vec<ReportCase> = cases.iter().map(|(name, suite, outcome, earlier)| ReportCase {
            suite: format!("s{suite}"),
            earlier: vec![Failure::default(); *earlier],
            ..case(&format!("n{name}"), *outcome)
        }).collect();
        let count = u64::try_from(built.len()).unwrap();
        let jobs = imported(built);
        let sum = jobs.iter().fold(crate::domain::outcome::Counts::default(), |mut sum, job| {
            sum.add(&job.queue.counts);
            sum
        });
        prop_assert!(sum.conserved() && sum.outstanding == 0 && sum.planned <= count);
        // Whatever failed last under its name is still failed.
        for suite in 0..3u8 {
            for name in 0..6u8 {
                let last = cases.iter().rfind(|case| (case.0, case.1) == (name, suite));
                if last.is_some_and(|case| case.2.is_failure()) {
                    let job = jobs.iter().find(|job| job.name == format!("s{suite}")).unwrap();
                    prop_assert!(job.queue.counts.failures() > 0);
                }
            }
        }
    }
}
