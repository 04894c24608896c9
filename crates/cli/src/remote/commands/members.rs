//! `members`: people of identity providers and their roles in a project.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, clean};
use crate::remote::args::MembersCommand;
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{MemberBody, MemberShown, Page};
use serde_json::Value;
use ureq::http::Method;

impl Session<'_, '_> {
    pub(in crate::remote) fn members(&mut self, command: &MembersCommand) -> Result<Exit, Problem> {
        match command {
            MembersCommand::List(place) => {
                let project = self.project(place.of.project.as_deref())?;
                let document = self.gather(&Route::new(&["v1", "projects", &project, "members"]), LIST)?;
                self.note_if_empty(&document, "there is no member; keys work without");
                self.show_document(&document, |console| {
                    let members = typed::<Page<MemberShown>>(&document)?.items;
                    Ok(view::list::members(&members, (console.now)(), console.width))
                })
            }
            MembersCommand::Add { subject, role, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "members", subject]);
                let body = MemberBody { role: (*role).into() };
                let document: Value = self.client.send(&Method::PUT, &route, &body)?.read()?;
                self.show_document(&document, |console| {
                    Ok(view::list::members(&[typed(&document)?], (console.now)(), console.width))
                })
            }
            MembersCommand::Remove { subject, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "members", subject]);
                let document: Value =
                    self.client.send_content(&Method::DELETE, &route, Content::Empty)?.read()?;
                let told = format!("`{}` has no role in `{}` any more", clean(subject), clean(&project));
                self.console.chat(&[Line::new().plain(told)]);
                self.show_document(&document, |_| Ok(Vec::new()))
            }
        }
    }
}
