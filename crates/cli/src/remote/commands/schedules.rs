//! `schedules`.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use crate::remote::args::{ScheduleArgument, SchedulesCommand};
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{NewRunBody, NewScheduleBody, Page, RunShown, ScheduleChange, ScheduleShown};
use serde_json::{Value, json};
use ureq::http::Method;

impl Session<'_, '_> {
    pub(in crate::remote) fn schedules(&mut self, command: &SchedulesCommand) -> Result<Exit, Problem> {
        match command {
            SchedulesCommand::List { of, .. } => {
                let project = self.project(of.project.as_deref())?;
                let document = self.gather(&Route::new(&["v1", "projects", &project, "schedules"]), LIST)?;
                self.note_if_empty(&document, "there is no schedule");
                self.show_document(&document, |console| {
                    Ok(view::list::schedules(&typed::<Page<ScheduleShown>>(&document)?.items, console.width))
                })
            }
            SchedulesCommand::Create { name, cron, time_zone, reference, suites, of, .. } => {
                let project = self.project(of.project.as_deref())?;
                let body = NewScheduleBody {
                    name: name.clone(),
                    cron: cron.clone(),
                    zone: time_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
                    order: NewRunBody {
                        r#ref: reference.clone(),
                        suites: suites.clone(),
                        ..NewRunBody::default()
                    },
                    paused: false,
                };
                let route = Route::new(&["v1", "projects", &project, "schedules"]);
                let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
                self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
            }
            SchedulesCommand::Pause(args) => self.change_schedule(args, true),
            SchedulesCommand::Resume(args) => self.change_schedule(args, false),
            SchedulesCommand::Delete(args) => {
                let route = self.schedule(args, &[])?;
                self.client.send_content(&Method::DELETE, &route, Content::Empty)?;
                self.tell_removed(&args.schedule);
                Ok(Exit::Passed)
            }
            SchedulesCommand::Run(args) => {
                let route = self.schedule(args, &["run"])?;
                let document: Value = self.client.send(&Method::POST, &route, &json!({}))?.read()?;
                let run: RunShown = typed(&document)?;
                self.announce(&document, &run.id);
                Ok(Exit::Passed)
            }
        }
    }

    fn schedule(&mut self, args: &ScheduleArgument, rest: &[&str]) -> Result<Route, Problem> {
        let project = self.project(args.of.project.as_deref())?;
        let head = ["v1", "projects", &project, "schedules", &args.schedule];
        let parts: Vec<&str> = head.iter().chain(rest).copied().collect();
        Ok(Route::new(&parts))
    }

    fn change_schedule(&mut self, args: &ScheduleArgument, paused: bool) -> Result<Exit, Problem> {
        let route = self.schedule(args, &[])?;
        let change = ScheduleChange { paused: Some(paused), ..ScheduleChange::default() };
        let document: Value = self.client.send(&Method::PATCH, &route, &change)?.read()?;
        self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
    }
}

/// A schedule with all of its next times.
fn lines(schedule: &ScheduleShown) -> Vec<Line> {
    let fact = |label: &str, value: &str| labelled(Tone::Faint, label, None).plain(clean(value));
    let mut lines = vec![
        labelled(Tone::Plain, "schedule", None).with(Tone::Strong, clean(&schedule.id)),
        fact("name", &schedule.name),
        fact("cron", &format!("{} ({})", schedule.cron, schedule.zone)),
    ];
    if let Some(problem) = &schedule.problem {
        lines.push(labelled(Tone::Warn, "problem", None).plain(clean(problem)));
    }
    if schedule.paused {
        lines.push(labelled(Tone::Warn, "paused", None).plain("it starts nothing until it is resumed"));
    } else {
        lines.extend(schedule.next_fires.iter().map(|next| fact("next", &view::minute(next))));
    }
    lines
}
