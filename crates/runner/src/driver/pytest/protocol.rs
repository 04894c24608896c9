//! The lines of JSON between the driver and its Python processes.
//!
//! Three streams per slot: `commands` (both ways, one message per step), `results` (to the driver, one line per
//! case) and the plain output of the process. This file owns their form and nothing else.

use serde::{Deserialize, Serialize};
use shared::domain::case::Failure;
use shared::domain::outcome::Outcome;

/// The plugin's modules in the order in which they import each other.
pub(super) const MODULES: [(&str, &str); 6] = [
    ("_fleetest_wire", include_str!("plugin/wire.py")),
    ("_fleetest_results", include_str!("plugin/results.py")),
    ("_fleetest_preload", include_str!("plugin/preload.py")),
    ("_fleetest_units", include_str!("plugin/units.py")),
    ("_fleetest_slot", include_str!("plugin/slot.py")),
    ("_fleetest_zygote", include_str!("plugin/zygote.py")),
];

/// The program that `python -c` runs.
pub(super) const BOOT: &str = include_str!("plugin/boot.py");

/// First message to a new process.
#[derive(Debug, Serialize)]
pub(super) struct Hello<'a> {
    pub(super) modules: &'a [(&'a str, &'a str)],
    pub(super) args: Vec<&'a str>,
    pub(super) scratch: &'a str,
    pub(super) slots: u32,
    pub(super) run_uid: &'a str,
    pub(super) preload: bool,
}

/// Orders to the zygote. `Fork` and `Become` are sent with the slot's three descriptors.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum ZygoteOrder {
    /// Make a slot process.
    Fork { slot: u32, generation: u32 },
    /// Be a slot process, where forking is not possible.
    Become { slot: u32, generation: u32 },
    /// Close the session and end.
    End,
}

/// What the zygote says.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum ZygoteMessage {
    Ready { units: Vec<String>, notes: Vec<String>, pytest: String, python: String },
    Broken { code: BrokenCode, message: String, detail: String },
    Forked { pid: i32 },
    ForkFailed { message: String },
    Exit { pid: i32, signalled: bool, number: i32 },
}

/// Why the zygote cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BrokenCode {
    FrameworkMissing,
    FrameworkOld,
    Setup,
    Discovery,
}

/// Orders to a slot, each on its `commands` stream.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum SlotOrder<'a> {
    /// Collect this unit.
    Collect { unit: &'a str, careful: bool },
    /// Run these of the collected cases; `None` = all.
    Run { pick: Option<Vec<usize>> },
    /// Start the case that was announced (careful mode).
    Go,
    /// The next case is the last one: others share the rest.
    Yield,
    /// Tear session fixtures down and end.
    End,
}

/// What a slot says on its `commands` stream.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum SlotMessage {
    /// The first `errors` of the cases stand for what could not be collected.
    Collected { cases: Vec<String>, errors: usize, deselected: u32 },
    /// Every picked case has its result, or the next ones were yielded.
    Done,
    /// Something for the runner's log.
    Note { text: String },
}

/// One line of the `results` stream: a result, the case that runs next, or both.
#[derive(Debug, Deserialize)]
pub(super) struct ResultLine {
    #[serde(default)]
    pub(super) next: Option<usize>,
    #[serde(default)]
    pub(super) case: Option<usize>,
    #[serde(default)]
    pub(super) class: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) line: Option<u32>,
    #[serde(default)]
    pub(super) outcome: Option<Outcome>,
    #[serde(default)]
    pub(super) started_ms: u64,
    #[serde(default)]
    pub(super) duration_us: u64,
    #[serde(default)]
    pub(super) failure: Option<Failure>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) output: String,
}

/// Class path and name of a case by the rules of pytest's JUnit writer, for cases whose process died before it
/// could tell.
pub(super) fn junit_names(node_id: &str) -> (String, String) {
    let (address, params) = node_id.find('[').map_or((node_id, ""), |at| node_id.split_at(at));
    let (path, rest) = match address.split_once("::") {
        Some((path, rest)) => (path, Some(rest)),
        None => (node_id, None),
    };
    let dotted = path.replace('/', ".");
    let module = dotted.strip_suffix(".py").unwrap_or(&dotted);
    let Some(rest) = rest else { return (String::new(), module.to_owned()) };
    match rest.rsplit_once("::") {
        Some((classes, name)) => {
            (format!("{module}.{}", classes.replace("::", ".")), format!("{name}{params}"))
        }
        None => (module.to_owned(), format!("{rest}{params}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_junit_writer() {
        let cases = [
            ("tests/test_a.py::test_b", "tests.test_a", "test_b"),
            ("tests/test_a.py::TestC::test_b[x::y/1]", "tests.test_a.TestC", "test_b[x::y/1]"),
            ("test_a.py", "", "test_a"),
            ("docs/x.txt::x.txt", "docs.x.txt", "x.txt"),
        ];
        for (id, class, name) in cases {
            assert_eq!(junit_names(id), (class.to_owned(), name.to_owned()), "{id}");
        }
    }

    #[test]
    fn a_line_may_carry_a_result_and_the_next_case() {
        let line: ResultLine =
            serde_json::from_str(r#"{"case":1,"outcome":"timed_out","next":2,"duration_us":7}"#).unwrap();
        assert_eq!((line.case, line.next, line.outcome), (Some(1), Some(2), Some(Outcome::TimedOut)));
    }
}
