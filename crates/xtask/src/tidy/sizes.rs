//! Sizes of files and the sentence each one opens with. Sizes of functions are Clippy's business.

use super::{Offence, rules};

/// Offences against the size caps.
pub(super) fn offences(path: &str, text: &str) -> Vec<Offence> {
    let source = path.ends_with(".rs") || path.ends_with(".py");
    if !source || !rules::is_house(path) || is_test(path) {
        return Vec::new();
    }
    let lines = production_lines(text);
    let is_main = path.starts_with("functions/") && path.ends_with("/main.rs");
    let (cap, advice) = if is_main {
        (rules::FUNCTION_MAIN_LINES, "a function only wires: move the rest into its library crate")
    } else {
        (rules::FILE_LINES, "split it along what it owns (`foo.rs` + `foo/`)")
    };
    if lines <= cap {
        return Vec::new();
    }
    vec![Offence::new(
        path,
        cap + 1,
        "file-size",
        format!("{lines} lines of production code, at most {cap}; {advice}"),
    )]
}

/// Offence of a source file that does not say what it owns.
pub(super) fn header(path: &str, text: &str) -> Option<Offence> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (!first.starts_with("//!")).then(|| {
        let text = "the file does not open with `//!`; say what it owns, what it leaves to others and the invariant it keeps";
        Offence::new(path, 1, "header", text)
    })
}

fn is_test(path: &str) -> bool {
    let in_test_folder =
        path.split('/').rev().skip(1).any(|folder| folder == "tests") && !path.starts_with("tests/src/");
    in_test_folder || path.ends_with("/tests.rs")
}

/// Lines of a file that are production code: none of a test file, those before the tests otherwise.
pub(super) fn production_lines_of(path: &str, text: &str) -> usize {
    if is_test(path) { 0 } else { production_lines(text) }
}

/// Lines before a final `#[cfg(test)] mod tests`.
fn production_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let tests = lines
        .windows(2)
        .position(|pair| matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod tests")));
    tests.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_at_the_end_do_not_count() {
        let long = "x\n".repeat(400);
        let with_tests = format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(offences("shared/src/a.rs", &with_tests).is_empty());
        assert_eq!(offences("shared/src/a.rs", &format!("{long}y\n")).len(), 1);
    }

    #[test]
    fn test_files_and_foreign_files_have_no_cap() {
        let long = "x\n".repeat(900);
        for path in
            ["shared/src/a/tests.rs", "crates/cli/tests/run.rs", "tests/e2e/main.rs", "examples/a/b.py"]
        {
            assert!(offences(path, &long).is_empty(), "{path}");
        }
        assert_eq!(offences("tests/src/world.rs", &long).len(), 1);
        assert_eq!(offences("functions/api/src/main.rs", &"x\n".repeat(60)).len(), 1);
    }

    #[test]
    fn a_file_says_what_it_owns() {
        assert!(header("a.rs", "//! It owns a.\n").is_none());
        assert!(header("a.rs", "// nothing\n").is_some());
        assert!(header("a.rs", "").is_some());
    }
}
