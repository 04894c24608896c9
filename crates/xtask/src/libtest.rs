//! Reads what `cargo test` prints for people: the only form that stable Rust offers.
//!
//! A case is known by its name inside its binary; the binary is known by the line that Cargo prints before it.
//! Class = what Cargo names (`src/lib.rs`, `tests/parse.rs`, `doc <crate>`), name = the path of the test.

use crate::compare::{Case, Outcome};

/// The cases in a transcript of `cargo test` with stdout and stderr in one stream.
pub(crate) fn cases(transcript: &str) -> Vec<Case> {
    let mut class = String::new();
    let mut found = Vec::new();
    for line in transcript.lines() {
        if let Some(binary) = binary(line) {
            class = binary;
        } else if let Some((name, outcome)) = result(line) {
            found.push(Case { class: class.clone(), name, outcome });
        }
    }
    found
}

fn binary(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("doc {}", name.trim()));
    }
    let rest = line.strip_prefix("Running ")?;
    let (path, executable) = rest.rsplit_once(" (")?;
    executable.ends_with(')').then(|| path.trim_start_matches("unittests ").to_owned())
}

fn result(line: &str) -> Option<(String, Outcome)> {
    let (name, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let word = word.split([',', ' ']).next().unwrap_or(word);
    let outcome = match word {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Skipped,
        _ => return None,
    };
    Some((bare(name), outcome))
}

/// The name without what the printer appends to it.
fn bare(name: &str) -> String {
    let mut name = name;
    for suffix in [" - should panic", " - compile fail", " - compile"] {
        name = name.strip_suffix(suffix).unwrap_or(name);
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSCRIPT: &str = "\
    Finished `test` profile
     Running unittests src/lib.rs (target/debug/deps/demo-0123)

running 4 tests
test tests::adds ... ok
test tests::slow ... ignored, takes minutes
test tests::breaks ... FAILED
test tests::dies - should panic ... ok

failures:
    tests::breaks
     Running tests/api.rs (target/debug/deps/api-4567)
test adds ... ok
   Doc-tests demo
test src/lib.rs - add (line 3) ... ok
test src/lib.rs - gone (line 9) - compile fail ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    #[test]
    fn each_line_becomes_one_case_of_its_binary() {
        let found: Vec<String> =
            cases(TRANSCRIPT).iter().map(|c| format!("{}::{} {}", c.class, c.name, c.outcome)).collect();
        assert_eq!(
            found,
            [
                "src/lib.rs::tests::adds passed",
                "src/lib.rs::tests::slow skipped",
                "src/lib.rs::tests::breaks failed",
                "src/lib.rs::tests::dies passed",
                "tests/api.rs::adds passed",
                "doc demo::src/lib.rs - add (line 3) passed",
                "doc demo::src/lib.rs - gone (line 9) passed",
            ]
        );
    }
}
