//! The remote commands that are one question and its answer.

mod audit;
mod imports;
mod keys;
mod members;
mod notifications;
mod projects;
mod schedules;
mod webhooks;

use super::args::{CancelArgs, ListArgs, RerunArgs, RunArgument, RunsArgs, StatusWanted};
use super::client::Content;
use super::client::route::Route;
use super::console::Console;
use super::view::{self, run::headline};
use super::watch::failed_cases;
use super::{Session, typed};
use crate::args::Cli;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use clap::CommandFactory as _;
use http_api::api::wire::{AgainWord, CancelBody, JobShown, NotableShown, Page, RerunBody, RunShown};
use serde_json::Value;
use ureq::http::Method;

/// Most jobs of a run.
const JOBS: usize = 1_000;
/// Most projects and the like of a list.
const LIST: usize = 10_000;

/// Writes the script that a shell completes commands by.
pub(super) fn completions(shell: clap_complete::Shell, console: &mut Console<'_>) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fleetest", &mut script);
    console.bytes(&script);
    Exit::Passed
}

impl Session<'_, '_> {
    /// Shows a document as JSON, or as lines made of it.
    fn show_document(
        &mut self,
        document: &Value,
        lines: impl FnOnce(&Console<'_>) -> Result<Vec<Line>, Problem>,
    ) -> Result<Exit, Problem> {
        if self.console.json {
            self.console.document(document);
        } else {
            let lines = lines(self.console)?;
            self.console.answer(&lines);
        }
        Ok(Exit::Passed)
    }

    /// Says that a list is empty, where a table would say nothing.
    fn note_if_empty(&mut self, document: &Value, what: &str) {
        let is_empty = document.get("items").and_then(Value::as_array).is_some_and(Vec::is_empty);
        if is_empty && !self.console.json {
            self.console.note(what);
        }
    }

    /// Says that something is gone; the server answers nothing then, so neither does `--json`.
    fn tell_removed(&mut self, what: &str) {
        if self.console.json {
            self.console.document(&serde_json::json!({ "removed": what }));
        }
        self.console.chat(&[Line::new().plain(format!("`{}` is removed", clean(what)))]);
    }

    pub(super) fn runs(&mut self, args: &RunsArgs) -> Result<Exit, Problem> {
        let project = self.project(args.of.project.as_deref())?;
        let (status, verdict) = args.status.map_or((None, None), status_or_verdict);
        let route = Route::new(&["v1", "projects", &project, "runs"])
            .with("branch", args.branch.as_deref())
            .with("status", status)
            .with("verdict", verdict);
        let document = self.gather(&route, usize::try_from(args.limit).unwrap_or(LIST))?;
        self.note_if_empty(&document, &format!("`{project}` has no such runs"));
        self.show_document(&document, |console| {
            Ok(view::run::table(&typed::<Page<RunShown>>(&document)?.items, (console.now)(), console.width))
        })
    }

    pub(super) fn show(&mut self, args: &RunArgument) -> Result<Exit, Problem> {
        let run: Value = self.client.get(&Route::new(&["v1", "runs", &args.run]))?.read()?;
        if self.console.json {
            self.console.document(&run);
            return Ok(Exit::Passed);
        }
        let run: RunShown = typed(&run)?;
        let jobs = self.gather(&Route::new(&["v1", "runs", &args.run, "jobs"]), JOBS)?;
        let jobs = typed::<Page<JobShown>>(&jobs)?.items;
        let failed = failed_cases(self.client, &args.run, &run, view::run::FAILURES_SHOWN);
        let lines = view::run::page(&run, &jobs, &failed, (self.console.now)());
        self.console.answer(&lines);
        Ok(Exit::Passed)
    }

    pub(super) fn cancel(&mut self, args: &CancelArgs) -> Result<Exit, Problem> {
        let body = CancelBody { reason: args.reason.clone() };
        let route = Route::new(&["v1", "runs", &args.run, "cancel"]);
        let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
        let run: RunShown = typed(&document)?;
        match run.verdict.as_deref() {
            None => self.console.note("it is told to stop; `fleetest watch` sees its end"),
            Some("cancelled") => {}
            Some(_) => self.console.note("the run was over already"),
        }
        self.show_document(&document, |console| Ok(vec![headline(&run, (console.now)())]))
    }

    pub(super) fn approve(&mut self, args: &RunArgument) -> Result<Exit, Problem> {
        let before: RunShown = self.client.get(&Route::new(&["v1", "runs", &args.run]))?.read()?;
        if !before.parked {
            self.console.note("it does not wait for approval");
        }
        let route = Route::new(&["v1", "runs", &args.run, "approve"]);
        let document: Value = self.client.send_content(&Method::POST, &route, Content::Empty)?.read()?;
        let run: RunShown = typed(&document)?;
        self.announce(&document, &run.id);
        Ok(Exit::Passed)
    }

    pub(super) fn rerun(&mut self, args: &RerunArgs) -> Result<Exit, Problem> {
        let cases = if args.all { AgainWord::All } else { AgainWord::Failed };
        let body = RerunBody { cases, chosen: Vec::new() };
        if !args.all {
            let run: RunShown = self.client.get(&Route::new(&["v1", "runs", &args.run]))?.read()?;
            if run.verdict.as_deref() == Some("passed") {
                return Err(Problem::no_tests(format!("no case of `{}` failed", args.run))
                    .hint("`--all` runs all of them again"));
            }
        }
        let route = Route::new(&["v1", "runs", &args.run, "rerun"]);
        let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
        let run: RunShown = typed(&document)?;
        if args.watch {
            self.console.note(&format!("watching `{}`", run.id));
            return self.watch(&run.id, args.shown.json);
        }
        self.announce(&document, &run.id);
        Ok(Exit::Passed)
    }

    /// Prints the id of a run that was started, and how it is watched.
    pub(super) fn announce(&mut self, document: &Value, run: &str) {
        if self.console.json {
            self.console.document(document);
        } else {
            self.console.fact(&clean(run));
        }
        let command = format!("fleetest watch {}", clean(run));
        self.console.chat(&[Line::new().plain("watch it: ").with(Tone::Accent, command)]);
    }

    pub(super) fn flaky(&mut self, args: &ListArgs) -> Result<Exit, Problem> {
        let document = self.notable(args, "flaky")?;
        self.note_if_empty(&document, "no case is known to be flaky");
        self.show_document(&document, |console| {
            Ok(view::list::flaky(&typed::<Page<NotableShown>>(&document)?.items, console.width))
        })
    }

    pub(super) fn slow(&mut self, args: &ListArgs) -> Result<Exit, Problem> {
        let document = self.notable(args, "slow")?;
        self.note_if_empty(&document, "no case was timed yet");
        self.show_document(&document, |console| {
            Ok(view::list::slow(&typed::<Page<NotableShown>>(&document)?.items, console.width))
        })
    }

    fn notable(&mut self, args: &ListArgs, list: &str) -> Result<Value, Problem> {
        let project = self.project(args.of.project.as_deref())?;
        let limit = usize::try_from(args.limit).unwrap_or(LIST);
        self.gather(&Route::new(&["v1", "projects", &project, list]), limit)
    }
}

fn status_or_verdict(wanted: StatusWanted) -> (Option<&'static str>, Option<&'static str>) {
    match wanted {
        StatusWanted::Queued => (Some("queued"), None),
        StatusWanted::Running => (Some("running"), None),
        StatusWanted::Finished => (Some("finished"), None),
        StatusWanted::Passed => (None, Some("passed")),
        StatusWanted::Failed => (None, Some("failed")),
        StatusWanted::Errored => (None, Some("errored")),
        StatusWanted::Cancelled => (None, Some("cancelled")),
        StatusWanted::TimedOut => (None, Some("timed_out")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
