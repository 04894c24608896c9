//! The `cargo` driver, on a workspace that is built for real.

use crate::recording::{Recording, context, entry, only, run_entry};
use runner::driver::cargo::CargoDriver;
use runner::driver::{Driver, DriverError};
use shared::domain::spec::{Framework, SuiteSpec};
use shared::domain::unit::{DiscoveredUnit, Selection};
use shared::domain::verdict::CauseCode;
use std::path::Path;
use tempfile::TempDir;

const ALPHA_LIB: &str = r#"
//! Doc tests of the crate.
//!
//! ```
//! assert_eq!(alpha::one(), 1);
//! ```

/// ```
/// assert_eq!(alpha::one(), 2);
/// ```
///
/// ```compile_fail
/// let x: u8 = "no";
/// ```
///
/// ```ignore
/// never
/// ```
pub fn one() -> u8 { 1 }

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}
    #[test]
    fn prints() { println!("to stdout"); eprintln!("to stderr"); }
    #[test]
    fn fails() { println!("before"); assert_eq!(super::one(), 2, "one is not two"); }
    #[test]
    #[should_panic(expected = "boom")]
    fn panics_as_it_should() { panic!("boom"); }
    #[test]
    #[should_panic]
    fn should_have_panicked() {}
    #[test]
    fn returns_an_error() -> Result<(), String> { Err("went wrong".to_owned()) }
    #[test]
    #[ignore = "slow"]
    fn ignored() { panic!("must not run"); }
    #[test]
    fn aborts() { std::process::abort(); }
    #[test]
    fn leaves_early() { std::process::exit(0); }
    #[test]
    fn leaves_with_a_code() { std::process::exit(7); }
    #[test]
    fn hangs() { std::thread::sleep(std::time::Duration::from_secs(600)); }
    #[test]
    fn filtered_out() {}
}
"#;

const ALPHA_API: &str = r#"
use std::process::Command;
#[test]
fn environment_is_that_of_cargo() {
    assert_eq!(std::env::var("CARGO_PKG_NAME").unwrap(), "alpha");
    assert_eq!(std::env::var("CARGO_PKG_VERSION_MINOR").unwrap(), "2");
    assert_eq!(std::env::var("FROM_JOB").unwrap(), "yes");
    assert_eq!(std::env::var("FROM_BUILD").unwrap(), "script");
    let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    assert_eq!(std::env::current_dir().unwrap(), std::path::Path::new(&dir));
    assert!(std::path::Path::new("src/lib.rs").exists());
    let made = std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("made");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "by the script");
    let tool = std::env::var("CARGO_BIN_EXE_tool").unwrap();
    assert_eq!(tool, env!("CARGO_BIN_EXE_tool"));
    assert_eq!(Command::new(tool).output().unwrap().stdout, b"tool\n");
}
"#;

const FILES: [(&str, &str); 10] = [
    ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"alpha\", \"beta\"]\n"),
    (
        "alpha/Cargo.toml",
        "[package]\nname = \"alpha\"\nversion = \"1.2.3\"\nedition = \"2021\"\n\
         [[bin]]\nname = \"tool\"\npath = \"src/tool.rs\"\n[[test]]\nname = \"own\"\nharness = false\n",
    ),
    ("alpha/src/lib.rs", ALPHA_LIB),
    ("alpha/src/tool.rs", "fn main() { println!(\"tool\"); }\n#[test]\nfn inside() {}\n"),
    (
        "alpha/build.rs",
        "fn main() {\n    let dir = std::env::var(\"OUT_DIR\").unwrap();\n    std::fs::write(format!(\"{dir}/made\"), \"by the script\").unwrap();\n    println!(\"cargo:rustc-env=FROM_BUILD=script\");\n}\n",
    ),
    ("alpha/tests/api.rs", ALPHA_API),
    ("alpha/tests/own.rs", "fn main() { println!(\"my own harness\"); std::process::exit(4); }\n"),
    (
        "beta/Cargo.toml",
        "[package]\nname = \"beta\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n",
    ),
    ("beta/src/lib.rs", "//! A macro crate.\n#[test]\nfn works() {}\n"),
    ("beta/tests/api.rs", "#[test]\nfn works_too() {}\n"),
];

struct Workspace {
    root: TempDir,
    scratch: TempDir,
}

