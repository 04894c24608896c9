//! Who is told what about a run that is over: rules, what they ask for, and what they are told.
//!
//! A rule is told at most once of a run: the id of the message is derived from the two, so deciding again makes no
//! second message. What is told never depends on whether telling works, and never changes a verdict.

pub mod delivery;
pub mod github;
mod mail;
pub mod parcel;
mod rule;
mod signed;
mod slack;
pub mod story;
mod teams;

pub use rule::{Channel, GithubPlace, GithubReport, RULES_LIMIT, Rule, Wrong};
pub use signed::signature;

use super::id::RuleId;
use super::verdict::Verdict;
use parcel::{Parcel, Unsendable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use story::Told;

/// What a rule wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Every run that is over.
    Finished,
    /// Every run that failed, could not be judged or took too long.
    Failure,
    /// The first such run of a branch, and the one that passes again.
    FirstFailureAndRecovery,
    /// A case is flaky that was not known to be.
    NewFlaky,
}

/// What happened, as a message tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run is over.
    Finished,
    /// It did not pass.
    Failed,
    /// It did not pass, and the run of its branch before did.
    FirstFailure,
    /// It passed, and the run of its branch before did not.
    Recovered,
    /// Cases are flaky that were not known to be.
    NewlyFlaky,
    /// Nothing: someone tries the channel.
    Test,
}

impl Event {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::FirstFailure => "first_failure",
            Self::Recovered => "recovered",
            Self::NewlyFlaky => "newly_flaky",
            Self::Test => "test",
        }
    }
}

/// A run that is over, as far as rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its branch, if known.
    pub branch: Option<String>,
    /// Whether only a part of the tests was asked for: that says nothing about the branch.
    pub partial: bool,
    /// Verdict of the whole, uncancelled run of the branch before it.
    pub previous: Option<Verdict>,
    /// Whether a case is flaky that was not known to be.
    pub newly_flaky: bool,
}

/// What one rule is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The rule.
    pub rule: RuleId,
    /// Of what; never empty.
    pub events: BTreeSet<Event>,
}

/// Whether a verdict is bad news. Who cancels knows already.
#[must_use]
pub fn is_red(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Failed | Verdict::Errored | Verdict::TimedOut => true,
        Verdict::Passed | Verdict::Cancelled => false,
    }
}

/// What each rule is to be told; those with nothing to hear are left out.
#[must_use]
pub fn decide(rules: &[Rule], ended: &Ended) -> Vec<Telling> {
    let heard = |rule: &Rule| Telling { rule: rule.id, events: events(rule, ended) };
    let listening = rules.iter().filter(|rule| rule.listens_to(ended.branch.as_deref()));
    listening.map(heard).filter(|telling| !telling.events.is_empty()).collect()
}

fn events(rule: &Rule, ended: &Ended) -> BTreeSet<Event> {
    // A check that is required before merging must not turn green because a part of the tests passed.
    if ended.partial && matches!(rule.channel, Channel::Github(_)) {
        return BTreeSet::new();
    }
    rule.on.iter().filter_map(|occasion| event(*occasion, ended)).collect()
}

fn event(occasion: Occasion, ended: &Ended) -> Option<Event> {
    let (red, was_red) = (is_red(ended.verdict), ended.previous.is_some_and(is_red));
    match occasion {
        Occasion::Finished => Some(Event::Finished),
        Occasion::Failure => red.then_some(Event::Failed),
        Occasion::FirstFailureAndRecovery if ended.partial => None,
        Occasion::FirstFailureAndRecovery if red => (!was_red).then_some(Event::FirstFailure),
        Occasion::FirstFailureAndRecovery => {
            (ended.verdict == Verdict::Passed && was_red).then_some(Event::Recovered)
        }
        Occasion::NewFlaky => ended.newly_flaky.then_some(Event::NewlyFlaky),
    }
}

/// What a channel is sent.
///
/// # Errors
/// If this can never be told there, and why.
pub fn render(channel: &Channel, told: &Told) -> Result<Parcel, Unsendable> {
    match channel {
        Channel::Slack { url } => Ok(slack::parcel(url, told)),
        Channel::Teams { url } => Ok(teams::parcel(url, told)),
        Channel::Email { to } => Ok(mail::parcel(to, told)),
        Channel::Webhook { url, secret } => Ok(signed::parcel(url, secret, told)),
        Channel::Github(place) => github::parcel(place, told),
    }
}

#[cfg(test)]
mod tests;
