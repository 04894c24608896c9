//! `doctor`: what this machine and the connection to the server need, each looked at by itself.
//!
//! Every check answers in one line, with what to do if it is not well. Nothing is changed anywhere.

mod local;
mod server;

use super::args::DoctorArgs;
use super::console::Console;
use crate::config::Config;
use crate::exit::Exit;
use crate::line::{Line, Tone, clean};
use serde::Serialize;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, and may surprise.
    Warn,
    /// Does not work.
    Fail,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How well it is.
    pub health: Health,
    /// What is the case.
    pub state: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: &'static str, state: impl Into<String>) -> Self {
        Self { subject, health: Health::Ok, state: state.into(), advice: None }
    }

    pub(super) fn warn(subject: &'static str, state: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, health: Health::Warn, state: state.into(), advice: Some(advice.into()) }
    }

    pub(super) fn fail(subject: &'static str, state: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { health: Health::Fail, ..Self::warn(subject, state, advice) }
    }
}

/// Looks at everything, and ends with 3 if something does not work.
pub fn doctor(args: &DoctorArgs, config: &Config, console: &mut Console<'_>) -> Exit {
    let root = config.here.join(&args.path);
    let mut findings = local::look(&root.canonicalize().unwrap_or(root));
    findings.extend(server::look(config, (console.now)()));
    if console.json {
        console.document(&serde_json::json!({ "checks": findings }));
    } else {
        console.answer(&lines(&findings));
    }
    match findings.iter().map(|finding| finding.health).max() {
        Some(Health::Fail) => Exit::CouldNotRun,
        Some(Health::Ok | Health::Warn) | None => Exit::Passed,
    }
}

/// The findings as lines.
#[must_use]
pub fn lines(findings: &[Finding]) -> Vec<Line> {
    let mut lines = Vec::new();
    for finding in findings {
        let (tone, word) = match finding.health {
            Health::Ok => (Tone::Good, "ok"),
            Health::Warn => (Tone::Warn, "warn"),
            Health::Fail => (Tone::Bad, "fail"),
        };
        let line = Line::new().with(tone, format!("{word:>4}")).plain(" ");
        lines.push(line.with(Tone::Strong, format!("{:<10}", finding.subject)).plain(clean(&finding.state)));
        if let Some(advice) = &finding.advice {
            lines.push(Line::new().plain(" ".repeat(15)).with(Tone::Faint, clean(advice)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_with_what_to_do() {
        let findings = [
            Finding::ok("git", "2.45.0"),
            Finding::warn("disk", "900 MiB free in `/x`", "make room: a run may need some GiB"),
            Finding::fail(
                "server",
                "nobody answers at `http://127.0.0.1:8000`",
                "start one with `fleetest serve`",
            ),
        ];
        let text: Vec<String> = lines(&findings).iter().map(Line::text).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
