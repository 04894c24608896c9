//! What is wrong before any test runs: one message that says what, why and what to do.

use crate::stage::Stage;
use std::path::Path;
use std::process::Command;

const ONE_PASSES: (&str, &str) = ("test_one.py", "def test_one():\n    pass\n");

/// A project whose `fleetest.toml` is this.
fn configured(text: &str) -> Stage {
    Stage::with(&[ONE_PASSES, ("fleetest.toml", text)])
}

#[test]
fn a_broken_configuration_is_met_with_its_line() {
    let broken = configured("[suite.unit]\nframework = \"pytest\"\nretries = = 2\n").run(&["."]);
    broken.refused(2, &["fleetest.toml:3:", "extra `=`"]);
    let unknown = configured("[suite.unit]\nframework = \"pytest\"\nretrys = 2\n").run(&["."]);
    unknown.refused(2, &["fleetest.toml:3:", "`retrys`", "`retries`"]);
    let framework = configured("[suite.unit]\nframework = \"pytset\"\n").run(&["."]);
    framework.refused(2, &["fleetest.toml:2:", "`pytset`", "did you mean `pytest`?"]);
    let needs = configured(
        "[suite.unit]\nframework = \"pytest\"\nneeds = [\"lnit\"]\n[suite.lint]\ncommand = \"true\"\n",
    );
    needs.run(&["."]).refused(2, &["`lnit`", "`lint`"]);
    let circle =
        "[suite.a]\ncommand = \"true\"\nneeds = [\"b\"]\n[suite.b]\ncommand = \"true\"\nneeds = [\"a\"]\n";
    configured(circle).run(&["."]).refused(2, &["needs"]);
    let several = configured("[suite.unit]\nretrys = 2\npath = [\"x\"]\ncommand = \"true\"\n").run(&["."]);
    several.refused(2, &["`retrys`", "`path`"]);
}

#[test]
fn what_is_no_project_is_refused() {
    let stage = Stage::with(&[ONE_PASSES]);
    stage.run(&["nowhere"]).refused(2, &["there is no directory `nowhere`", "hint: "]);
    stage.run(&["test_one.py"]).refused(2, &["`test_one.py` is a file", "hint: "]);
    std::fs::create_dir(stage.project.join("empty")).unwrap();
    stage.run(&["empty"]).refused(4, &["no tests recognised", "hint: "]);
}

#[test]
fn dangerous_addresses_are_refused_and_nothing_is_executed() {
    let stage = Stage::with(&[ONE_PASSES]);
    let proof = stage.beside("proof");
    let ext = format!("ext::sh -c touch% {}", proof.display());
    stage.run(&[&ext]).refused(2, &["`ext::` addresses are refused"]);
    stage.run(&["--", "-oProxyCommand=x"]).refused(2, &["neither a path nor a URL"]);
    stage.run(&["--", "--upload-pack=touch x"]).refused(2, &["neither a path nor a URL"]);
    stage.run(&["file:///etc"]).refused(2, &["file: URLs are not cloned", "hint: "]);
    stage.run(&["http://127.0.0.1:1/x"]).refused(2, &["without encryption"]);
    assert!(!proof.exists());
}

#[test]
fn an_unreachable_repository_is_named_without_its_password() {
    let stage = Stage::new();
    let ended = stage.run(&["https://me:hunter2@127.0.0.1:1/x"]);
    ended.refused(3, &["127.0.0.1:1/x"]);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn a_framework_that_is_missing_is_named_with_its_cure() {
    let stage = Stage::with(&[ONE_PASSES]);
    let bare = stage.beside("bare");
    let made = Command::new(crate::stage::python())
        .args(["-m", "venv", "--without-pip"])
        .arg(&bare)
        .status()
        .unwrap();
    assert!(made.success());
    let mut command = stage.command(&["run", "."]);
    command.env("FLEETEST_PYTHON", bare.join("bin/python"));
    let ended = stage.start_command(command).end();
    let account = ended.judged(3);
    assert_eq!(account.code(), "framework_missing");
    ended.says(&["pytest is not installed", "-m pip install pytest"]);
    let mut command = stage.command(&["run", "."]);
    command.env("FLEETEST_PYTHON", Path::new("/nowhere/python"));
    let ended = stage.start_command(command).end();
    ended.judged(3);
    ended.says(&["/nowhere/python"]);
}

#[test]
fn a_configuration_of_the_framework_that_is_broken_is_no_test_failure() {
    let conftest = Stage::with(&[ONE_PASSES, ("conftest.py", "import a_module_that_nobody_has\n")]);
    let ended = conftest.run(&["."]);
    assert_eq!(ended.judged(3).code(), "setup_failed");
    ended.says(&["a_module_that_nobody_has"]);
    let option = Stage::with(&[ONE_PASSES, ("pytest.ini", "[pytest]\naddopts = --no-such-option\n")]);
    let ended = option.run(&["."]);
    assert_eq!(ended.judged(3).code(), "setup_failed");
    ended.says(&["--no-such-option"]);
}

#[test]
fn a_crate_that_does_not_build_says_what_the_compiler_says() {
    let manifest = "[package]\nname = \"broken\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    let stage = Stage::with(&[("Cargo.toml", manifest), ("src/lib.rs", "pub fn f() -> u32 { \"no\" }\n")]);
    let ended = stage.run(&["."]);
    let account = ended.judged(3);
    assert_eq!((account.run.verdict.as_str(), account.run.counts.planned), ("errored", 0));
    ended.says(&["mismatched types", "src/lib.rs:1"]);
}

#[test]
fn an_import_error_is_red_and_the_other_files_run() {
    let stage = Stage::with(&[ONE_PASSES, ("test_two.py", "import a_module_that_nobody_has\n")]);
    let ended = stage.run(&["."]);
    let account = ended.judged(1);
    assert_eq!(account.case("test_two.py").outcome, "errored");
    assert_eq!(account.case("test_one.py::test_one").outcome, "passed");
    ended.says(&["a_module_that_nobody_has"]);
    let syntax = Stage::with(&[("test_bad.py", "def test_(:\n")]).run(&["."]);
    assert_eq!(syntax.judged(1).case("test_bad.py").outcome, "errored");
}