impl Workspace {
    fn new(files: &[(&str, &str)]) -> Self {
        let made = Self { root: tempfile::tempdir().unwrap(), scratch: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            let path = made.root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        made
    }

    fn driver(&self, dir: &str, args: &[&str]) -> CargoDriver {
        let mut suite = SuiteSpec::new("cargo", Framework::Cargo);
        suite.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        suite.case_timeout_ms = 3000;
        let (mut ctx, _log) = context(&self.root.path().join(dir), self.scratch.path(), suite);
        let target = self.root.path().join("target").to_string_lossy().into_owned();
        ctx.env.extend([
            ("CARGO_TARGET_DIR".to_owned(), target),
            ("CARGO_NET_OFFLINE".to_owned(), "true".to_owned()),
        ]);
        CargoDriver::new(ctx)
    }

    fn units(&self, dir: &str, args: &[&str]) -> Vec<String> {
        self.driver(dir, args).discover().unwrap().into_iter().map(|unit| unit.key).collect()
    }
}

fn run(driver: &CargoDriver, unit: &str, selection: Selection) -> Recording {
    run_entry(driver, &entry(unit, selection)).unwrap()
}

fn check_library(driver: &CargoDriver) {
    let unit = "alpha::lib";
    let recording = run(driver, unit, Selection::All);
    let expect = [
        "crashed alpha::lib::tests::aborts",
        "failed alpha::lib::tests::fails",
        "timed_out alpha::lib::tests::hangs",
        "skipped alpha::lib::tests::ignored",
        "errored alpha::lib::tests::leaves_early",
        "failed alpha::lib::tests::leaves_with_a_code",
        "passed alpha::lib::tests::panics_as_it_should",
        "passed alpha::lib::tests::passes",
        "passed alpha::lib::tests::prints",
        "failed alpha::lib::tests::returns_an_error",
        "failed alpha::lib::tests::should_have_panicked",
    ];
    assert_eq!(recording.lines(), expect);
    assert_eq!(recording.deselected, 1);
    check_failures(&recording, unit);
    check_passes(&recording);
}

fn check_failures(recording: &Recording, unit: &str) {
    let failure = |name: &str| recording.result(&format!("{unit}::tests::{name}")).failure.clone().unwrap();
    let fails = recording.result("alpha::lib::tests::fails");
    assert_eq!((fails.class.as_str(), fails.name.as_str()), ("alpha::lib", "tests::fails"));
    assert!(failure("fails").message.contains("one is not two"), "{:?}", failure("fails"));
    assert_eq!(failure("fails").kind, "panic");
    assert!(
        fails.output.starts_with("before\n") && !fails.output.contains("running 1 test"),
        "{}",
        fails.output
    );
    assert_eq!(
        (fails.file.as_deref().map(|file| file.ends_with("src/lib.rs")), fails.line),
        (Some(true), Some(28))
    );
    assert_eq!(failure("aborts").kind, "signal:SIGABRT");
    assert_eq!(failure("leaves_early").message, "the process exited with code 0 before the test ended");
    assert_eq!(failure("leaves_with_a_code").message, "the test process ended with exit code 7");
    assert_eq!(failure("hangs").kind, "timeout");
    assert!(failure("returns_an_error").detail.contains("went wrong"));
}

fn check_passes(recording: &Recording) {
    let prints = recording.result("alpha::lib::tests::prints");
    assert_eq!(prints.output, "to stdout\nto stderr");
    assert!(prints.duration_us > 0 && prints.started_at.0 > 0 && prints.slot == 1);
    assert_eq!(recording.result("alpha::lib::tests::passes").output, "");
    assert_eq!(recording.result("alpha::lib::tests::ignored").reason.as_deref(), Some("ignored"));
}

fn check_selections(driver: &CargoDriver) {
    let two = only(&["alpha::lib::tests::passes", "alpha::lib::tests::gone"]);
    let mut careful = entry("alpha::lib", two);
    careful.entry.careful = true;
    let recording = run_entry(driver, &careful).unwrap();
    assert_eq!(
        (recording.lines(), recording.flushes),
        (vec!["passed alpha::lib::tests::passes".to_owned()], 1)
    );
    assert!(run(driver, "gamma::lib", Selection::All).aborted.unwrap().contains("`gamma::lib`"));
}

fn check_others(driver: &CargoDriver) {
    let lines = |unit: &str| run(driver, unit, Selection::All).lines();
    assert_eq!(lines("alpha::bin/tool"), ["passed alpha::bin/tool::inside"]);
    assert_eq!(lines("alpha::test/api"), ["passed alpha::test/api::environment_is_that_of_cargo"]);
    assert_eq!(lines("beta::lib"), ["passed beta::lib::works"]);
    assert_eq!(lines("beta::test/api"), ["passed beta::test/api::works_too"]);
    let own = run(driver, "alpha::test/own", Selection::All);
    assert_eq!(own.lines(), ["failed alpha::test/own::main"]);
    assert_eq!(own.results[0].output.trim(), "my own harness");
}

fn check_doc_tests(driver: &CargoDriver) {
    let recording = run(driver, "alpha::doc", Selection::All);
    let mut lines = recording.lines();
    lines.sort();
    let expect = [
        "failed alpha::doc::alpha/src/lib.rs - one (line 8)",
        "passed alpha::doc::alpha/src/lib.rs - (line 4)",
        "passed alpha::doc::alpha/src/lib.rs - one (line 12)",
        "skipped alpha::doc::alpha/src/lib.rs - one (line 16)",
    ];
    assert_eq!(lines, expect);
    let failed = recording.result("alpha::doc::alpha/src/lib.rs - one (line 8)");
    assert!(failed.failure.as_ref().unwrap().message.contains("left == right"), "{failed:?}");
    assert_eq!(failed.line, Some(8));
    let again = run(driver, "alpha::doc", only(&["alpha::doc::alpha/src/lib.rs - one (line 12)"]));
    assert_eq!(again.lines(), ["passed alpha::doc::alpha/src/lib.rs - one (line 12)"]);
    assert_eq!(run(driver, "beta::doc", Selection::All).lines(), Vec::<String>::new());
}

#[test]
fn a_workspace_from_build_to_doc_tests() {
    let workspace = Workspace::new(&FILES);
    let driver = workspace.driver("", &[]);
    let units = driver.discover().unwrap();
    let keys: Vec<&str> = units.iter().map(|unit| unit.key.as_str()).collect();
    let expect = [
        "alpha::bin/tool",
        "alpha::lib",
        "alpha::test/api",
        "alpha::test/own",
        "beta::lib",
        "beta::test/api",
        "alpha::doc",
        "beta::doc",
    ];
    assert_eq!(keys, expect);
    let listed = |unit: &DiscoveredUnit| unit.cases.as_ref().map(Vec::len);
    assert_eq!(
        units.iter().map(listed).collect::<Vec<_>>(),
        [1, 12, 1, 1, 1, 1].map(Some).into_iter().chain([None, None]).collect::<Vec<_>>()
    );
    assert!(units[1].divisible && !units[0].divisible && !units[6].divisible);
    check_library(&driver);
    check_selections(&driver);
    check_others(&driver);
    check_doc_tests(&driver);
    check_arguments(&workspace);
    driver.stop();
    assert!(matches!(run_entry(&driver, &entry("beta::lib", Selection::All)), Err(DriverError::Stopped)));
}

fn check_arguments(workspace: &Workspace) {
    assert_eq!(workspace.units("", &["-p", "beta", "--lib"]), ["beta::lib"]);
    assert_eq!(workspace.units("", &["--doc", "--exclude=alpha", "--workspace"]), ["beta::doc"]);
    assert_eq!(workspace.units("beta", &[]), ["beta::lib", "beta::test/api", "beta::doc"]);
    let driver = workspace.driver("alpha", &["--lib", "ignored", "--", "--ignored"]);
    assert_eq!(driver.discover().unwrap()[0].cases.as_ref().unwrap()[0].0, "alpha::lib::tests::ignored");
    assert_eq!(run(&driver, "alpha::lib", Selection::All).lines(), ["failed alpha::lib::tests::ignored"]);
}

fn broken(root: &Path, workspace: &Workspace) -> (CauseCode, String, String) {
    match workspace.driver(root.to_str().unwrap(), &[]).discover() {
        Err(DriverError::Broken(cause)) => (cause.code, cause.message, cause.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_build_shows_the_compiler_s_message() {
    let manifest = "[package]\nname = \"gamma\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let workspace =
        Workspace::new(&[("Cargo.toml", manifest), ("src/lib.rs", "pub fn f() -> u8 { \"no\" }\n")]);
    let (code, message, detail) = broken(Path::new(""), &workspace);
    assert_eq!(
        (code, message.as_str()),
        (CauseCode::SetupFailed, "the build failed: error[E0308]: mismatched types")
    );
    assert!(detail.contains("src/lib.rs:1:20") && detail.contains("expected `u8`"), "{detail}");
}

#[test]
fn a_folder_without_a_manifest_and_a_missing_cargo_say_so() {
    let workspace = Workspace::new(&[("README", "")]);
    let (code, message, detail) = broken(Path::new(""), &workspace);
    assert_eq!(
        (code, message.as_str()),
        (CauseCode::SetupFailed, "cargo cannot read the project's manifest")
    );
    assert!(detail.contains("could not find `Cargo.toml`"), "{detail}");
    let suite = SuiteSpec::new("cargo", Framework::Cargo);
    let (mut ctx, _log) = context(workspace.root.path(), workspace.scratch.path(), suite);
    ctx.env.insert("CARGO".to_owned(), "no-such-cargo".to_owned());
    match CargoDriver::new(ctx).discover() {
        Err(DriverError::Broken(cause)) => {
            assert_eq!(cause.code, CauseCode::FrameworkMissing);
            assert!(cause.message.contains("`no-such-cargo`"));
        }
        other => panic!("{other:?}"),
    }
}
