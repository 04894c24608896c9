//! What a good file becomes, what each kind of bad file is told, and that the schema names the same keys.

use super::*;
use crate::domain::spec::{CASE_TIMEOUT_MS, Shards};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn good(text: &str) -> Config {
    parse(FILE_NAME, text, None).unwrap_or_else(|error| panic!("{error}"))
}

fn bad(text: &str) -> String {
    parse(FILE_NAME, text, Some(Framework::Pytest)).unwrap_err().to_string()
}

const FULL: &str = r#"
timeout = "45m"
fail_fast = 3

[suite.lint]
command = "ruff check"

[suite.unit]
framework = "pytest"
working_dir = "backend"
paths = ["tests/unit"]
args = ["-p", "no:cacheprovider"]
setup = ["pip install -e .[test] --python ${matrix.python}"]
shards = 4
slots = 2
target_time = "3m"
retries = 0
timeout = "20m"
case_timeout = "90s"
matrix = { python = ["3.11", "3.12"], os = ["linux"] }
needs = ["lint"]
env = { TZ = "UTC", PY = "${matrix.python}" }
artifacts = ["htmlcov/**"]
coverage = ["coverage.xml"]

[suite.shell]
framework = "command"
command = "make check"
results = ["build/*.xml"]
"#;

#[test]
fn every_key_is_read() {
    let config = good(FULL);
    assert_eq!((config.timeout_ms, config.fail_fast), (Some(45 * 60_000), Some(3)));
    let [lint, unit, shell] = config.suites.as_slice() else { panic!("three suites") };
    assert_eq!((lint.name.as_str(), lint.framework), ("lint", Framework::Command));
    assert_eq!((lint.shards, lint.retries, lint.case_timeout_ms), (Shards::Auto, 1, CASE_TIMEOUT_MS));
    assert_eq!((unit.shards, unit.slots, unit.retries), (Shards::Fixed(4), Some(2), 0));
    assert_eq!(
        (unit.timeout_ms, unit.case_timeout_ms, unit.target_time_ms),
        (1_200_000, 90_000, Some(180_000))
    );
    assert_eq!(
        (unit.working_dir.as_str(), unit.needs.as_slice()),
        ("backend", ["lint".to_owned()].as_slice())
    );
    assert_eq!(shell.results, ["build/*.xml"]);
    let with_keys: BTreeSet<&str> =
        SUITE_KEYS.into_iter().filter(|key| FULL.contains(&format!("{key} = "))).collect();
    assert_eq!(with_keys.len(), SUITE_KEYS.len(), "the sample shows every key");
}

#[test]
fn an_empty_file_leaves_everything_to_detection() {
    assert_eq!(good(""), Config::default());
    let config = parse("x", "[suite.a]", Some(Framework::Cargo)).unwrap();
    assert_eq!(config.suites, [SuiteSpec::new("a", Framework::Cargo)]);
}

#[test]
fn the_documented_line_is_printed() {
    let error = bad("[suite.a]\n\nshrads = 2\n");
    assert_eq!(error, "fleetest.toml:3:1: unknown key `shrads` (did you mean `shards`?)");
}

