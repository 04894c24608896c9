//! `notifications` and `deliveries`: who is told, of what, and whether it arrived.

use super::LIST;
use crate::exit::{Exit, Problem};
use crate::line::{Line, Tone, clean};
use crate::progress::view::labelled;
use crate::remote::args::{DeliveriesCommand, NewRuleArgs, NotificationsCommand, RuleArgument};
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::{Session, typed, view};
use http_api::api::wire::{
    ChannelBody, DeliveryShown, GithubReportWord, NewRuleBody, OccasionWord, Page, RuleChange, RuleMade,
    RuleShown,
};
use serde_json::Value;
use std::io::{self, Read as _};
use std::path::Path;
use ureq::http::Method;

/// Longest secret that is read.
const SECRET_LIMIT_BYTES: u64 = 4096;

impl Session<'_, '_> {
    pub(in crate::remote) fn notifications(
        &mut self,
        command: &NotificationsCommand,
    ) -> Result<Exit, Problem> {
        match command {
            NotificationsCommand::List(place) => {
                let project = self.project(place.of.project.as_deref())?;
                let document =
                    self.gather(&Route::new(&["v1", "projects", &project, "notifications"]), LIST)?;
                self.note_if_empty(&document, "nobody is told; `fleetest notifications add` makes a rule");
                self.show_document(&document, |console| {
                    Ok(view::list::rules(&typed::<Page<RuleShown>>(&document)?.items, console.width))
                })
            }
            NotificationsCommand::Add(args) => {
                let project = self.project(args.place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "notifications"]);
                let document: Value = self.client.send(&Method::POST, &route, &new(args)?)?.read()?;
                self.show_rule(&document)
            }
            NotificationsCommand::Test(args) => {
                let route = self.rule(args, &["test"])?;
                let document: Value =
                    self.client.send_content(&Method::POST, &route, Content::Empty)?.read()?;
                self.show_sent(&document)
            }
            NotificationsCommand::Pause(args) => self.change_rule(args, true),
            NotificationsCommand::Resume(args) => self.change_rule(args, false),
            NotificationsCommand::Remove(args) => {
                let route = self.rule(args, &[])?;
                self.client.send_content(&Method::DELETE, &route, Content::Empty)?;
                self.tell_removed(&args.rule);
                Ok(Exit::Passed)
            }
        }
    }

    pub(in crate::remote) fn deliveries(&mut self, command: &DeliveriesCommand) -> Result<Exit, Problem> {
        match command {
            DeliveriesCommand::List { limit, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "deliveries"]);
                let document = self.gather(&route, usize::try_from(*limit).unwrap_or(LIST))?;
                self.note_if_empty(&document, "nobody was told anything yet");
                self.show_document(&document, |console| {
                    let deliveries = typed::<Page<DeliveryShown>>(&document)?.items;
                    Ok(view::list::deliveries(&deliveries, (console.now)(), console.width))
                })
            }
            DeliveriesCommand::Redeliver { delivery, place } => {
                let project = self.project(place.of.project.as_deref())?;
                let route = Route::new(&["v1", "projects", &project, "deliveries", delivery, "redeliver"]);
                let document: Value =
                    self.client.send_content(&Method::POST, &route, Content::Empty)?.read()?;
                self.show_sent(&document)
            }
        }
    }

    fn rule(&mut self, args: &RuleArgument, rest: &[&str]) -> Result<Route, Problem> {
        let project = self.project(args.place.of.project.as_deref())?;
        let head = ["v1", "projects", &project, "notifications", &args.rule];
        let parts: Vec<&str> = head.iter().chain(rest).copied().collect();
        Ok(Route::new(&parts))
    }

    fn change_rule(&mut self, args: &RuleArgument, paused: bool) -> Result<Exit, Problem> {
        let route = self.rule(args, &[])?;
        let change = RuleChange { paused: Some(paused), ..RuleChange::default() };
        let document: Value = self.client.send(&Method::PATCH, &route, &change)?.read()?;
        self.show_rule(&document)
    }

    fn show_rule(&mut self, document: &Value) -> Result<Exit, Problem> {
        self.show_document(document, |_| Ok(lines(&typed(document)?)))
    }

    /// A message is on its way; what becomes of it is told elsewhere.
    fn show_sent(&mut self, document: &Value) -> Result<Exit, Problem> {
        let delivery: DeliveryShown = typed(document)?;
        let line = Line::new().plain(clean(&delivery.id));
        self.show_document(document, |_| Ok(vec![line]))?;
        let told = Line::new().plain("on its way; whether it arrived: ");
        self.console.chat(&[told.with(Tone::Accent, "fleetest deliveries list")]);
        Ok(Exit::Passed)
    }
}

