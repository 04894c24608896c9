//! The published exit codes, and expected problems that end in one of them.
//!
//! The codes are an interface: scripts depend on them, so a code is never given a second meaning. Whatever is
//! not a [`Problem`] is a fault of Fleetest and says so.

use shared::domain::verdict::Judgement;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: every test passed.
    Passed,
    /// 1: at least one test failed.
    TestsFailed,
    /// 2: wrong arguments or configuration.
    Usage,
    /// 3: it could not be run to its end (set-up, infrastructure, incomplete results).
    CouldNotRun,
    /// 4: there were no tests.
    NoTests,
    /// 5: cancelled.
    Cancelled,
    /// 6: a deadline passed.
    TimedOut,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::TestsFailed,
        Self::Usage,
        Self::CouldNotRun,
        Self::NoTests,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// The published number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::TestsFailed => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::NoTests => 4,
            Self::Cancelled => 5,
            Self::TimedOut => 6,
        }
    }

    /// The end that a judged run stands for.
    #[must_use]
    pub fn of(judgement: &Judgement) -> Self {
        let code = judgement.exit_code();
        Self::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::CouldNotRun)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An expected problem: what is wrong, what to do about it, and the exit code it leads to.
#[derive(Debug)]
pub struct Problem {
    exit: Exit,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// Wrong arguments or configuration (exit code 2).
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), hint: None, source: None }
    }

    /// The run cannot be done here and now (exit code 3).
    #[must_use]
    pub fn could_not_run(what: impl Into<String>) -> Self {
        Self { exit: Exit::CouldNotRun, ..Self::usage(what) }
    }

    /// There is nothing to run (exit code 4).
    #[must_use]
    pub fn no_tests(what: impl Into<String>) -> Self {
        Self { exit: Exit::NoTests, ..Self::usage(what) }
    }

    /// Adds the next step for the reader.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds the error below.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The exit code it leads to.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The next step, if there is one to name.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// The text of an error for the terminal: what, the causes below it, and the hint, each on a line of its own.
#[must_use]
pub fn describe(error: &anyhow::Error) -> (Exit, Vec<String>) {
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    let mut lines: Vec<String> = Vec::new();
    for (depth, cause) in error.chain().enumerate() {
        lines.push(if depth == 0 { cause.to_string() } else { format!("  because: {cause}") });
    }
    let Some(problem) = problem else {
        lines.push("  this is a fault of fleetest itself; please report it with the lines above".to_owned());
        return (Exit::CouldNotRun, lines);
    };
    if let Some(hint) = problem.next_step() {
        lines.push(format!("  hint: {hint}"));
    }
    (problem.exit(), lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::verdict::{Cause, CauseCode};

    #[test]
    fn codes_are_the_published_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_judgement_has_one_end() {
        let end = |code| Exit::of(&Judgement::because(Cause::new(code, "x")));
        assert_eq!(Exit::of(&Judgement::passed()), Exit::Passed);
        assert_eq!(end(CauseCode::TestsFailed), Exit::TestsFailed);
        assert_eq!(end(CauseCode::Incomplete), Exit::CouldNotRun);
        assert_eq!(end(CauseCode::NoTests), Exit::NoTests);
        assert_eq!(end(CauseCode::CancelledByUser), Exit::Cancelled);
        assert_eq!(end(CauseCode::DeadlinePassed), Exit::TimedOut);
    }

    #[test]
    fn a_problem_says_what_why_and_what_to_do() {
        let problem = Problem::could_not_run("cannot write `x`")
            .because(std::io::Error::from(std::io::ErrorKind::StorageFull))
            .hint("free some space");
        let (exit, lines) = describe(&anyhow::Error::from(problem).context("the run did not start"));
        assert_eq!(exit, Exit::CouldNotRun);
        insta::assert_snapshot!(lines.join("\n"), @r"
        the run did not start
          because: cannot write `x`
          because: no storage space
          hint: free some space
        ");
    }

    #[test]
    fn anything_else_is_owned_as_a_fault() {
        let (exit, lines) = describe(&anyhow::anyhow!("lost the thread"));
        assert_eq!(exit, Exit::CouldNotRun);
        assert!(lines.last().unwrap().contains("fault of fleetest"));
    }
}
