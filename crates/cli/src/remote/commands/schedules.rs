//! `schedules`.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use crate::remote::args::{ScheduleArgument, SchedulesCommand};
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::wire::{Listed, NewSchedule, ScheduleShown};
use crate::remote::{Session, typed, view};
use http_api::api::wire::NewRunBody;
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
                    Ok(view::list::schedules(
                        &typed::<Listed<ScheduleShown>>(&document)?.items,
                        console.width,
                    ))
                })
            }
            SchedulesCommand::Create { name, cron, time_zone, reference, suites, of, .. } => {
                let project = self.project(of.project.as_deref())?;
                let body = NewSchedule {
                    name: name.clone(),
                    cron: cron.clone(),
                    zone: time_zone.clone(),
                    order: NewRunBody {
                        r#ref: reference.clone(),
                        suites: suites.clone(),
                        ..NewRunBody::default()
                    },
                };
                let route = Route::new(&["v1", "projects", &project, "schedules"]);
                let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
                self.show_document(&document, |_| Ok(lines(&typed(&document)?)))
            }
            SchedulesCommand::Pause(args) => self.change_schedule(args, true),
            SchedulesCommand::Resume(args) => self.change_schedule(args, false),
            SchedulesCommand::Delete(args) => {
                let route = self.schedule(args, &[])?;
                let reply = self.client.send_content(&Method::DELETE, &route, Content::Empty)?;
                if self.console.json {
                    self.console.document(&serde_json::from_slice(&reply.body).unwrap_or(Value::Null));
                }
                let told = format!("`{}` is removed", clean(&args.schedule));
                self.console.chat(&[Line::new().plain(told)]);
                Ok(Exit::Passed)
            }
            SchedulesCommand::Run(args) => {
                let route = self.schedule(args, &["run"])?;
                let document: Value = self.client.send(&Method::POST, &route, &json!({}))?.read()?;
                let run = document.get("id").and_then(Value::as_str).unwrap_or("-").to_owned();
                self.announce(&document, &run);
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
        let document: Value =
            self.client.send(&Method::PATCH, &route, &json!({ "paused": paused }))?.read()?;
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
        lines.extend(schedule.next_fires.iter().map(|next| fact("next", next)));
    }
    lines
}
