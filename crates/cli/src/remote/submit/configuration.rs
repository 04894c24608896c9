//! The `fleetest.toml` that goes with a run: the project's own, or one made of what was detected.

use crate::exit::Problem;
use crate::suites::{FILE, Found};
use shared::domain::config;
use shared::domain::spec::{CASE_TIMEOUT_MS, Framework, JOB_TIMEOUT_MS, Shards, SuiteSpec};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// The text for the server. The project's own file is sent as it is if it says everything by itself; where a local
/// run completes it by looking at the files, what came of that is sent.
///
/// # Errors
/// The file cannot be read any more.
pub(super) fn text(root: &Path, found: &Found) -> Result<String, Problem> {
    let path = root.join(FILE);
    if path.is_file() {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Problem::usage(format!("`{}` cannot be read", path.display())).because(error))?;
        if config::parse(FILE, &text, None).is_ok_and(|parsed| !parsed.suites.is_empty()) {
            return Ok(text);
        }
    }
    written(found)
}

/// The suites as a file that says the same.
///
/// # Errors
/// A value that TOML cannot hold.
fn written(found: &Found) -> Result<String, Problem> {
    let impossible =
        |error| Problem::could_not_run("the configuration cannot be written down").because(error);
    let mut head = Table::new();
    if let Some(ms) = found.timeout_ms {
        head.insert("timeout".to_owned(), duration(ms));
    }
    if let Some(number) = found.fail_fast {
        head.insert("fail_fast".to_owned(), Value::Integer(number.into()));
    }
    let mut text = toml::to_string(&head).map_err(impossible)?;
    // One by one, because their order is the order of the file.
    for suite in &found.suites {
        let named = Table::from_iter([(suite.name.clone(), Value::Table(table(suite)))]);
        let document = Table::from_iter([("suite".to_owned(), Value::Table(named))]);
        text.push_str(&toml::to_string(&document).map_err(impossible)?);
        text.push('\n');
    }
    Ok(text)
}

fn table(suite: &SuiteSpec) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    put("framework", Some(Value::String(suite.framework.as_str().to_owned())));
    put("working_dir", (!suite.working_dir.is_empty()).then(|| Value::String(suite.working_dir.clone())));
    put(
        "command",
        suite.command.clone().filter(|_| suite.framework == Framework::Command).map(Value::String),
    );
    let lists = [
        ("paths", &suite.paths),
        ("args", &suite.args),
        ("results", &suite.results),
        ("setup", &suite.setup),
        ("needs", &suite.needs),
        ("artifacts", &suite.artifacts),
        ("coverage", &suite.coverage),
    ];
    for (key, list) in lists {
        put(key, (!list.is_empty()).then(|| texts(list)));
    }
    put(
        "shards",
        match suite.shards {
            Shards::Auto => None,
            Shards::Fixed(number) => Some(Value::Integer(number.into())),
        },
    );
    put("slots", suite.slots.map(|number| Value::Integer(number.into())));
    put("retries", Some(Value::Integer(suite.retries.into())));
    put("target_time", suite.target_time_ms.map(duration));
    put("timeout", (suite.timeout_ms != JOB_TIMEOUT_MS).then(|| duration(suite.timeout_ms)));
    put("case_timeout", (suite.case_timeout_ms != CASE_TIMEOUT_MS).then(|| duration(suite.case_timeout_ms)));
    put("env", map(&suite.env, |text| Value::String(text.clone())));
    put("matrix", map(&suite.matrix, |list| texts(list)));
    table
}

fn map<T>(entries: &BTreeMap<String, T>, value: impl Fn(&T) -> Value) -> Option<Value> {
    let entries: Table = entries.iter().map(|(key, entry)| (key.clone(), value(entry))).collect();
    (!entries.is_empty()).then_some(Value::Table(entries))
}

fn texts(list: &[String]) -> Value {
    Value::Array(list.iter().cloned().map(Value::String).collect())
}

fn duration(ms: u64) -> Value {
    Value::String(format!("{ms}ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-z][a-z0-9 '\"\\\\é.=]{0,10}", 0..3)
    }

    fn suite(name: String) -> impl Strategy<Value = SuiteSpec> {
        let paths = prop::collection::vec("[a-z][a-z0-9 'é/]{0,10}", 0..3);
        let numbers = (0u32..=10, 1u64..100_000_000, prop::option::of(1u32..=16), prop::option::of(1u32..9));
        let maps = (
            prop::collection::btree_map("[A-Z]{1,6}", "[ -~]{1,12}", 0..3),
            prop::collection::btree_map(
                "[a-z]{1,6}",
                prop::collection::vec("[0-9]{1,3}\\.[a-z]", 1..2),
                0..2,
            ),
        );
        (words(), words(), paths, numbers, maps, any::<bool>()).prop_map(
            move |(args, setup, paths, (retries, timeout_ms, slots, shards), (env, matrix), command)| {
                let framework = if command { Framework::Command } else { Framework::Pytest };
                SuiteSpec {
                    args,
                    setup,
                    paths,
                    retries,
                    timeout_ms,
                    slots,
                    shards: shards.map_or(Shards::Auto, Shards::Fixed),
                    env,
                    matrix,
                    command: command.then(|| "make \"test\"\n".to_owned()),
                    results: if command { vec!["out/*.xml".to_owned()] } else { Vec::new() },
                    ..SuiteSpec::new(&name, framework)
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            suites in (suite("z.unit".to_owned()), suite("a".to_owned())),
            timeout_ms in prop::option::of(1u64..1_000_000),
            fail_fast in prop::option::of(1u32..100),
        ) {
            let found = Found { suites: vec![suites.0, suites.1], timeout_ms, fail_fast, reasons: Vec::new() };
            let text = written(&found).unwrap();
            let parsed = config::parse(FILE, &text, None).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(parsed.suites, found.suites);
            prop_assert_eq!((parsed.timeout_ms, parsed.fail_fast), (found.timeout_ms, found.fail_fast));
        }
    }

    #[test]
    fn the_own_file_is_sent_as_it_is_if_it_says_everything() {
        let scratch = tempfile::tempdir().unwrap();
        let own = "# ours\n[suite.unit]\nframework = \"pytest\"\n";
        std::fs::write(scratch.path().join(FILE), own).unwrap();
        let found = crate::suites::find(scratch.path()).unwrap();
        assert_eq!(text(scratch.path(), &found).unwrap(), own);
        std::fs::write(scratch.path().join(FILE), "[suite.unit]\npaths = [\"tests\"]\n").unwrap();
        std::fs::write(scratch.path().join("pytest.ini"), "[pytest]\n").unwrap();
        let found = crate::suites::find(scratch.path()).unwrap();
        insta::assert_snapshot!(text(scratch.path(), &found).unwrap(), @r#"
        [suite.unit]
        framework = "pytest"
        paths = ["tests"]
        retries = 1
        "#);
    }
}
