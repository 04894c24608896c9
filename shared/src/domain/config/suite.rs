//! One `[suite.NAME]` table.

use super::expand::variables;
use super::reader::{Place, Reader, Value, nearest, ordered};
use crate::domain::spec::{Framework, Shards, SuiteSpec};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Keys of a suite.
pub const SUITE_KEYS: [&str; 18] = [
    "args",
    "artifacts",
    "case_timeout",
    "command",
    "coverage",
    "env",
    "framework",
    "matrix",
    "needs",
    "paths",
    "results",
    "retries",
    "setup",
    "shards",
    "slots",
    "target_time",
    "timeout",
    "working_dir",
];
/// Most machines a job can ask for.
pub(super) const MAX_SHARDS: u32 = 1_000;
/// Most lanes a runner can have.
pub(super) const MAX_SLOTS: u32 = 1_024;
/// Most further attempts.
pub(super) const MAX_RETRIES: u32 = 10;

/// A suite with the places that later checks point at.
#[derive(Debug)]
pub(super) struct ReadSuite {
    pub(super) spec: SuiteSpec,
    /// Place of the suite's name.
    pub(super) at: Place,
    /// Place of each key.
    pub(super) keys: BTreeMap<String, Place>,
    /// What `needs` names, with places.
    pub(super) needs: Vec<(String, Place)>,
}

impl ReadSuite {
    pub(super) fn key_at(&self, key: &str) -> Option<Place> {
        self.keys.get(key).cloned()
    }
}

/// Reads all suites, in the order of the file.
pub(super) fn read_all(
    reader: &mut Reader<'_>,
    tables: &DeTable<'_>,
    detected: Option<Framework>,
) -> Vec<ReadSuite> {
    let mut suites = Vec::new();
    for (name, value) in ordered(tables) {
        check_name(reader, name);
        match value.get_ref().as_table() {
            Some(table) => suites.push(read(reader, name, table, detected)),
            None => {
                let message = format!("`suite.{}` must be a table", name.get_ref());
                reader.problem(name.span(), message, "write `[suite.NAME]` and the suite's keys below it");
            }
        }
    }
    suites
}

fn check_name(reader: &mut Reader<'_>, name: &Spanned<DeString<'_>>) {
    let text = name.get_ref().as_ref();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well || text.len() > 64 || !text.chars().all(allowed) {
        let message = format!("`{}` cannot be a suite's name", text.escape_debug());
        let hint = "use up to 64 letters, digits, `-`, `_` and `.`, and begin with a letter or digit";
        reader.problem(name.span(), message, hint);
    }
}

fn read(
    reader: &mut Reader<'_>,
    name: &Spanned<DeString<'_>>,
    table: &DeTable<'_>,
    detected: Option<Framework>,
) -> ReadSuite {
    let spec = SuiteSpec::new(name.get_ref(), Framework::Command);
    let mut suite = ReadSuite { spec, at: name.span(), keys: BTreeMap::new(), needs: Vec::new() };
    let mut framework = None;
    for (key, value) in ordered(table) {
        suite.keys.insert(key.get_ref().as_ref().to_owned(), key.span());
        match key.get_ref().as_ref() {
            "framework" => framework = read_framework(reader, value),
            "shards" => suite.spec.shards = read_shards(reader, value).unwrap_or(suite.spec.shards),
            "matrix" => suite.spec.matrix = read_matrix(reader, value),
            "env" => suite.spec.env = read_env(reader, value),
            "needs" => suite.needs = reader.texts("needs", value, "lint"),
            other => read_plain(reader, &mut suite.spec, other, value, key.span()),
        }
    }
    suite.spec.needs = suite.needs.iter().map(|(name, _)| name.clone()).collect();
    if let Some(known) = settle_framework(reader, &suite, framework, detected) {
        suite.spec.framework = known;
        check_command(reader, &suite);
    }
    check_variables(reader, &suite);
    suite
}

/// Keys that stand for one field and no rule besides their type.
fn read_plain(reader: &mut Reader<'_>, spec: &mut SuiteSpec, key: &str, value: &Value<'_>, at: Place) {
    let list = |texts: Vec<(String, Place)>| texts.into_iter().map(|(text, _)| text).collect();
    match key {
        "paths" => spec.paths = reader.paths(key, value, "tests"),
        "results" => spec.results = reader.paths(key, value, "build/junit.xml"),
        "artifacts" => spec.artifacts = reader.paths(key, value, "htmlcov/**"),
        "coverage" => spec.coverage = reader.paths(key, value, "coverage.xml"),
        "args" => spec.args = list(reader.texts(key, value, "-v")),
        "setup" => spec.setup = list(reader.texts(key, value, "pip install -e .")),
        "command" => spec.command = reader.text(key, value, "make test"),
        "working_dir" => {
            spec.working_dir = reader.text(key, value, "backend").unwrap_or_default();
            if !spec.working_dir.is_empty() {
                reader.check_path(key, &spec.working_dir, value.span());
            }
        }
        "slots" => spec.slots = reader.number(key, value, 1..=MAX_SLOTS),
        "retries" => spec.retries = reader.number(key, value, 0..=MAX_RETRIES).unwrap_or(spec.retries),
        "target_time" => spec.target_time_ms = reader.duration_ms(key, value),
        "timeout" => spec.timeout_ms = reader.duration_ms(key, value).unwrap_or(spec.timeout_ms),
        "case_timeout" => {
            spec.case_timeout_ms = reader.duration_ms(key, value).unwrap_or(spec.case_timeout_ms);
        }
        unknown => reader.unknown_key(at, unknown, &SUITE_KEYS),
    }
}

