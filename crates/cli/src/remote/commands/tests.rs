//! What is typed, and what a server of a later version may answer. Everything else is tried on a real server, in the
//! end-to-end tests.

use crate::args::{Cli, Command};
use crate::exit::{Exit, describe};
use crate::remote::Session;
use crate::remote::client::Client;
use crate::remote::scripted::{Scripted, Seen, Written, json};
use clap::{CommandFactory as _, Parser as _};
use serde_json::{Value, json as value};
use std::path::Path;

pub(crate) struct Done {
    pub(crate) exit: u8,
    pub(crate) written: Written,
    pub(crate) seen: Vec<Seen>,
}

/// Runs a command line against a server.
pub(crate) fn command(server: &Scripted, here: &Path, line: &[&str]) -> Done {
    let cli = Cli::try_parse_from(["fleetest"].iter().chain(line)).unwrap();
    let Command::Remote(command) = cli.command else { panic!("no remote command") };
    let config = server.config(here);
    let client = Client::new(&config.remote).unwrap();
    let mut written = Written::default();
    let mut console = written.console();
    console.json = line.contains(&"--json");
    let answered = Session { client: &client, config: &config, console: &mut console }.answer(&command);
    let exit = answered.unwrap_or_else(|problem| {
        let (exit, lines) = describe(&anyhow::Error::from(problem));
        written.err.extend_from_slice(lines.join("\n").as_bytes());
        exit
    });
    Done { exit: exit.code(), written, seen: server.seen() }
}

#[test]
fn fields_and_words_of_later_versions_are_kept() {
    let project = value!({"id": "web", "title": "Web", "repository": null, "default_branch": "main", "config": null,
        "settings": {"priority": 0, "supersede": false, "keep_days": 9, "keep_runs": 9, "concurrency": null},
        "created_at": "x", "updated_at": "x", "mood": "good"});
    let server = Scripted::start(move |_, _| json(200, &project));
    let done = command(&server, Path::new("/"), &["projects", "show", "web", "--json"]);
    let document: Value = serde_json::from_slice(&done.written.out).unwrap();
    assert_eq!((done.exit, &document["mood"]), (0, &value!("good")));
    assert_eq!(command(&server, Path::new("/"), &["projects", "show", "web"]).exit, 0);
}

#[test]
fn help_of_the_remote_commands() {
    let mut command = Cli::command();
    command.build();
    let names = [
        "runs",
        "show",
        "watch",
        "logs",
        "cancel",
        "rerun",
        "approve",
        "flaky",
        "slow",
        "import",
        "audit",
        "doctor",
        "completions",
    ];
    let mut texts: Vec<String> = names
        .iter()
        .map(|name| {
            command.find_subcommand_mut(name).unwrap().clone().term_width(100).render_long_help().to_string()
        })
        .collect();
    for group in ["keys", "schedules", "projects", "members", "notifications", "deliveries", "webhooks"] {
        let group = command.find_subcommand_mut(group).unwrap();
        texts.push(group.clone().term_width(100).render_long_help().to_string());
        let children: Vec<String> =
            group.get_subcommands().map(|child| child.get_name().to_owned()).collect();
        for child in children.iter().filter(|child| *child != "help") {
            let child = group.find_subcommand_mut(child).unwrap();
            texts.push(child.clone().term_width(100).render_long_help().to_string());
        }
    }
    insta::assert_snapshot!(texts.join("\n--------\n"));
}

#[test]
fn completions_name_the_commands() {
    let mut written = Written::default();
    let exit = super::completions(clap_complete::Shell::Bash, &mut written.console());
    assert_eq!(exit, Exit::Passed);
    assert!(written.out().contains("schedules") && written.err.is_empty());
}
