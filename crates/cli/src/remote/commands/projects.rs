//! `projects`.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use crate::remote::args::{ChangedProjectArgs, NewProjectArgs, ProjectsCommand, SettingsArgs};
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{NewProjectBody, Page, ProjectChange, ProjectShown, SettingsShown};
use serde_json::Value;
use std::path::Path;
use ureq::http::Method;

impl Session<'_, '_> {
    pub(in crate::remote) fn projects(&mut self, command: &ProjectsCommand) -> Result<Exit, Problem> {
        match command {
            ProjectsCommand::List { .. } => {
                let document = self.gather(&Route::new(&["v1", "projects"]), LIST)?;
                self.note_if_empty(&document, "there is no project; `fleetest projects create ID` makes one");
                self.show_document(&document, |console| {
                    Ok(view::list::projects(&typed::<Page<ProjectShown>>(&document)?.items, console.width))
                })
            }
            ProjectsCommand::Create(args) => {
                let route = Route::new(&["v1", "projects"]);
                let document: Value = self.client.send(&Method::POST, &route, &new(args)?)?.read()?;
                self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
            }
            ProjectsCommand::Change(args) => self.change_project(args),
            ProjectsCommand::Show { id, .. } => {
                let project = self.project(id.as_deref())?;
                let document: Value = self.client.get(&Route::new(&["v1", "projects", &project]))?.read()?;
                self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
            }
        }
    }

    /// Settings are replaced as a whole, so they are read first; a change of somebody else in between is refused.
    fn change_project(&mut self, args: &ChangedProjectArgs) -> Result<Exit, Problem> {
        let project = self.project(args.id.as_deref())?;
        let route = Route::new(&["v1", "projects", &project]);
        let reply = self.client.get(&route)?;
        let known: ProjectShown = reply.read()?;
        let change = changes(args, known.settings)?;
        let document: Value = self.client.change(&route, reply.header("etag"), &change)?.read()?;
        self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
    }
}

fn new(args: &NewProjectArgs) -> Result<NewProjectBody, Problem> {
    Ok(NewProjectBody {
        id: args.id.clone(),
        title: args.title.clone(),
        repository: args.repository.clone(),
        default_branch: args.default_branch.clone(),
        config: args.config.as_deref().map(read).transpose()?,
        settings: with(SettingsShown::default(), &args.settings),
    })
}

fn changes(args: &ChangedProjectArgs, settings: SettingsShown) -> Result<ProjectChange, Problem> {
    let config = args.config.as_deref().map(read).transpose()?;
    let given = |value: Option<String>, removed: bool| (removed || value.is_some()).then_some(value);
    Ok(ProjectChange {
        title: args.title.clone(),
        repository: given(args.repository.clone(), args.no_repository),
        default_branch: args.default_branch.clone(),
        config: given(config, args.no_config),
        settings: Some(with(settings, &args.settings)),
    })
}

fn read(path: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| {
        Problem::usage(format!("`--config {}` cannot be read", path.display())).because(error)
    })
}

fn with(mut settings: SettingsShown, args: &SettingsArgs) -> SettingsShown {
    if let Some(number) = args.concurrency {
        settings.concurrency = Some(number).filter(|number| *number > 0);
    }
    settings.priority = args.priority.unwrap_or(settings.priority);
    settings.supersede = args.supersede.unwrap_or(settings.supersede);
    settings.keep_days = args.keep_days.unwrap_or(settings.keep_days);
    settings.keep_runs = args.keep_runs.unwrap_or(settings.keep_runs);
    settings
}

fn lines(project: &ProjectShown) -> Vec<Line> {
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