#[test]
fn all_problems_are_reported_together_in_order() {
    insta::assert_snapshot!(bad(r#"
timeout = 5
colour = "red"
[suite."-x"]
framework = "pytst"
shards = 0
slots = -1
retries = 1.5
target_time = "3 minutes"
timeout = "0s"
[suite.b]
framework = "jest"
paths = ["/etc", "../up", "a/../b", "-rf", "", 3]
matrix = { python = [], "a b" = ["1", "1"], x = ["a,b"] }
setup = "pip install"
env = { "A-B" = "1", C = 2 }
needs = ["c", "zzzzzz"]
args = ["${matrix.pyton}", "${matrix.q"]
[suite.c]
needs = ["b"]
framework = "command"
[suite.d]
framework = "cargo"
command = "x"
results = ["a.xml"]
shards = "four"
doc_tests = true
[suite.e]
needs = ["e"]
"#), @r#"
    fleetest.toml:2:11: `timeout` must be a duration in quotes, not a number (as in `timeout = "3m"`)
    fleetest.toml:3:1: unknown key `colour` (valid keys are `fail_fast`, `suite`, `timeout`)
    fleetest.toml:4:8: `-x` cannot be a suite's name (use up to 64 letters, digits, `-`, `_` and `.`, and begin with a letter or digit)
    fleetest.toml:5:13: unknown framework `pytst` (did you mean `pytest`?)
    fleetest.toml:6:10: `shards` cannot be `0` (use a number from 1 to 1000)
    fleetest.toml:7:9: `slots` cannot be `-1` (use a number from 1 to 1024)
    fleetest.toml:8:11: `retries` must be a whole number, not a fraction (as in `retries = 0`)
    fleetest.toml:9:15: `target_time` cannot be `3 minutes`: it is not a duration (write it as in `90s`, `3m`, `1h30m` or `500ms`)
    fleetest.toml:10:11: `timeout` cannot be `0s`: it must be longer than zero (write it as in `90s`, `3m`, `1h30m` or `500ms`)
    fleetest.toml:12:13: unknown framework `jest` (use one of `pytest`, `cargo`, `command`; `command` runs anything that writes JUnit XML or TAP)
    fleetest.toml:13:10: `paths` has `/etc`, which is absolute (paths are relative to the project, and stay inside it)
    fleetest.toml:13:18: `paths` has `../up`, which leaves the project by `..` (paths are relative to the project, and stay inside it)
    fleetest.toml:13:27: `paths` has `a/../b`, which leaves the project by `..` (paths are relative to the project, and stay inside it)
    fleetest.toml:13:37: `paths` has `-rf`, which would be taken for an option (options belong in `args`; a file with such a name is `./-name`)
    fleetest.toml:13:44: `paths` holds an empty text (remove it)
    fleetest.toml:13:48: `paths` must hold texts, not a number (put the value in quotes)
    fleetest.toml:14:21: `matrix.python` has no values, so there would be no job (add a value, or remove the dimension)
    fleetest.toml:14:25: `a b` cannot be a matrix dimension (use letters, digits, `_` and `-`)
    fleetest.toml:14:39: `matrix.a b` has `1` twice (remove one)
    fleetest.toml:14:50: `matrix.x` has `a,b`, which cannot be part of a job's name (leave out brackets, commas and `=`)
    fleetest.toml:15:9: `setup` must be a list of texts, not a text (as in `setup = ["pip install -e ."]`)
    fleetest.toml:16:9: `A-B` cannot be the name of an environment variable (use letters, digits and `_`, and do not begin with a digit)
    fleetest.toml:16:26: `env.C` must be a text without zero bytes, not a number (put the value in quotes)
    fleetest.toml:17:10: `needs` goes round in a circle: b → c → b (remove one of them)
    fleetest.toml:17:15: `needs` names the unknown suite `zzzzzz` (add `[suite.zzzzzz]`, or remove the name)
    fleetest.toml:18:1: `args` uses `${matrix.pyton}`, which is no dimension (did you mean `${matrix.python}`?)
    fleetest.toml:18:1: `args` uses `${matrix.q}`, which is no dimension (add `matrix = { q = ["…"] }`)
    fleetest.toml:19:8: suite `c` has framework `command` and no `command` (add the command line, as in `command = "make test"`)
    fleetest.toml:24:1: `command` does not go with framework `cargo` (remove it, or use `framework = "command"`)
    fleetest.toml:25:1: `results` does not go with framework `cargo` (remove it, or use `framework = "command"`)
    fleetest.toml:26:10: `shards` cannot be `four` (use "auto" or a number without quotes, as in `shards = 4`)
    fleetest.toml:27:1: unknown key `doc_tests` (valid keys are `args`, `artifacts`, `case_timeout`, `command`, `coverage`, `env`, `framework`, `matrix`, `needs`, `paths`, `results`, `retries`, `setup`, `shards`, `slots`, `target_time`, `timeout`, `working_dir`)
    fleetest.toml:29:10: `needs` goes round in a circle: e → e (remove one of them)
    "#);
}

#[test]
fn broken_toml_has_a_place() {
    insta::assert_snapshot!([bad("[suite.a\nframework = 1"), bad("a = \"x"), bad("[suite.a]\nslots = 1\nslots = 2")].join("\n--\n"), @r#"
    fleetest.toml:1:9: unclosed table, expected `]` (the file must be valid TOML)
    --
    fleetest.toml:1:7: invalid basic string, expected `"` (the file must be valid TOML)
    --
    fleetest.toml:3:1: duplicate key (the file must be valid TOML)
    "#);
    insta::assert_snapshot!([bad("suite = 3"), bad("suite.a = 3"), bad("[[suite]]\nname = 'x'")].join("\n--\n"), @r"
    fleetest.toml:1:9: `suite` must hold tables, not a number (write `[suite.NAME]` and the suite's keys below it)
    --
    fleetest.toml:1:7: `suite.a` must be a table (write `[suite.NAME]` and the suite's keys below it)
    --
    fleetest.toml:1:1: `suite` must hold tables, not a list (write `[suite.NAME]` and the suite's keys below it)
    ");
}

#[test]
fn a_suite_without_any_framework_is_told_what_to_add() {
    let error = parse(FILE_NAME, "[suite.a]\n", None).unwrap_err().to_string();
    assert!(error.starts_with("fleetest.toml:1:8: suite `a` names no framework"), "{error}");
}

#[test]
fn cells_become_jobs_in_one_order() {
    let jobs = expand(&good(FULL).suites).unwrap();
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["lint", "unit[os=linux,python=3.11]", "unit[os=linux,python=3.12]", "shell"]);
    assert_eq!(jobs[2].suite.setup, ["pip install -e .[test] --python 3.12"]);
    assert_eq!(jobs[2].suite.env["PY"], "3.12");
    assert_eq!(jobs[2].cell["os"], "linux");
}

#[test]
fn a_value_that_looks_like_a_variable_is_no_variable() {
    let text = "[suite.a]\ncommand = \"x ${matrix.a} ${HOME} ${matrix.b}\"\nmatrix = { a = [\"${matrix.b}\"], b = [\"1\"] }";
    let jobs = expand(&good(text).suites).unwrap();
    assert_eq!(jobs[0].suite.command.as_deref(), Some("x ${matrix.b} ${HOME} 1"));
}

#[test]
fn too_many_jobs_and_paths_made_of_values_are_refused() {
    let values = (0..17).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(",");
    let error = bad(&format!("[suite.a]\nmatrix = {{ a = [{values}], b = [{values}] }}"));
    assert!(error.contains("make 289 jobs, and a run has at most 256"), "{error}");
    let error = bad("[suite.a]\npaths = [\"t/${matrix.d}\"]\nmatrix = { d = [\"x\", \"../..\"] }");
    assert!(error.starts_with("fleetest.toml:2:1: `paths` of job `a[d=../..]` becomes `t/../..`"), "{error}");
}

#[test]
fn a_long_chain_of_needs_is_no_cycle() {
    let later = (1..200).map(|n| format!("[suite.s{n}]\ncommand = 'x'\nneeds = ['s{}', 's0']\n", n - 1));
    let text: String = std::iter::once("[suite.s0]\ncommand = 'x'\n".to_owned()).chain(later).collect();
    assert_eq!(good(&text).suites.len(), 200);
}

#[test]
fn the_schema_names_the_same_keys_and_limits() {
    let schema: serde_json::Value = serde_json::from_str(schema_json()).unwrap();
    let keys = |object: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let suite = &schema["$defs"]["suite"];
    assert_eq!(keys(&schema), RUN_KEYS);
    assert_eq!(keys(suite), SUITE_KEYS);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(suite["additionalProperties"], false);
    let frameworks: Vec<&str> = Framework::ALL.map(Framework::as_str).to_vec();
    assert_eq!(suite["properties"]["framework"]["enum"], serde_json::json!(frameworks));
    assert_eq!(suite["properties"]["slots"]["maximum"], suite::MAX_SLOTS);
    assert_eq!(suite["properties"]["retries"]["maximum"], suite::MAX_RETRIES);
    assert_eq!(suite["properties"]["shards"]["oneOf"][1]["maximum"], suite::MAX_SHARDS);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", key in "[a-z_]{1,12}", value in "-?[0-9]{1,30}|\"\\PC{0,5}\"|\\[\\]|true") {
        drop(parse(FILE_NAME, &text, None));
        if let Err(error) = parse(FILE_NAME, &format!("[suite.a]\n{key} = {value}"), None) {
            prop_assert!(error.problems.iter().all(|p| p.line >= 1 && !p.hint.is_empty()));
        }
    }
}
