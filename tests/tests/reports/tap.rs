//! TAP.

use crate::show;
use proptest::prelude::*;
use shared::domain::parse::tap;

fn shown(text: &str) -> String {
    let mut cases = Vec::new();
    let read = tap::parse(text.as_bytes(), &mut |case| cases.push(case));
    let more = format!("tap={} skipped_all={:?}", read.is_tap, read.skipped_all);
    format!("{}\n{more}", show::all(&cases, &read.report))
}

#[test]
fn every_feature() {
    let streams = [
        ("plain", "1..3\nok 1 - a\nnot ok 2 - b\n# got 3\n# expected 4\nok 3 # SKIP no net\n"),
        ("plan last, todo", "TAP version 13\nok a\nnot ok b # TODO soon\nok c # todo done\n1..3\n"),
        (
            "yaml",
            "TAP version 14\n1..2\nnot ok 1 - y\n  ---\n  message: 'sum is off'\n  duration_ms: 12.5\n  file: t.js\n  ok 9: not a test\n  ...\nok 2 - z # time=3ms\n",
        ),
        (
            "subtests",
            "TAP version 14\n# Subtest: outer\n    # Subtest: inner\n        ok 1 - leaf\n        not ok 2 - bad\n        1..2\n    not ok 1 - inner\n    ok 2 - beside\n    1..2\nnot ok 1 - outer\n# Subtest: lone\n    ok 1 - fine\n    1..1\nnot ok 2 - lone\n  ---\n  error: 'hook broke'\n  ...\n1..2\n",
        ),
        ("skip all", "1..0 # SKIP wrong system\n"),
        ("bail out", "1..5\nok 1 - a\nBail out! no database\nok 2 - never\n"),
        ("too few", "1..3\nok 1\nok 2\n"),
        ("no plan", "TAP version 13\nok 1 - a\n"),
        ("second plan", "1..1\nok 1\n1..1\n"),
        ("strict", "TAP version 14\npragma +strict\nnoise\nok 1\n1..1\n"),
        ("loose", "noise\nok 1\n1..1\nmore noise\n"),
        ("numbers", "1..2\nok 7 - a\nok - b\r\n"),
        ("cut in yaml", "1..1\nnot ok 1 - a\n  ---\n  message: x\n"),
        ("inner plan unmet", "1..1\n    1..2\n    ok 1 - x\nok 1 - parent\n"),
        ("no tap", "hello\nokay\n"),
        ("nothing", ""),
    ];
    let text: Vec<String> =
        streams.iter().map(|(name, text)| format!("== {name}\n{}\n", shown(text))).collect();
    insta::assert_snapshot!(text.concat());
}

#[test]
fn an_endless_line_is_cut() {
    let mut text = b"1..1\nnot ok 1 - ".to_vec();
    text.extend(std::iter::repeat_n(b'x', 3_000_000));
    let mut longest = 0;
    let read = tap::parse(&text[..], &mut |case| longest = case.name.len());
    assert_eq!(read.report.cases, 1);
    assert!((900..=1024).contains(&longest), "{longest}");
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        tap::parse(&bytes[..], &mut |_case| {});
    }

    #[test]
    fn noise_of_lines_never_panics(lines in prop::collection::vec(prop::sample::select(vec![
        "ok", "not ok 2 - x", "    ok 1 - é", "        not ok", "1..2", "    1..1", "  ---", "  ...", "# Subtest: s", "Bail out!",
        "pragma +strict", "TAP version 14", "ok # SKIP", "ok # é", "  message: é", "not ok - a # TODO", "",
    ]), 0..30)) {
        let text = lines.join("\n");
        let mut cases = Vec::new();
        let read = tap::parse(text.as_bytes(), &mut |case| cases.push(case));
        prop_assert_eq!(cases.len() as u64, read.report.cases);
        for case in cases {
            prop_assert_eq!(case.failure.is_some(), case.outcome.is_failure());
        }
    }
}
