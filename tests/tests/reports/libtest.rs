//! The human output of Rust's test harness.

use crate::show;
use proptest::prelude::*;
use shared::domain::parse::libtest::{LibtestReader, find_panic};

fn shown(text: &str) -> String {
    let mut reader = LibtestReader::new();
    text.lines().for_each(|line| reader.line(line));
    let (cases, report) = reader.finish();
    show::all(&cases, &report)
}

const DOC_TESTS: &str = "
running 5 tests
test src/lib.rs - add (line 3) ... ok
test src/lib.rs - bad (line 20) ... FAILED
test src/lib.rs - later (line 9) ... ignored
test src/lib.rs - no (line 12) - compile fail ... ok
test src/lib.rs - built (line 15) - compile ... ok

failures:

---- src/lib.rs - bad (line 20) stdout ----
Test executable failed (exit status: 101).

stderr:
thread 'main' (7) panicked at src/lib.rs:4:1:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
---- not a test stdout ----


failures:
    src/lib.rs - bad (line 20)

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.20s
";

#[test]
fn every_form() {
    let streams = [
        ("doc tests", DOC_TESTS),
        (
            "merged doc tests",
            "\nrunning 1 test\ntest a (line 1) ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\nrunning 1 test\ntest b (line 2) ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\nall doctests ran in 0.30s; merged doctests compilation took 0.20s\n",
        ),
        (
            "serial, with output between",
            "running 3 tests\ntest a ... some output\nok\ntest b - should panic ... ok\ntest c ... ignored, needs a disk\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
        ),
        (
            "bench",
            "running 1 test\ntest b ... bench:         123 ns/iter (+/- 4)\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 1 measured; 0 filtered out\n",
        ),
        ("cut off", "running 3 tests\ntest a ... ok\n"),
        (
            "summary lies",
            "running 1 test\ntest a ... FAILED\ntest result: ok. 1 passed; 0 failed; 0 ignored\n",
        ),
        (
            "none",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        ),
    ];
    let text: Vec<String> =
        streams.iter().map(|(name, text)| format!("== {name}\n{}\n", shown(text))).collect();
    insta::assert_snapshot!(text.concat());
}

#[test]
fn panics_are_found() {
    let panic = find_panic("x\nthread 'a' panicked at src/a.rs:7:9:\nno\nway\nnote: run").unwrap();
    assert_eq!((panic.file.as_str(), panic.line, panic.message.as_str()), ("src/a.rs", Some(7), "no\nway"));
    assert_eq!(find_panic("calm"), None);
}

proptest! {
    #[test]
    fn noise_never_panics(lines in prop::collection::vec("(test |running |---- |test result: |failures:)?\\PC{0,30}( ... ok| ... FAILED| ----| tests)?", 0..30)) {
        shown(&lines.join("\n"));
    }
}
