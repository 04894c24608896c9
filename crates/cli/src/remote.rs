//! The commands that talk to a server: what they ask for, and how the answers are shown.
//!
//! Nothing here decides anything about runs; the server does. Each command is a function from a [`Session`] to an
//! exit code; rendering is pure and lives in [`view`].

pub mod args;
pub mod client;
mod commands;
pub mod console;
pub mod doctor;
mod follow;
pub mod pack;
#[cfg(test)]
mod scripted;
pub mod settings;
mod submit;
pub mod table;
pub mod view;
pub mod watch;

pub use submit::run;

use crate::config::Config;
use crate::exit::{Exit, Problem};
use args::{
    ChangedProjectArgs, DeliveriesCommand, KeysCommand, MembersCommand, NewProjectArgs, ProjectsCommand,
    RemoteCommand, ScheduleArgument, SchedulesCommand, Shown, WebhooksCommand,
};
use client::Client;
use client::route::Route;
use console::Console;
use http_api::api::wire::Page;
use serde::de::DeserializeOwned;
use serde_json::Value;
use settings::ChosenProject;

/// What every command has at hand.
#[derive(Debug)]
pub struct Session<'a, 'c> {
    /// The server.
    pub client: &'a Client,
    /// The environment.
    pub config: &'a Config,
    /// The streams.
    pub console: &'a mut Console<'c>,
}

impl Session<'_, '_> {
    /// The project that the command is about; says which it is unless it was given as an argument.
    ///
    /// # Errors
    /// The name cannot be a project's.
    pub fn project(&mut self, argument: Option<&str>) -> Result<String, Problem> {
        let ChosenProject { id, note } = settings::project(argument, &self.config.remote, &self.config.here)?;
        if let Some(note) = note {
            self.console.note(&note);
        }
        Ok(id)
    }

    /// The items of a list, over as many pages as are needed, as the server's JSON.
    ///
    /// # Errors
    /// Not answered, or refused.
    pub fn gather(&self, route: &Route, limit: usize) -> Result<Value, Problem> {
        gather(self.client, route, limit)
    }
}

/// Most items of one page.
const PAGE: usize = 200;
/// Pages may be short or empty and have a next one; this many are asked for before giving up.
const PAGES: usize = 500;

fn gather(client: &Client, route: &Route, limit: usize) -> Result<Value, Problem> {
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let wanted = limit.saturating_sub(items.len()).min(PAGE);
        let part = route.clone().with("limit", Some(wanted)).with("cursor", cursor.as_deref());
        let page: Page<Value> = client.get(&part)?.read()?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || items.len() >= limit {
            break;
        }
    }
    items.truncate(limit);
    Ok(serde_json::json!({ "items": items, "next_cursor": cursor }))
}

/// A document as what it should be.
///
/// # Errors
/// It is something else.
fn typed<T: DeserializeOwned>(document: &Value) -> Result<T, Problem> {
    T::deserialize(document).map_err(|error| {
        Problem::could_not_run("the server's answer cannot be understood")
            .hint("`--json` prints it as it is; `fleetest doctor` compares versions")
            .because(error)
    })
}

/// Does what a remote command asks for.
///
/// # Errors
/// A [`Problem`] that says what failed, why, and what to do.
pub fn dispatch(command: &RemoteCommand, config: &Config) -> anyhow::Result<Exit> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut console = Console::of_process(&mut out, &mut err, shown(command), config);
    match command {
        RemoteCommand::Completions { shell } => return Ok(commands::completions(*shell, &mut console)),
        RemoteCommand::Doctor(args) => return Ok(doctor::doctor(args, config, &mut console)),
        RemoteCommand::Runs(_)
        | RemoteCommand::Show(_)
        | RemoteCommand::Watch(_)
        | RemoteCommand::Logs(_)
        | RemoteCommand::Cancel(_)
        | RemoteCommand::Rerun(_)
        | RemoteCommand::Approve(_)
        | RemoteCommand::Flaky(_)
        | RemoteCommand::Slow(_)
        | RemoteCommand::Import(_)
        | RemoteCommand::Keys(_)
        | RemoteCommand::Schedules(_)
        | RemoteCommand::Projects(_)
        | RemoteCommand::Members(_)
        | RemoteCommand::Notifications(_)
        | RemoteCommand::Deliveries(_)
        | RemoteCommand::Webhooks(_)
        | RemoteCommand::Audit(_) => {}
    }
    let client = Client::new(&config.remote)?;
    let mut session = Session { client: &client, config, console: &mut console };
    Ok(session.answer(command)?)
}