fn new(args: &NewRuleArgs) -> Result<NewRuleBody, Problem> {
    let on: Vec<OccasionWord> = args.on.iter().copied().map(Into::into).collect();
    // GitHub hears of everything that is over; the server knows.
    let on = if on.is_empty() && args.channel.github.is_none() { vec![OccasionWord::Failure] } else { on };
    Ok(NewRuleBody {
        name: args.name.clone(),
        on,
        branches: args.branches.clone(),
        channel: channel(args)?,
        paused: false,
    })
}

fn channel(args: &NewRuleArgs) -> Result<ChannelBody, Problem> {
    let given = &args.channel;
    let secret = args.secret_file.as_deref().map(secret).transpose()?;
    if let Some(url) = &given.slack {
        return Ok(ChannelBody::Slack { url: address(url)? });
    }
    if let Some(url) = &given.teams {
        return Ok(ChannelBody::Teams { url: address(url)? });
    }
    if let Some(url) = &given.webhook {
        return Ok(ChannelBody::Webhook { url: address(url)?, secret });
    }
    let Some(repository) = &given.github else {
        return Ok(ChannelBody::Email { to: given.email.clone() });
    };
    let (owner, repo) = repository.split_once('/').ok_or_else(|| {
        Problem::usage(format!("`--github {repository}` names no repository"))
            .hint("write it as in `--github pallets/click`")
    })?;
    Ok(ChannelBody::Github {
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        token: secret,
        api_url: args.api_url.clone(),
        report: args.report.map(GithubReportWord::from).unwrap_or_default(),
    })
}

/// The address as typed, or the line on stdin.
fn address(typed: &str) -> Result<String, Problem> {
    if typed == "-" { secret(Path::new("-")) } else { Ok(typed.to_owned()) }
}

/// The text of a file without blanks around it; `-` is stdin.
pub(super) fn secret(path: &Path) -> Result<String, Problem> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        if path == Path::new("-") {
            io::stdin().lock().take(SECRET_LIMIT_BYTES).read_to_string(&mut text)?;
        } else {
            std::fs::File::open(path)?.take(SECRET_LIMIT_BYTES).read_to_string(&mut text)?;
        }
        Ok(text.trim().to_owned())
    };
    read().map_err(|error| Problem::usage(format!("`{}` cannot be read", path.display())).because(error))
}

/// A rule with everything that may be shown of it.
fn lines(made: &RuleMade) -> Vec<Line> {
    let fact = |label: &str, value: &str| labelled(Tone::Faint, label, None).plain(clean(value));
    let rule = &made.rule;
    let mut lines = vec![
        labelled(Tone::Plain, "rule", None).with(Tone::Strong, clean(&rule.id)),
        fact("name", &rule.name),
        fact("tells", &view::list::receiver(&rule.channel)),
        fact("of", &view::list::occasions(rule)),
    ];
    if rule.paused {
        lines.push(labelled(Tone::Warn, "paused", None).plain("it tells nothing until it is resumed"));
    }
    if let Some(secret) = &made.secret {
        lines.push(fact("secret", secret));
        lines.push(
            labelled(Tone::Plain, "", None).plain("messages are signed with it; it is shown this once"),
        );
    }
    if !rule.paused {
        let test = format!("fleetest notifications test {}", clean(&rule.id));
        lines.push(labelled(Tone::Plain, "", None).with(Tone::Faint, "try it: ").with(Tone::Accent, test));
    }
    lines
}
