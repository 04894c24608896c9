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
