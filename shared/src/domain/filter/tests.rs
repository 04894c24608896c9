//! The filter's grammar, its errors, and the properties that the rerun line and pruning rest on.

use super::*;
use proptest::prelude::*;

fn keeps(expression: &str, id: &str) -> bool {
    Filter::parse(expression).unwrap().keeps(&CaseId::from(id))
}

#[test]
fn terms_match_as_documented() {
    let id = "tests/test_a.py::TestB::test_x[1-2]";
    for yes in [
        "test_x",
        "TestB and test_x",
        "tests/test_a.py::TestB::test_x[1-2]",
        "tests/*::test_x[?-2]",
        "*",
        "not test_y",
        "test_y or (TestB and not slow)",
        "not (a_ and zzz)",
        "'TestB'",
        "=\"tests/test_a.py::TestB::test_x[1-2]\"",
    ] {
        assert!(keeps(yes, id), "{yes}");
    }
    for no in ["test_y", "tests/test_a.py::TestB", "test_*", "not *", "=test_x", "TestB and test_y", "'a::b'"]
    {
        assert!(!keeps(no, id), "{no}");
    }
}

#[test]
fn and_binds_closer_than_or() {
    assert!(keeps("a or b and c", "a"));
    assert!(!keeps("(a or b) and c", "a"));
    assert!(keeps("not x and a", "a"));
}

#[test]
fn brackets_hold_parentheses_together() {
    assert!(keeps("t.py::f[g(1)]", "t.py::f[g(1)]"));
    assert!(keeps("(t.py::f[g(1)] or z)", "t.py::f[g(1)]"));
}

#[test]
fn quotes_make_words_and_spaces_terms() {
    assert!(keeps("'a and b'", "x a and b y"));
    assert!(keeps("'and'", "android"));
    assert!(keeps(r#""say \"hi\" \\""#, r#"say "hi" \"#));
}

#[test]
fn errors_point_at_the_place() {
    let show = |text: &str| Filter::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(
        ["", "a b", "(a or b", "a)", "a and", "or a", "'a", "a and ()", "=''"].map(show).join("\n"),
        @r"
    a term is missing at character 1 of the filter `` (add a case id, a part of one, or a glob)
    two terms without an operator at character 3 of the filter `a b` (join them by `and` or `or`, or quote a term that contains spaces)
    `(` is never closed at character 1 of the filter `(a or b` (add `)`)
    `)` without its `(` at character 2 of the filter `a)` (remove it, or quote the term)
    a term is missing at character 6 of the filter `a and` (add a case id, a part of one, or a glob)
    a term is missing at character 1 of the filter `or a` (add a term before it, or quote it if it is one)
    a quotation is never closed at character 1 of the filter `'a` (add the closing quote)
    a term is missing at character 8 of the filter `a and ()` (add a term before it, or quote it if it is one)
    an empty term at character 1 of the filter `=''` (write what the case id contains)
    "
    );
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = format!("{}a", "not ".repeat(100_000));
    assert!(Filter::parse(&deep).unwrap_err().message.contains("too deep"));
}

#[test]
fn units_are_pruned_only_for_certain() {
    let may = |filter: &str, unit: &str| Filter::parse(filter).unwrap().may_keep_unit(unit);
    assert!(may("tests/a.py::test_x", "tests/a.py"));
    assert!(!may("tests/a.py::test_x", "tests/b.py"));
    assert!(may("tests/*::test_x", "tests/b.py"));
    assert!(!may("src/*::test_x", "tests/b.py"));
    assert!(!may("not tests/b.py*", "tests/b.py"));
    assert!(may("not tests/b.py", "tests/a.py"));
    assert!(!may("not tests/b.py", "tests/b.py"));
    assert!(may("anything", "tests/b.py"));
}

#[test]
fn a_hostile_glob_is_not_slow() {
    let pattern = "*a".repeat(200);
    assert!(!keeps(&pattern, &"b".repeat(5_000)));
}

/// Texts that hold every special character of the grammar.
fn id() -> impl Strategy<Value = String> {
    "[ab:=*?()'\"\\\\ \\[\\]]{1,8}|a::[ab*?\\[\\]() '\"=]{0,6}|and|or|not"
}

proptest! {
    #[test]
    fn an_exact_expression_keeps_its_case_and_no_other(one in id(), other in id()) {
        let text = Filter::exact(&CaseId(one.clone()));
        let filter = Filter::parse(&text).unwrap();
        prop_assert!(filter.keeps(&CaseId(one.clone())), "{text}");
        prop_assert_eq!(filter.keeps(&CaseId(other.clone())), one == other);
    }

    #[test]
    fn a_pruned_unit_has_no_kept_case(
        terms in proptest::collection::vec("[ab*?:]{1,4}|a::[ab]{0,2}|=[ab]{1,3}", 1..4),
        joins in proptest::collection::vec(prop_oneof![Just(" and "), Just(" or "), Just(" and not ")], 3),
        negate in any::<bool>(),
        prefix in "[ab:]{0,3}",
        suffix in "[ab:]{0,4}",
    ) {
        let mut text = String::from(if negate { "not " } else { "" });
        for (n, term) in terms.iter().enumerate() {
            text.push_str(if n == 0 { "" } else { joins[n - 1] });
            text.push_str(term);
        }
        let filter = Filter::parse(&text).unwrap();
        let case = CaseId(format!("{prefix}{suffix}"));
        prop_assert!(!filter.keeps(&case) || filter.may_keep_unit(&prefix), "{text} on {case}");
    }

    #[test]
    fn parsing_never_panics_and_positions_are_inside(text in "\\PC{0,24}") {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.position >= 1 && error.position <= text.chars().count() + 1);
        }
    }
}
