//! Judgement on a job or run, with its cause.
//!
//! Every verdict but `passed` carries a machine code and a human sentence. The exit codes of the command
//! line are part of the published interface and follow from the verdict and the code alone.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Judgement on a job or run. The order is that of gravity: the verdict of a run is the greatest of its jobs'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every planned case has exactly one accepted final outcome, at least one ran, none failed.
    Passed,
    /// Proven complete, or stopped by fail-fast, and at least one case failed.
    Failed,
    /// It ran past its deadline.
    TimedOut,
    /// The run could not be judged: set-up, infrastructure, missing or contradictory results, no tests.
    Errored,
    /// Someone cancelled it.
    Cancelled,
}

impl Verdict {
    /// The word used in JSON and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Errored => "errored",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Machine codes of causes. `TestsFailed` goes with `failed`; the others with `errored`, `timed_out` or
/// `cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseCode {
    /// At least one case failed.
    TestsFailed,
    /// Discovery found no tests, or everything was deselected.
    NoTests,
    /// A set-up command, a build or the framework's own start failed.
    SetupFailed,
    /// The framework or an interpreter is missing.
    FrameworkMissing,
    /// Discovery failed.
    DiscoveryFailed,
    /// Every test has its result, but what they shared could not be taken down.
    TeardownFailed,
    /// The source could not be fetched.
    SourceFailed,
    /// A report file is missing, broken or contradicts the exit code.
    ReportInvalid,
    /// Results do not add up to the manifest.
    Incomplete,
    /// Runners could not be started, or too many were lost.
    RunnerLost,
    /// A job that this one needs did not pass.
    NeedNotMet,
    /// The job's or run's deadline passed.
    DeadlinePassed,
    /// Cancelled by a person.
    CancelledByUser,
    /// A newer run of the same branch took its place.
    Superseded,
    /// The server that owned the run went away and the run was closed afterwards.
    Abandoned,
    /// A fault of Fleetest itself.
    Internal,
}

/// Longest message of a stored cause, in bytes.
const MESSAGE_BYTES: usize = 2 * 1024;
/// Longest detail of a stored cause, in bytes.
const DETAIL_BYTES: usize = 8 * 1024;

/// Why a verdict is not `passed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Machine code.
    pub code: CauseCode,
    /// Human sentence: what, and what to do.
    pub message: String,
    /// Output of the tool that failed, if there is any, cut to a few KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Cause {
    /// A cause without tool output.
    #[must_use]
    pub fn new(code: CauseCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: String::new() }
    }

    /// The cause cut to what a small document has room for: it comes from outside, and a cause that cannot be saved
    /// would be lost whole.
    #[must_use]
    pub fn fitted(self) -> Self {
        let message = fit(&self.message, MESSAGE_BYTES);
        Self { code: self.code, message, detail: fit(&self.detail, DETAIL_BYTES) }
    }
}

/// The text cut until JSON makes no more than twice `limit` of it: a control character becomes six bytes there.
fn fit(text: &str, limit: usize) -> String {
    let written = |byte: u8| if byte < b' ' && byte != b'\n' { 6 } else { 1 };
    let mut kept = limit;
    loop {
        let cut = excerpt(text, kept);
        if kept == 0 || cut.bytes().map(written).sum::<usize>() <= 2 * limit {
            return cut;
        }
        kept /= 2;
    }
}

/// A text of at most about `limit` bytes: of a longer one the beginning and the end, where tools say what matters.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(limit / 2);
    let tail = text.ceil_char_boundary(text.len() - limit / 2);
    let cut = tail - head;
    let (head, tail) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    format!("{head}\n[… {cut} bytes left out …]\n{tail}")
}

/// A verdict and its cause; the cause is absent if and only if the verdict is `passed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, unless passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Judgement {
    /// Green.
    #[must_use]
    pub fn passed() -> Self {
        Self { verdict: Verdict::Passed, cause: None }
    }

    /// The judgement with its cause cut to what is stored.
    #[must_use]
    pub fn fitted(self) -> Self {
        Self { verdict: self.verdict, cause: self.cause.map(Cause::fitted) }
    }

    /// Anything but green, with its cause; the verdict follows from the code.
    #[must_use]
    pub fn because(cause: Cause) -> Self {
        let verdict = match cause.code {
            CauseCode::TestsFailed => Verdict::Failed,
            CauseCode::DeadlinePassed => Verdict::TimedOut,
            CauseCode::CancelledByUser | CauseCode::Superseded => Verdict::Cancelled,
            CauseCode::NoTests
            | CauseCode::SetupFailed
            | CauseCode::FrameworkMissing
            | CauseCode::DiscoveryFailed
            | CauseCode::TeardownFailed
            | CauseCode::SourceFailed
            | CauseCode::ReportInvalid
            | CauseCode::Incomplete
            | CauseCode::RunnerLost
            | CauseCode::NeedNotMet
            | CauseCode::Abandoned
            | CauseCode::Internal => Verdict::Errored,
        };
        Self { verdict, cause: Some(cause) }
    }

    /// The published exit code: 0 passed, 1 tests failed, 3 could not run, 4 no tests, 5 cancelled, 6 timed out.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Passed => 0,
            Verdict::Failed => 1,
            Verdict::Cancelled => 5,
            Verdict::TimedOut => 6,
            Verdict::Errored => match &self.cause {
                Some(cause) if cause.code == CauseCode::NoTests => 4,
                _ => 3,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_from_outside_always_fits() {
        let long = "é\u{1}".repeat(1_000_000);
        let cause = Cause { detail: long.clone(), ..Cause::new(CauseCode::SetupFailed, long) }.fitted();
        assert!(serde_json::to_string(&cause).unwrap().len() < 24 * 1024);
        let short = Cause::new(CauseCode::SetupFailed, "short");
        assert_eq!(short.clone().fitted(), short);
        assert_eq!(excerpt("begin middle end", 8), "begi\n[… 8 bytes left out …]\n end");
    }

    #[test]
    fn exit_codes_are_the_published_ones() {
        let code = |c| Judgement::because(Cause::new(c, "x")).exit_code();
        assert_eq!(Judgement::passed().exit_code(), 0);
        assert_eq!(code(CauseCode::TestsFailed), 1);
        assert_eq!(code(CauseCode::SetupFailed), 3);
        assert_eq!(code(CauseCode::NoTests), 4);
        assert_eq!(code(CauseCode::CancelledByUser), 5);
        assert_eq!(code(CauseCode::DeadlinePassed), 6);
    }
}
