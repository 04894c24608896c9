//! The built command from outside: exit codes, streams and colours of everything that ends before a test runs.

use std::process::{Command, Output};

#[expect(clippy::unwrap_used, reason = "a test that cannot start its program has failed")]
fn fleetest(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetest"));
    command.args(args).current_dir(scratch.path());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_is_data_and_no_fault() {
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = fleetest(args, &[]);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn misuse_ends_in_code_2_and_leaves_stdout_alone() {
    let misuses: [&[&str]; 6] = [
        &["run", "no-such-directory"],
        &["run", "--slots=none"],
        &["run", "ext::sh -c true"],
        &["run", ".", "--ref=main"],
        &["run", "--junit=."],
        &["walk"],
    ];
    for args in misuses {
        let output = fleetest(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(stderr(&output).starts_with("error: "), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn colours_follow_the_flag_and_the_environment() {
    let coloured = |flags: &[&str], environment| {
        let args = [&["run", "no-such-directory"], flags].concat();
        stderr(&fleetest(&args, environment)).contains('\x1b')
    };
    assert!(!coloured(&[], &[]), "a pipe is no terminal");
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(coloured(&["--color=always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color=never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn a_remote_command_without_a_server_says_where_it_looked_and_keeps_the_key() {
    // Port 9 of loopback is nobody's.
    let server =
        [("FLEETEST_URL", "http://127.0.0.1:9"), ("FLEETEST_TOKEN", "fl_secret"), ("FLEETEST_PROJECT", "x")];
    let output = fleetest(&["doctor", "--json"], &server);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(stdout.contains("\"subject\": \"disk\"") && stdout.contains("http://127.0.0.1:9"), "{stdout}");
    assert!(!stdout.contains("fl_secret") && !stderr(&output).contains("fl_secret"));
    let misuses: [&[&str]; 5] = [
        &["logs"],
        &["runs", "--status=excellent"],
        &["logs", "run_1", "--follow", "--json"],
        &["rerun", "run_1", "--failed", "--all"],
        &["run", "--detach"],
    ];
    for args in misuses {
        assert_eq!(fleetest(args, &server).status.code(), Some(2), "{args:?}");
    }
    let output = fleetest(&["runs"], &[("FLEETEST_URL", "ftp://x"), ("FLEETEST_PROJECT", "x")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && stderr(&output).starts_with("error: the server's address"));
}

#[test]
fn completions_are_data() {
    for shell in ["bash", "zsh", "fish"] {
        let output = fleetest(&["completions", shell], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.len() > 1000 && output.stderr.is_empty(), "{shell}");
    }
}
