//! What a message is about, already cut to what a message can hold. Names and messages in it are hostile.

use super::{Event, is_red};
use crate::domain::id::{EventId, ProjectId, RunId};
use crate::domain::outcome::{Counts, Outcome};
use crate::domain::render::{duration_text, number_text, one_line};
use crate::domain::report::CaseRecord;
use crate::domain::time::Timestamp;
use crate::domain::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Cases of one kind in a story. GitHub takes 50 annotations in one request.
pub const CASES_LIMIT: usize = 50;
/// Cases of one kind shown where people read along.
pub(super) const SHOWN: usize = 10;
const JOBS_LIMIT: usize = 100;
const NAME_CHARS: usize = 160;
const MESSAGE_CHARS: usize = 300;
const SHORT_COMMIT: usize = 10;

/// A case in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseLine {
    /// Job.
    pub job: String,
    /// Case.
    pub case: String,
    /// Source file, if known.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// What it came to.
    pub outcome: Outcome,
    /// Why, in one line.
    pub message: String,
}

impl CaseLine {
    /// The line of a case.
    #[must_use]
    pub fn of(job: &str, record: &CaseRecord) -> Option<Self> {
        let last = record.last()?;
        let told = record.attempts.iter().rev().find_map(|attempt| attempt.failure.as_ref());
        Some(Self {
            job: one_line(job, NAME_CHARS),
            case: one_line(&last.case.0, NAME_CHARS),
            file: last.file.as_deref().map(|file| one_line(file, NAME_CHARS)),
            line: last.line,
            outcome: last.outcome,
            message: told.map(|failure| one_line(&failure.message, MESSAGE_CHARS)).unwrap_or_default(),
        })
    }
}

/// A job in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// Name.
    pub name: String,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, unless passed.
    pub cause: Option<String>,
    /// Cases by outcome.
    pub counts: Counts,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// The project.
    pub project: ProjectId,
    /// What people call it.
    pub title: String,
    /// The run; `None` = a test message.
    pub run: Option<RunId>,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, unless passed.
    pub cause: Option<String>,
    /// Commit, if known.
    pub commit: Option<String>,
    /// Branch, if known.
    pub branch: Option<String>,
    /// Pull request.
    pub pull_request: Option<u64>,
    /// Cases by outcome.
    pub counts: Counts,
    /// When the run was asked for.
    pub queued_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Its jobs.
    pub jobs: Vec<JobLine>,
    /// Cases that failed, the first ones.
    pub failures: Vec<CaseLine>,
    /// Cases that are flaky and were not known to be, the first ones.
    pub newly_flaky: Vec<CaseLine>,
    /// How many those are altogether.
    pub newly_flaky_count: u64,
}

impl Story {
    /// A story about nothing, to try a channel.
    #[must_use]
    pub fn test(project: ProjectId, title: String, now: Timestamp) -> Self {
        Self {
            project,
            title,
            run: None,
            verdict: Verdict::Passed,
            cause: None,
            commit: None,
            branch: None,
            pull_request: None,
            counts: Counts::default(),
            queued_at: now,
            finished_at: now,
            jobs: Vec::new(),
            failures: Vec::new(),
            newly_flaky: Vec::new(),
            newly_flaky_count: 0,
        }
    }

    /// The story with every text and list cut to what a stored message holds.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        let cut = |text: &mut Option<String>| {
            *text = text.as_deref().map(|text| one_line(text, MESSAGE_CHARS));
        };
        cut(&mut self.cause);
        cut(&mut self.branch);
        self.title = one_line(&self.title, NAME_CHARS);
        self.jobs.truncate(JOBS_LIMIT);
        for job in &mut self.jobs {
            job.name = one_line(&job.name, NAME_CHARS);
            cut(&mut job.cause);
        }
        self.failures.truncate(CASES_LIMIT);
        self.newly_flaky.truncate(CASES_LIMIT);
        self
    }
}

/// A story as it is told to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Id of the message.
    pub id: EventId,
    /// When it is sent.
    pub at: Timestamp,
    /// What happened.
    pub events: BTreeSet<Event>,
    /// What it is about.
    pub story: Story,
    /// Where there is more to see.
    pub link: Option<String>,
}

impl Told {
    /// What happened, in one line of plain text.
    #[must_use]
    pub fn headline(&self) -> String {
        let story = &self.story;
        let (title, place) = (&story.title, self.place());
        let has = |event| self.events.contains(&event);
        let text = if has(Event::Test) {
            format!("{title}: a test message of Fleetest")
        } else if has(Event::Recovered) {
            format!("{title} is green again{place}")
        } else if has(Event::FirstFailure) {
            format!("{title} began to fail{place}: {}", verdict_text(story.verdict))
        } else if is_red(story.verdict) || !has(Event::NewlyFlaky) {
            format!("{title} {}{place}", verdict_text(story.verdict))
        } else {
            let count = story.newly_flaky_count;
            let noun = if count == 1 { "case is" } else { "cases are" };
            format!("{title}: {} {noun} newly flaky{place}", number_text(count))
        };
        one_line(&text, 2 * NAME_CHARS)
    }

    fn place(&self) -> String {
        match (&self.story.branch, self.story.pull_request) {
            (Some(branch), Some(number)) => format!(" on {branch} (pull request {number})"),
            (Some(branch), None) => format!(" on {branch}"),
            (None, Some(number)) => format!(" on pull request {number}"),
            (None, None) => String::new(),
        }
    }

    /// What the run came to, in one line of plain text; empty for a test message.
    #[must_use]
    pub fn facts(&self) -> String {
        let story = &self.story;
        if story.run.is_none() {
            return String::new();
        }
        let took_us = story.finished_at.since_ms(story.queued_at).saturating_mul(1_000);
        let commit = story.commit.as_deref().map(|commit| one_line(commit, SHORT_COMMIT + 1));
        let commit = commit.map(|commit| commit.trim_end_matches('…').to_owned());
        let parts = [Some(counts_text(&story.counts)), Some(duration_text(took_us)), commit];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// The failed cases that are shown, and how many more there are.
    pub(super) fn failures(&self) -> (&[CaseLine], u64) {
        shown(&self.story.failures, self.story.counts.failures())
    }

    /// The newly flaky cases that are shown, and how many more there are.
    pub(super) fn newly_flaky(&self) -> (&[CaseLine], u64) {
        shown(&self.story.newly_flaky, self.story.newly_flaky_count)
    }

    /// Why the run was not judged by its tests.
    pub(super) fn cause(&self) -> Option<&str> {
        self.story.cause.as_deref()
    }
}

fn shown(lines: &[CaseLine], all: u64) -> (&[CaseLine], u64) {
    let shown = lines.get(..SHOWN).unwrap_or(lines);
    (shown, all.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX)))
}

/// A verdict as the end of a sentence.
pub(super) fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::TimedOut => "took too long",
        Verdict::Errored => "could not be judged",
        Verdict::Cancelled => "was cancelled",
    }
}

/// Counts as people read them: what is zero is left out.
pub(super) fn counts_text(counts: &Counts) -> String {
    let mut parts: Vec<String> = Outcome::ALL
        .into_iter()
        .filter(|outcome| counts.of(*outcome) > 0)
        .map(|outcome| format!("{} {}", number_text(counts.of(outcome)), outcome.as_str().replace('_', " ")))
        .collect();
    if counts.flaky > 0 {
        parts.push(format!("{} flaky", number_text(counts.flaky)));
    }
    if counts.outstanding > 0 {
        parts.push(format!("{} not run", number_text(counts.outstanding)));
    }
    if parts.is_empty() { "no tests".to_owned() } else { parts.join(", ") }
}
