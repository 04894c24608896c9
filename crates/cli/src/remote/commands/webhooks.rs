//! `webhooks`: what a forge sent, and the secret that it is believed by.

use super::LIST;
use super::notifications::secret;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use crate::remote::args::WebhooksCommand;
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{Page, SecretsShown, WebhookSecretBody, WebhookShown};
use serde_json::Value;
use ureq::http::Method;

impl Session<'_, '_> {
    pub(in crate::remote) fn webhooks(&mut self, command: &WebhooksCommand) -> Result<Exit, Problem> {
        match command {
            WebhooksCommand::List { limit, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "webhooks"]);
                let document = self.gather(&route, usize::try_from(*limit).unwrap_or(LIST))?;
                self.note_if_empty(&document, "no webhook came in yet");
                self.show_document(&document, |console| {
                    let webhooks = typed::<Page<WebhookShown>>(&document)?.items;
                    Ok(view::list::webhooks(&webhooks, (console.now)(), console.width))
                })
            }
            WebhooksCommand::Replay { event, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "webhooks", event, "replay"]);
                let document: Value =
                    self.client.send_content(&Method::POST, &route, Content::Empty)?.read()?;
                self.show_document(&document, |console| {
                    Ok(view::list::webhooks(&[typed(&document)?], (console.now)(), console.width))
                })
            }
            WebhooksCommand::Secret { file, forget_previous, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let body = WebhookSecretBody { secret: secret(file)?, keep_previous: !forget_previous };
                let route = Route::new(&["v1", "projects", &project, "webhook-secrets"]);
                let document: Value = self.client.send(&Method::PUT, &route, &body)?.read()?;
                let path = format!("{}/v1/webhooks/github/{project}", self.client.base());
                self.show_document(&document, |_| Ok(lines(&typed(&document)?, &path)))
            }
        }
    }
}

fn lines(secrets: &SecretsShown, path: &str) -> Vec<Line> {
    let mut lines = vec![labelled(Tone::Plain, "receives", None).with(Tone::Accent, clean(path))];
    lines.extend(secrets.active.iter().map(|held| {
        let text = format!("{}, set {}", clean(&held.fingerprint), view::minute(&held.set_at));
        labelled(Tone::Faint, "secret", None).plain(text)
    }));
    lines
}
