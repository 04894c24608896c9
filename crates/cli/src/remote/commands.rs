//! The remote commands that are one question and its answer.

mod imports;
mod keys;
mod schedules;

use super::args::{
    CancelArgs, ListArgs, NewProjectArgs, ProjectsCommand, RerunArgs, RunArgument, RunsArgs, StatusWanted,
};
use super::client::route::Route;
use super::console::Console;
use super::view::{self, run::headline};
use super::watch::failed_cases;
use super::wire::{CaseOfProject, JobShown, Listed};
use super::{Session, typed};
use crate::args::Cli;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use clap::CommandFactory as _;
use http_api::api::wire::{CancelBody, NewProjectBody, ProjectShown, RunShown, SettingsShown};
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
            Ok(view::run::table(&typed::<Listed<RunShown>>(&document)?.items, (console.now)(), console.width))
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
        let jobs = typed::<Listed<JobShown>>(&jobs)?.items;
        let failed = failed_cases(self.client, &args.run, &run, view::run::FAILURES_SHOWN);
        let lines = view::run::page(&run, &jobs, &failed, (self.console.now)());
        self.console.answer(&lines);
        Ok(Exit::Passed)
    }

    pub(super) fn cancel(&mut self, args: &CancelArgs) -> Result<Exit, Problem> {
        let body = CancelBody { reason: args.reason.clone() };
        let route = Route::new(&["v1", "runs", &args.run, "cancel"]);
        let run: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
        self.show_document(&run, |console| Ok(vec![headline(&typed(&run)?, (console.now)())]))
    }

    pub(super) fn rerun(&mut self, args: &RerunArgs) -> Result<Exit, Problem> {
        let cases = if args.all { "all" } else { "failed" };
        let body = serde_json::json!({ "cases": cases });
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
            Ok(view::list::flaky(&typed::<Listed<CaseOfProject>>(&document)?.items, console.width))
        })
    }

    pub(super) fn slow(&mut self, args: &ListArgs) -> Result<Exit, Problem> {
        let document = self.notable(args, "slow")?;
        self.note_if_empty(&document, "no case was timed yet");
        self.show_document(&document, |console| {
            Ok(view::list::slow(&typed::<Listed<CaseOfProject>>(&document)?.items, console.width))
        })
    }

    fn notable(&mut self, args: &ListArgs, list: &str) -> Result<Value, Problem> {
        let project = self.project(args.of.project.as_deref())?;
        let limit = usize::try_from(args.limit).unwrap_or(LIST);
        self.gather(&Route::new(&["v1", "projects", &project, list]), limit)
    }

    pub(super) fn projects(&mut self, command: &ProjectsCommand) -> Result<Exit, Problem> {
        match command {
            ProjectsCommand::List { .. } => {
                let document = self.gather(&Route::new(&["v1", "projects"]), LIST)?;
                self.note_if_empty(&document, "there is no project; `fleetest projects create ID` makes one");
                self.show_document(&document, |console| {
                    Ok(view::list::projects(&typed::<Listed<ProjectShown>>(&document)?.items, console.width))
                })
            }
            ProjectsCommand::Create(args) => {
                let body = new_project(args)?;
                let document: Value =
                    self.client.send(&Method::POST, &Route::new(&["v1", "projects"]), &body)?.read()?;
                self.show_document(&document, |_| Ok(project_lines(&typed(&document)?)))
            }
            ProjectsCommand::Show { id, .. } => {
                let project = self.project(id.as_deref())?;
                let document: Value = self.client.get(&Route::new(&["v1", "projects", &project]))?.read()?;
                self.show_document(&document, |_| Ok(project_lines(&typed(&document)?)))
            }
        }
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

fn new_project(args: &NewProjectArgs) -> Result<NewProjectBody, Problem> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("`--config {}` cannot be read", path.display())).because(error)
        })
    };
    Ok(NewProjectBody {
        id: args.id.clone(),
        title: args.title.clone(),
        repository: args.repository.clone(),
        default_branch: args.default_branch.clone(),
        config: args.config.as_ref().map(read).transpose()?,
        settings: SettingsShown::default(),
    })
}

fn project_lines(project: &ProjectShown) -> Vec<Line> {
    let fact = |label: &str, value: &str| labelled(Tone::Faint, label, None).plain(clean(value));
    let settings = &project.settings;
    let limit = settings.concurrency.map_or_else(|| "any number".to_owned(), |n| n.to_string());
    let supersede = if settings.supersede { "; a new run of a branch cancels the older ones" } else { "" };
    vec![
        labelled(Tone::Plain, "project", None).with(Tone::Strong, clean(&project.id)),
        fact("title", &project.title),
        fact("source", project.repository.as_deref().unwrap_or("uploads only")),
        fact("branch", &project.default_branch),
        fact(
            "config",
            if project.config.is_some() { "its own, for commits without one" } else { "that of the commit" },
        ),
        fact("runs", &format!("{limit} at a time, priority {}{supersede}", settings.priority)),
        fact("kept", &format!("{} days, {} runs", settings.keep_days, settings.keep_runs)),
    ]
}

#[cfg(test)]
pub(crate) mod tests;
