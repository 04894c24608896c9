//! `audit`: who changed what.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::remote::args::AuditArgs;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{AuditShown, Page};

impl Session<'_, '_> {
    pub(in crate::remote) fn audit(&mut self, args: &AuditArgs) -> Result<Exit, Problem> {
        let route = if args.instance {
            Route::new(&["v1", "audit"])
        } else {
            let project = self.project(args.place.of.project.as_deref())?;
            Route::new(&["v1", "projects", &project, "audit"])
        };
        let document = self.gather(&route, usize::try_from(args.limit).unwrap_or(LIST))?;
        self.note_if_empty(&document, "nothing was changed yet");
        self.show_document(&document, |console| {
            Ok(view::list::audit(&typed::<Page<AuditShown>>(&document)?.items, console.width))
        })
    }
}
