//! One case under construction, and the parts that its elements become.

use super::super::{ReportCase, append_capped, first_line};
use crate::domain::case::{Failure, TEXT_LIMIT_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::sanitise::clean_owned;

/// Most earlier attempts that are kept of one case.
const EARLIER_LIMIT: usize = 16;

#[derive(Debug)]
pub(super) struct Case {
    pub(super) built: ReportCase,
    pub(super) declared: Option<Outcome>,
    pub(super) skipped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Failure,
    Error,
    Skipped,
    Earlier,
    StackTrace,
    Output,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) tag: String,
    pub(super) message: Option<String>,
    pub(super) text: String,
}

impl Case {
    pub(super) fn take(&mut self, part: Part) {
        let mut text = part.text;
        text.truncate(text.trim_end().len());
        let text = clean_owned(text);
        let message = part.message.map(clean_owned);
        match part.kind {
            Kind::Skipped => {
                self.skipped = true;
                self.built.reason =
                    message.or_else(|| Some(first_line(&text)).filter(|line| !line.is_empty()));
            }
            Kind::Output => {
                if !self.built.output.is_empty() && !text.is_empty() {
                    append_capped(&mut self.built.output, "\n", TEXT_LIMIT_BYTES);
                }
                append_capped(&mut self.built.output, &text, TEXT_LIMIT_BYTES);
            }
            Kind::Earlier if self.built.earlier.len() < EARLIER_LIMIT => {
                self.built.earlier.push(failure(part.tag, message, text));
            }
            Kind::Failure | Kind::Error => {
                let outcome = if part.kind == Kind::Error { Outcome::Errored } else { Outcome::Failed };
                self.fail(outcome, failure(part.tag, message, text));
            }
            Kind::Earlier | Kind::StackTrace => {}
        }
    }

    /// The first failure names the case; further ones are added to its detail.
    fn fail(&mut self, outcome: Outcome, failure: Failure) {
        match &mut self.built.failure {
            None => {
                self.built.outcome = outcome;
                self.built.failure = Some(failure);
            }
            Some(first) => {
                let more = format!("\n\n{}: {}\n{}", failure.kind, failure.message, failure.detail);
                append_capped(&mut first.detail, &more, TEXT_LIMIT_BYTES);
            }
        }
    }

    pub(super) fn finish(mut self) -> ReportCase {
        let unexplained = || Failure {
            kind: "status".to_owned(),
            message: "the report says so without a reason".to_owned(),
            detail: String::new(),
        };
        if self.built.failure.is_none() {
            match self.declared {
                Some(outcome) if outcome.is_failure() => self.fail(outcome, unexplained()),
                Some(Outcome::Skipped) => {
                    self.skipped = true;
                    self.built.reason.get_or_insert_with(|| "not run".to_owned());
                }
                _ => {}
            }
        }
        if self.built.failure.is_some() {
            self.built.reason = None;
        } else if self.skipped {
            self.built.outcome = Outcome::Skipped;
        }
        self.built
    }
}

fn failure(kind: String, message: Option<String>, detail: String) -> Failure {
    let message = message.unwrap_or_else(|| match first_line(&detail) {
        line if line.is_empty() => "no message".to_owned(),
        line => line,
    });
    Failure { kind, message, detail }
}

/// What a `status` or `result` attribute says, where it is more than "ran".
pub(super) fn declared(word: &str) -> Option<Outcome> {
    match word.trim().to_ascii_lowercase().as_str() {
        "notrun" | "not_run" | "suppressed" | "skipped" | "disabled" | "ignored" | "pending" => {
            Some(Outcome::Skipped)
        }
        "failed" | "fail" | "failure" => Some(Outcome::Failed),
        "error" | "errored" | "broken" => Some(Outcome::Errored),
        _ => None,
    }
}
