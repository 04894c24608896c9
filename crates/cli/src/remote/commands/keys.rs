//! `keys`: of a project, or of the whole server.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::remote::args::{KeyOwner, KeysCommand};
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{KeyMade, KeyShown, NewKeyBody, Page, RotateBody};
use serde_json::Value;
use shared::domain::time::Timestamp;
use ureq::http::Method;

const DAY_MS: u64 = 24 * 3_600_000;

impl Session<'_, '_> {
    pub(in crate::remote) fn keys(&mut self, command: &KeysCommand) -> Result<Exit, Problem> {
        match command {
            KeysCommand::List(owner) => {
                let owner = self.owner(owner)?;
                let document = self.gather(&Route::new(&parts(&owner, &[])), LIST)?;
                self.note_if_empty(&document, "there is no key");
                self.show_document(&document, |console| {
                    let keys = typed::<Page<KeyShown>>(&document)?.items;
                    Ok(view::list::keys(&keys, (console.now)(), console.width))
                })
            }
            KeysCommand::Create { name, role, scopes, expires, owner } => {
                let expires_at =
                    expires.as_deref().map(|text| expiry(text, (self.console.now)())).transpose()?;
                let body =
                    NewKeyBody { name: name.clone(), role: role.clone(), scopes: scopes.clone(), expires_at };
                let route = Route::new(&parts(&self.owner(owner)?, &[]));
                let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
                self.show_key(&document)
            }
            KeysCommand::Revoke { key, owner } => {
                let route = Route::new(&parts(&self.owner(owner)?, &[key]));
                let reply = self.client.send_content(&Method::DELETE, &route, Content::Empty)?;
                if self.console.json {
                    self.console.document(&reply.read()?);
                }
                self.console.chat(&[Line::new().plain(format!("`{}` is taken back", clean(key)))]);
                Ok(Exit::Passed)
            }
            KeysCommand::Rotate { key, overlap, owner } => {
                if owner.instance {
                    return Err(Problem::usage("a key of the whole server cannot be rotated")
                        .hint("make a new one with `keys create --instance`, then revoke the old one"));
                }
                let overlap_s = overlap.map_or(0, |limit| limit.ms().div_ceil(1000));
                let body = RotateBody { overlap_s: u32::try_from(overlap_s).unwrap_or(u32::MAX) };
                let route = Route::new(&parts(&self.owner(owner)?, &[key, "rotate"]));
                let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
                self.show_key(&document)
            }
        }
    }

    /// The project's id; empty for the whole server.
    fn owner(&mut self, owner: &KeyOwner) -> Result<String, Problem> {
        if owner.instance { Ok(String::new()) } else { self.project(owner.of.project.as_deref()) }
    }

    /// The text of a fresh key alone goes to stdout, so that a script can keep it.
    fn show_key(&mut self, document: &Value) -> Result<Exit, Problem> {
        if self.console.json {
            self.console.document(document);
            return Ok(Exit::Passed);
        }
        let made: KeyMade = typed(document)?;
        self.console.fact(&clean(&made.token));
        let KeyShown { id, name, role, .. } = &made.key;
        let told = format!("key `{}` ({}, {}); it is shown this once", clean(id), clean(name), clean(role));
        self.console.chat(&[Line::new().with(Tone::Strong, told)]);
        Ok(Exit::Passed)
    }
}

fn parts<'a>(project: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let head: &[&str] =
        if project.is_empty() { &["v1", "keys"] } else { &["v1", "projects", project, "keys"] };
    head.iter().chain(rest).copied().collect()
}

/// A number of days from now, or a time.
fn expiry(text: &str, now: Timestamp) -> Result<String, Problem> {
    let days = text.strip_suffix('d').and_then(|number| number.parse::<u64>().ok());
    let at = match days {
        Some(days) if (1..=36_500).contains(&days) => Some(now.plus_ms(days * DAY_MS)),
        Some(_) => None,
        None => Timestamp::parse(text).filter(|at| *at > now),
    };
    at.map(Timestamp::rfc3339).ok_or_else(|| {
        Problem::usage(format!("`--expires {text}` is no time to come"))
            .hint("write it as in `90d` or `2027-01-31T00:00:00Z`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_number_of_days_or_a_time_to_come() {
        let now = Timestamp(1_700_000_000_000);
        assert_eq!(expiry("1d", now).unwrap(), "2023-11-15T22:13:20.000Z");
        assert_eq!(expiry("2027-01-31T00:00:00Z", now).unwrap(), "2027-01-31T00:00:00.000Z");
        for text in ["0d", "soon", "1h", "2001-01-01T00:00:00Z", "99999999d", ""] {
            assert_eq!(expiry(text, now).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }
}