impl Session<'_, '_> {
    /// Does what a command asks of the server.
    ///
    /// # Errors
    /// A [`Problem`] that says what failed, why, and what to do.
    pub fn answer(&mut self, command: &RemoteCommand) -> Result<Exit, Problem> {
        match command {
            RemoteCommand::Runs(args) => self.runs(args),
            RemoteCommand::Show(args) => self.show(args),
            RemoteCommand::Watch(args) => self.watch(&args.run, args.shown.json),
            RemoteCommand::Logs(args) => self.logs(args),
            RemoteCommand::Cancel(args) => self.cancel(args),
            RemoteCommand::Rerun(args) => self.rerun(args),
            RemoteCommand::Approve(args) => self.approve(args),
            RemoteCommand::Flaky(args) => self.flaky(args),
            RemoteCommand::Slow(args) => self.slow(args),
            RemoteCommand::Import(args) => self.import(args),
            RemoteCommand::Keys(command) => self.keys(command),
            RemoteCommand::Schedules(command) => self.schedules(command),
            RemoteCommand::Projects(command) => self.projects(command),
            RemoteCommand::Members(command) => self.members(command),
            RemoteCommand::Notifications(command) => self.notifications(command),
            RemoteCommand::Deliveries(command) => self.deliveries(command),
            RemoteCommand::Webhooks(command) => self.webhooks(command),
            RemoteCommand::Audit(args) => self.audit(args),
            RemoteCommand::Doctor(_) | RemoteCommand::Completions { .. } => Ok(Exit::Passed),
        }
    }
}

fn shown(command: &RemoteCommand) -> &Shown {
    const PLAIN: &Shown = &Shown { json: false, color: crate::args::Colour::Auto };
    match command {
        RemoteCommand::Runs(args) => &args.shown,
        RemoteCommand::Show(args) | RemoteCommand::Watch(args) | RemoteCommand::Approve(args) => &args.shown,
        RemoteCommand::Logs(args) => &args.shown,
        RemoteCommand::Cancel(args) => &args.shown,
        RemoteCommand::Rerun(args) => &args.shown,
        RemoteCommand::Flaky(args) | RemoteCommand::Slow(args) => &args.shown,
        RemoteCommand::Import(args) => &args.shown,
        RemoteCommand::Keys(
            KeysCommand::List(owner)
            | KeysCommand::Create { owner, .. }
            | KeysCommand::Revoke { owner, .. }
            | KeysCommand::Rotate { owner, .. },
        ) => &owner.shown,
        RemoteCommand::Schedules(command) => shown_of_schedules(command),
        RemoteCommand::Projects(
            ProjectsCommand::List { shown }
            | ProjectsCommand::Create(NewProjectArgs { shown, .. })
            | ProjectsCommand::Change(ChangedProjectArgs { shown, .. })
            | ProjectsCommand::Show { shown, .. },
        ) => shown,
        RemoteCommand::Members(
            MembersCommand::List(place)
            | MembersCommand::Add { place, .. }
            | MembersCommand::Remove { place, .. },
        )
        | RemoteCommand::Deliveries(
            DeliveriesCommand::List { place, .. } | DeliveriesCommand::Redeliver { place, .. },
        )
        | RemoteCommand::Webhooks(
            WebhooksCommand::List { place, .. }
            | WebhooksCommand::Replay { place, .. }
            | WebhooksCommand::Secret { place, .. },
        ) => &place.shown,
        RemoteCommand::Notifications(command) => &command.place().shown,
        RemoteCommand::Audit(args) => &args.place.shown,
        RemoteCommand::Doctor(args) => &args.shown,
        RemoteCommand::Completions { .. } => PLAIN,
    }
}

fn shown_of_schedules(command: &SchedulesCommand) -> &Shown {
    match command {
        SchedulesCommand::List { shown, .. } | SchedulesCommand::Create { shown, .. } => shown,
        SchedulesCommand::Pause(ScheduleArgument { shown, .. })
        | SchedulesCommand::Resume(ScheduleArgument { shown, .. })
        | SchedulesCommand::Delete(ScheduleArgument { shown, .. })
        | SchedulesCommand::Run(ScheduleArgument { shown, .. }) => shown,
    }
}
