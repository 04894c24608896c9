//! Lines survive being written, and an index never hides what a filter wants.

use super::*;
use crate::domain::case::CaseId;
use crate::domain::case_row::ShortFailure;
use crate::domain::report::FlakyKind;
use proptest::prelude::*;

fn row() -> impl Strategy<Value = CaseRow> {
    let name = prop_oneof![Just("unit"), Just("unit[py=3]"), Just("e2e")];
    let text = "[a-cA-C\t\n\"\\\\äÖ:]{0,8}";
    (name, text, 0usize..6, any::<bool>(), 1u32..4, proptest::option::of(text)).prop_map(
        |(job_name, id, outcome, flaky, job, message)| CaseRow {
            key: CaseKey::of(job_name, &CaseId(id.clone())),
            job: JobNo(job),
            job_name: job_name.to_owned(),
            unit: "u".to_owned(),
            name: id.clone(),
            id: CaseId(id),
            file: None,
            line: None,
            outcome: Outcome::ALL[outcome],
            flaky: (flaky && Outcome::ALL[outcome] == Outcome::Passed).then_some(FlakyKind::Retry),
            provisional: false,
            attempts: 1,
            started_at: None,
            duration_us: 5,
            shard: 1,
            slot: 1,
            failure: message.map(|message| ShortFailure { kind: String::new(), message }),
            reason: None,
        },
    )
}

fn filter() -> impl Strategy<Value = CaseFilter> {
    let outcome = prop_oneof![
        Just(None),
        Just(Some(OutcomeWanted::Failures)),
        (0usize..6).prop_map(|at| Some(OutcomeWanted::One(Outcome::ALL[at])))
    ];
    let suite = prop_oneof![Just(None), Just(Some("unit".to_owned())), Just(Some("unit[py=3]".to_owned()))];
    (outcome, suite, proptest::option::of("[a-cA-Cä\"]{0,2}"), proptest::option::of(any::<bool>()))
        .prop_map(|(outcome, suite, text, flaky)| CaseFilter { outcome, suite, text, flaky })
}

proptest! {
    #[test]
    fn a_line_is_what_was_written(row in row(), place in any::<(u64, u64)>()) {
        let mut bytes = Vec::new();
        write_line(&mut bytes, &row, place).unwrap();
        write_line(&mut bytes, &row, place).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(lines(&text).count(), 2);
        let line = Line::read(lines(&text).next().unwrap()).unwrap();
        prop_assert_eq!((line.key, line.outcome, line.job, line.place), (row.key, row.outcome, row.job, place));
        prop_assert_eq!(serde_json::from_str::<CaseRow>(line.row).unwrap(), row);
    }

    #[test]
    fn line_and_row_are_judged_alike_and_no_page_is_skipped_in_vain(
        rows in proptest::collection::vec(row(), 1..12),
        filter in filter(),
    ) {
        let mut rows = rows;
        rows.sort_by_key(|row| row.job);
        let jobs: Vec<(u32, String)> = (1..4).map(|job| {
            let named = rows.iter().find(|row| row.job.0 == job);
            (job, named.map_or("e2e", |row| &row.job_name).to_owned())
        }).collect();
        let sieve = filter.sieve(&jobs);
        let mut summary = PageSummary::default();
        let mut wanted = 0;
        for row in &rows {
            summary.note(row);
            let mut bytes = Vec::new();
            write_line(&mut bytes, row, (0, 0)).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let line = Line::read(text.trim_end_matches('\n')).unwrap();
            prop_assert_eq!(sieve.keeps(&line), sieve.keeps_row(row), "{:?}", row);
            wanted += u32::from(sieve.keeps_row(row));
        }
        prop_assert_eq!(summary.rows() as usize, rows.len());
        prop_assert!(wanted == 0 || sieve.may_hold(&summary));
    }

    #[test]
    fn a_page_is_known_by_its_number(failures in any::<bool>(), number in 0..REST) {
        let page = PageRef { failures, number };
        prop_assert_eq!(PageRef::from_code(page.code()), page);
    }
}

#[test]
fn a_suite_stands_for_all_of_its_jobs() {
    let jobs = [(1, "unit[py=3]".to_owned()), (2, "unit[py=4]".to_owned()), (3, "unity".to_owned())];
    let pages: Vec<PageSummary> = (1..4)
        .map(|job| PageSummary { outcomes: [1, 0, 0, 0, 0, 0], flaky: 0, jobs: (job, job), place: None })
        .collect();
    let held = |suite: &str| -> Vec<bool> {
        let sieve = CaseFilter { suite: Some(suite.to_owned()), ..CaseFilter::default() }.sieve(&jobs);
        pages.iter().map(|page| sieve.may_hold(page)).collect()
    };
    assert_eq!(held("unit"), [true, true, false]);
    assert_eq!(held("unit[py=4]"), [false, true, false]);
    assert_eq!(held("e2e"), [false; 3]);
}

proptest! {
    #[test]
    fn a_book_says_where_its_pages_are(lengths in proptest::collection::vec(1u64..5_000, 1..=16), book in 0u32..9) {
        let mut end = BOOK_HEAD_BYTES;
        let places: Vec<(u64, u64)> = lengths.iter().map(|length| { let from = end; end += length; (from, end) }).collect();
        let head = book_head(&places);
        prop_assert_eq!(head.len() as u64, BOOK_HEAD_BYTES);
        for number in 0..BOOK_PAGES {
            let page = PageRef { failures: false, number: book * BOOK_PAGES + number };
            prop_assert_eq!(page.book(), book);
            prop_assert_eq!(place_in_book(&head, page), places.get(number as usize).copied());
        }
        prop_assert_eq!(place_in_book(&head[1..], PageRef { failures: true, number: BOOK_PAGES - 1 }), None);
    }
}
