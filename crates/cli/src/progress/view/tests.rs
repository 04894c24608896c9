//! What the display looks like, and that it always fits.

use super::*;
use crate::progress::tests::{case, result};
use proptest::prelude::*;
use shared::domain::id::JobNo;
use shared::ports::Notice;
use std::collections::BTreeMap;

fn running(cases: u64, done: u64, failed: u64) -> (Progress, Timestamp) {
    let mut progress = Progress::new(Timestamp(0), BTreeMap::new());
    let predicted_ms = cases * 40;
    progress.fold(Notice::Planned { job: JobNo(1), units: 1, predicted_ms }, Timestamp(900));
    progress.fold(Notice::Announced { job: JobNo(1), cases }, Timestamp(1000));
    for n in 0..done {
        let outcome = if n < failed { Outcome::Failed } else { Outcome::Passed };
        let result = Box::new(result("t", 1, outcome, 40_000));
        let now = Timestamp(1000 + n * 10);
        progress.fold(Notice::Case { job: JobNo(1), unit: "u".to_owned(), result, retrying: false }, now);
    }
    (progress, Timestamp(1000 + done * 10))
}

fn screen(progress: &Progress, now: Timestamp, width: usize, stopping: bool) -> String {
    status(progress, now, width, stopping).iter().map(|line| line.text() + "\n").collect()
}

#[test]
fn before_anything_is_known() {
    let progress = Progress::new(Timestamp(0), BTreeMap::new());
    insta::assert_snapshot!(screen(&progress, Timestamp(3_100), 80, false).trim(), @"⠼ discovering tests  3s");
}

#[test]
fn halfway_at_80_and_120_columns_and_in_a_corner() {
    let (progress, now) = running(2_300, 1_204, 0);
    let (red, later) = running(100_000, 61_234, 1_234);
    let screens = [
        screen(&progress, now, 80, false),
        screen(&progress, now, 120, false),
        screen(&progress, now, 34, false),
        screen(&red, later, 80, false),
        screen(&red, later, 80, true),
        screen(&red, later.plus_ms(25_000), 80, false),
    ];
    insta::assert_snapshot!(screens.join(""));
}

#[test]
fn a_log_gets_one_sentence() {
    let (progress, now) = running(2_300, 1_204, 3);
    let start = Progress::new(Timestamp(0), BTreeMap::new());
    let lines = [
        log_line(&start, Timestamp(5_000), false).text(),
        log_line(&progress, now, false).text(),
        log_line(&progress, now, true).text(),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

fn sample_happenings() -> Vec<Happening> {
    let long = "tests/integration/test_the_longest_module_name.py::TestSomethingVerySpecial::test_parametrised[alpha-beta-gamma-delta-0001]";
    let failure = |case: &str, message: &str| Happening::Failure {
        job: None,
        outcome: Outcome::Failed,
        case: case.to_owned(),
        message: message.to_owned(),
    };
    vec![
        failure("tests/test_a.py::test_x", "assert 1 == 2"),
        failure(
            "tests/test_a.py::test_x",
            "ValueError: a very long message that goes on and on until it cannot fit anywhere any more",
        ),
        failure(long, "assert 1 == 2"),
        failure("tests/test_ü.py::test_日本語[日本語日本語日本語日本語日本語日本語日本語日本語]", ""),
        failure("tests/x.py::test_\x1b[31mred\x07", "\n\n  first\nsecond"),
        Happening::Failure {
            job: Some("unit[python=3.12]".to_owned()),
            outcome: Outcome::TimedOut,
            case: "a::b".to_owned(),
            message: "no end after 5m 00s".to_owned(),
        },
        Happening::Flaky { job: None, case: "tests/test_a.py::test_y".to_owned(), attempt: 2, alone: true },
        Happening::RunnerLost { shard: 2, reason: "killed by signal 9".to_owned() },
    ]
}

#[test]
fn happenings_fit_and_keep_the_end_of_names() {
    let mut text = String::new();
    for width in [Some(80), Some(120), None] {
        for sample in sample_happenings() {
            text += &happening(&sample, width).text();
            text += "\n";
        }
        text += "\n";
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_foreseen_is_marked_and_rounded() {
    let mut progress = Progress::new(Timestamp(0), BTreeMap::new());
    progress.fold(Notice::Planned { job: JobNo(1), units: 77, predicted_ms: 0 }, Timestamp(0));
    progress.fold(Notice::Announced { job: JobNo(1), cases: 30 }, Timestamp(0));
    let text = screen(&progress, Timestamp(0), 80, false);
    assert!(text.contains("0 of ~2,400 tests"), "{text}");
    assert_eq!([0, 9, 10, 99, 101, 1_234].map(rounded), [0, 9, 10, 99, 110, 1_300]);
}

#[test]
fn numbers_are_grouped() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!((count(1, "test"), count(2, "test")), ("1 test".to_owned(), "2 tests".to_owned()));
}

#[test]
fn the_time_left_is_rounded_up_and_calm() {
    let words: Vec<String> =
        [0, 4_000, 4_001, 31_000, 59_000, 61_000, 600_000, 5_000_000].map(left_words).into();
    assert_eq!(
        words,
        [
            "a few seconds left",
            "a few seconds left",
            "about 5s left",
            "about 35s left",
            "about 1m left",
            "about 1m 15s left",
            "about 10m left",
            "about 1h 24m left"
        ]
    );
}

#[test]
fn skipped_cases_alone_are_no_success_in_the_making() {
    let mut progress = Progress::new(Timestamp(0), BTreeMap::new());
    progress.fold(Notice::Announced { job: JobNo(1), cases: 1 }, Timestamp(0));
    progress.fold(case("a", 1, Outcome::Skipped, false), Timestamp(0));
    let text = screen(&progress, Timestamp(0), 80, false);
    assert!(text.contains("1 skipped") && !text.contains("passed"), "{text}");
}

proptest! {
    #[test]
    fn no_line_is_too_wide(case in ".{0,200}", message in ".{0,200}", job in prop::option::of("[a-z]{1,30}"), width in 0usize..140) {
        let failure = Happening::Failure { job, outcome: Outcome::Failed, case, message };
        prop_assert!(happening(&failure, Some(width)).columns() <= width);
    }

    #[test]
    fn no_status_is_too_wide(cases in 0u64..500, done in 0u64..500, failed in 0u64..50, width in 0usize..140) {
        let (progress, now) = running(cases, done, failed);
        for line in status(&progress, now, width, false) {
            prop_assert!(line.columns() <= width, "{:?}", line.text());
        }
    }
}
