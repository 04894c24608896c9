//! `import`: result files of other tools, streamed to the server.

use crate::ci::Ci;
use crate::exit::{Exit, Problem};
use crate::git;
use crate::line::{Line, Tone, clean};
use crate::progress::view::count;
use crate::remote::args::{Format, ImportArgs};
use crate::remote::client::Content;
use crate::remote::client::route::Route;
use crate::remote::view::run::headline;
use crate::remote::{Session, typed};
use http_api::api::wire::{ImportShown, NotAcceptedShown};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use tempfile::NamedTempFile;
use ureq::http::Method;

/// So much of a file tells its format.
const BEGINNING_BYTES: u64 = 4096;
/// Things not accepted that are named one by one.
const NAMED: usize = 10;

impl Session<'_, '_> {
    pub(in crate::remote) fn import(&mut self, args: &ImportArgs) -> Result<Exit, Problem> {
        let project = self.project(args.of.project.as_deref())?;
        let revision = git::revision(&self.config.here, git::PATIENCE);
        let ci = self.config.ci.as_ref();
        let known = |of: fn(&Ci) -> &Option<String>| ci.and_then(|ci| of(ci).clone());
        // What stands here says nothing about the branch of another commit.
        let branch = if args.commit.is_some() { None } else { known(|ci| &ci.branch).or(revision.branch) };
        let route = Route::new(&["v1", "projects", &project, "imports"])
            .with("suite", args.suite.as_deref())
            .with("commit", args.commit.clone().or(known(|ci| &ci.commit)).or(revision.commit))
            .with("branch", args.branch.clone().or(branch))
            .with("pull_request", args.pull_request.or(ci.and_then(|ci| ci.pull_request)))
            .with("build", args.build.as_deref());
        let (mut documents, mut exit) = (Vec::new(), Exit::Passed);
        for file in &args.files {
            let (document, whole) = self.import_file(file, args.format, &route)?;
            documents.push(document);
            exit = if whole { exit } else { Exit::CouldNotRun };
        }
        if self.console.json {
            let document = match documents.as_slice() {
                [one] => one.clone(),
                _ => serde_json::json!({ "items": documents }),
            };
            self.console.document(&document);
        }
        Ok(exit)
    }

    /// Answers the server's document, and whether the file was taken whole.
    fn import_file(
        &mut self,
        file: &Path,
        format: Option<Format>,
        route: &Route,
    ) -> Result<(Value, bool), Problem> {
        let spooled = if file == Path::new("-") { Some(spool()?) } else { None };
        let path = spooled.as_ref().map_or(file, |spooled| spooled.path());
        let format = match format {
            Some(format) => format,
            None => detect(path)?,
        };
        let media_type = if format == Format::Junit { "application/xml" } else { "text/plain" };
        let route = route.clone().with("format", Some(format.as_str()));
        let reply = self.client.send_content(&Method::POST, &route, Content::File(path, media_type))?;
        let document: Value = reply.read()?;
        let made: ImportShown = typed(&document)?;
        if !self.console.json {
            let line = headline(&made.run, (self.console.now)());
            self.console.answer(&[line]);
        }
        if made.repeated {
            self.console.note(&format!("`{}` was imported before; this is the run of then", file.display()));
        }
        self.tell_rest(file, &made);
        Ok((document, made.not_accepted_count == 0))
    }

    /// What was not accepted is never passed over in silence.
    fn tell_rest(&mut self, file: &Path, made: &ImportShown) {
        let all = made.not_accepted_count;
        if all == 0 {
            return;
        }
        let what = format!("of `{}` {} not accepted:", file.display(), count(all, "part"));
        let mut lines = vec![Line::new().with(Tone::Warn, "note: ").plain(clean(&what))];
        lines.extend(made.not_accepted.iter().take(NAMED).map(part));
        let named = u64::try_from(made.not_accepted.len().min(NAMED)).unwrap_or(u64::MAX);
        if all > named {
            lines.push(
                Line::new().plain(format!("  and {} more (`--json` has the first hundred)", all - named)),
            );
        }
        self.console.chat(&lines);
    }
}

/// Where something was not accepted, and why.
fn part(part: &NotAcceptedShown) -> Line {
    let place = match (part.line, part.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        (None, _) => String::new(),
    };
    Line::new().plain(format!("  {place}{}", clean(&part.reason)))
}

/// Stdin as a file, because a call that is repeated reads it again.
fn spool() -> Result<NamedTempFile, Problem> {
    let spooled = || -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new()?;
        io::copy(&mut io::stdin().lock(), file.as_file_mut())?;
        Ok(file)
    };
    spooled().map_err(|error| Problem::could_not_run("stdin cannot be read").because(error))
}

/// The format of a file by how it begins.
fn detect(path: &Path) -> Result<Format, Problem> {
    let mut beginning = Vec::new();
    File::open(path)
        .and_then(|file| file.take(BEGINNING_BYTES).read_to_end(&mut beginning))
        .map_err(|error| Problem::usage(format!("`{}` cannot be read", path.display())).because(error))?;
    format_of(&String::from_utf8_lossy(&beginning)).ok_or_else(|| {
        Problem::usage(format!("`{}` is in no format that is recognised", path.display()))
            .hint("name it with `--format junit|tap|ctrf|go-json|libtest-json`")
    })
}

fn format_of(beginning: &str) -> Option<Format> {
    let text = beginning.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return Some(Format::Junit);
    }
    let tap_line = |line: &str| {
        line.starts_with("TAP version ")
            || line.starts_with("ok ")
            || line.starts_with("not ok ")
            || line.starts_with("1..")
    };
    if text.lines().any(tap_line) {
        return Some(Format::Tap);
    }
    let first = text.lines().next().unwrap_or_default();
    if !text.starts_with('{') {
        None
    } else if text.contains("\"reportFormat\"") || text.contains("\"results\"") {
        Some(Format::Ctrf)
    } else if first.contains("\"Action\"") {
        Some(Format::GoJson)
    } else if first.contains("\"type\"") && first.contains("\"event\"") {
        Some(Format::LibtestJson)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_how_the_file_begins() {
        let table = [
            ("\u{feff}<?xml version=\"1.0\"?><testsuites/>", Some(Format::Junit)),
            ("TAP version 13\n1..2\n", Some(Format::Tap)),
            ("# noise\nok 1 - x\n", Some(Format::Tap)),
            ("{\n \"reportFormat\": \"CTRF\"", Some(Format::Ctrf)),
            ("{\"results\":{\"tool\":{}}}", Some(Format::Ctrf)),
            ("{\"Time\":\"2026\",\"Action\":\"start\",\"Package\":\"x\"}\n", Some(Format::GoJson)),
            ("{ \"type\": \"suite\", \"event\": \"started\" }\n", Some(Format::LibtestJson)),
            ("{\"x\":1}", None),
            ("", None),
            ("hello", None),
        ];
        for (text, format) in table {
            assert_eq!(format_of(text), format, "{text}");
        }
    }
}
