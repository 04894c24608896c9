//! The `fleetest-runner` program: one session, configured by its environment and standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(runner::main())
}