/// `Some(None)` stands for a framework that is named wrongly: no second complaint is due.
fn read_framework(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Option<Framework>> {
    let Some(text) = reader.text("framework", value, "pytest") else { return Some(None) };
    let found = Framework::ALL.into_iter().find(|framework| framework.as_str() == text);
    if found.is_none() {
        let names = Framework::ALL.map(Framework::as_str);
        let all = names.map(|name| format!("`{name}`")).join(", ");
        let hint = nearest(&text, names).map_or_else(
            || format!("use one of {all}; `command` runs anything that writes JUnit XML or TAP"),
            |near| format!("did you mean `{near}`?"),
        );
        reader.problem(value.span(), format!("unknown framework `{text}`"), hint);
    }
    Some(found)
}

fn settle_framework(
    reader: &mut Reader<'_>,
    suite: &ReadSuite,
    named: Option<Option<Framework>>,
    detected: Option<Framework>,
) -> Option<Framework> {
    if let Some(named) = named {
        return named;
    }
    let implied = suite.keys.contains_key("command").then_some(Framework::Command);
    let found = implied.or(detected);
    if found.is_none() {
        let message = format!("suite `{}` names no framework, and none was detected", suite.spec.name);
        let all = Framework::ALL.map(|f| format!("`framework = \"{f}\"`")).join(", ");
        reader.problem(suite.at.clone(), message, format!("add one of {all}"));
    }
    found
}

fn check_command(reader: &mut Reader<'_>, suite: &ReadSuite) {
    let (name, framework) = (&suite.spec.name, suite.spec.framework);
    if framework == Framework::Command {
        if !suite.keys.contains_key("command") {
            let message = format!("suite `{name}` has framework `command` and no `command`");
            reader.problem(
                suite.at.clone(),
                message,
                "add the command line, as in `command = \"make test\"`",
            );
        }
        return;
    }
    for key in ["command", "results"] {
        if let Some(at) = suite.key_at(key) {
            let message = format!("`{key}` does not go with framework `{framework}`");
            reader.problem(at, message, "remove it, or use `framework = \"command\"`");
        }
    }
}

fn read_shards(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Shards> {
    match value.get_ref() {
        DeValue::String(text) if text == "auto" => Some(Shards::Auto),
        DeValue::String(text) => {
            let hint = "use \"auto\" or a number without quotes, as in `shards = 4`";
            reader.problem(value.span(), format!("`shards` cannot be `{text}`"), hint);
            None
        }
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => reader.number("shards", value, 1..=MAX_SHARDS).map(Shards::Fixed),
    }
}

fn read_matrix(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeMap<String, Vec<String>> {
    let mut matrix = BTreeMap::new();
    for (dimension, values) in reader.table("matrix", value, "{ python = [\"3.12\"] }") {
        let name = dimension.get_ref().as_ref();
        let key = format!("matrix.{name}");
        if !is_word(name) {
            let message = format!("`{}` cannot be a matrix dimension", name.escape_debug());
            reader.problem(dimension.span(), message, "use letters, digits, `_` and `-`");
        }
        let texts = reader.texts(&key, values, "3.12");
        if matches!(values.get_ref(), DeValue::Array(items) if items.is_empty()) {
            let message = format!("`{key}` has no values, so there would be no job");
            reader.problem(values.span(), message, "add a value, or remove the dimension");
        }
        let mut seen = BTreeSet::new();
        for (text, at) in &texts {
            if !seen.insert(text) {
                reader.problem(at.clone(), format!("`{key}` has `{text}` twice"), "remove one");
            }
            if text.contains(|c: char| matches!(c, '[' | ']' | ',' | '=') || c.is_control())
                || text.len() > 128
            {
                let message =
                    format!("`{key}` has `{}`, which cannot be part of a job's name", text.escape_debug());
                reader.problem(at.clone(), message, "leave out brackets, commas and `=`");
            }
        }
        matrix.insert(name.to_owned(), texts.into_iter().map(|(text, _)| text).collect());
    }
    matrix
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn read_env(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, value) in reader.table("env", value, "{ TZ = \"UTC\" }") {
        let text = name.get_ref().as_ref();
        if !is_word(text) || text.contains('-') || text.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`{}` cannot be the name of an environment variable", text.escape_debug());
            reader.problem(
                name.span(),
                message,
                "use letters, digits and `_`, and do not begin with a digit",
            );
        }
        match value.get_ref().as_str() {
            Some(content) if !content.contains('\0') => {
                env.insert(text.to_owned(), content.to_owned());
            }
            _ => {
                let message = format!(
                    "`env.{text}` must be a text without zero bytes, not {}",
                    super::reader::kind(value.get_ref())
                );
                reader.problem(value.span(), message, "put the value in quotes");
            }
        }
    }
    env
}

/// Every `${matrix.x}` must name a dimension.
fn check_variables(reader: &mut Reader<'_>, suite: &ReadSuite) {
    let spec = &suite.spec;
    let texts = [
        ("command", spec.command.iter().collect::<Vec<_>>()),
        ("setup", spec.setup.iter().collect()),
        ("args", spec.args.iter().collect()),
        ("paths", spec.paths.iter().collect()),
        ("env", spec.env.values().collect()),
    ];
    for (key, texts) in texts {
        for name in texts.into_iter().flat_map(|text| variables(text)) {
            if !spec.matrix.contains_key(name) {
                let near = nearest(name, spec.matrix.keys().map(String::as_str));
                let hint = near.map_or_else(
                    || format!("add `matrix = {{ {name} = [\"…\"] }}`"),
                    |near| format!("did you mean `${{matrix.{near}}}`?"),
                );
                let at = suite.key_at(key).unwrap_or_default();
                reader.problem(at, format!("`{key}` uses `${{matrix.{name}}}`, which is no dimension"), hint);
            }
        }
    }
}
