//! `fleetest run --remote`: the suites of this directory, run by a server.
//!
//! Suites are found as a local run finds them and sent along. The source is the commit if the server can fetch it and
//! it is what stands here; otherwise the working directory is packed and sent.

mod configuration;
mod ending;
mod origin;

use super::args::Shown;
use super::client::route::Route;
use super::client::{Client, Place};
use super::console::Console;
use super::watch::{OnStop, Watched, detached, watch};
use super::{Session, pack, typed};
use crate::args::RunArgs;
use crate::args::reports::ReportPaths;
use crate::ci::github::{GitHub, Muted};
use crate::config::Config;
use crate::exit::{Exit, Problem};
use crate::interrupt::{self, StopFlag};
use crate::line::clean;
use crate::progress::view::grouped;
use crate::project::Target;
use crate::run::reports;
use crate::{git, order, suites};
use http_api::api::wire::{NewRunBody, NewSourceBody, ProjectShown, RunShown, SourceOffered};
use origin::Origin;
use serde_json::Value;
use shared::domain::filter::Filter;
use std::path::{Path, PathBuf};
use ureq::http::Method;

/// Longest limit that the API takes, in seconds.
const TIMEOUT_LIMIT_S: u64 = 86_400;

/// Runs the tests of a directory on a server.
///
/// # Errors
/// Anything that keeps the run from being judged.
pub fn run(args: &RunArgs, config: &Config) -> anyhow::Result<Exit> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let shown = Shown { json: false, color: args.color };
    let mut console = Console::of_process(&mut out, &mut err, &shown, config);
    console.live &= !args.quiet;
    console.quiet = args.quiet;
    let client = Client::new(&config.remote)?;
    let mut session = Session { client: &client, config, console: &mut console };
    Ok(session.run_remotely(args)?)
}

impl Session<'_, '_> {
    pub(super) fn run_remotely(&mut self, args: &RunArgs) -> Result<Exit, Problem> {
        check_arguments(args)?;
        let reports = reports(args, &self.config.here)?;
        let root = directory(args, &self.config.here)?;
        let mut body = body(args)?;
        let project = self.chosen_project(args, &root)?;
        self.describe(args, &root, &project, &mut body)?;
        let route = Route::new(&["v1", "projects", &project.id, "runs"]);
        let document: Value = self.client.send(&Method::POST, &route, &body)?.read()?;
        let run: RunShown = typed(&document)?;
        if args.detach {
            self.announce(&document, &run.id);
            return Ok(Exit::Passed);
        }
        if !args.quiet {
            self.console.note(&format!("run `{}` of project `{}`", run.id, project.id));
        }
        self.see_to_its_end(args, &root, &run.id, &reports)
    }

    fn chosen_project(&mut self, args: &RunArgs, root: &Path) -> Result<ProjectShown, Problem> {
        let chosen = super::settings::project(args.project.as_deref(), &self.config.remote, root)?;
        if let Some(note) = chosen.note.filter(|_| !args.quiet) {
            self.console.note(&note);
        }
        let reply = self.client.try_get(&Route::new(&["v1", "projects", &chosen.id]), None);
        match reply {
            Err(super::client::refusal::ClientError::Refused(refusal)) if refusal.status == 404 => {
                Err(Problem::usage(format!(
                    "the server has no project `{}`, or your key has no role in it",
                    chosen.id
                ))
                .hint(format!(
                    "`fleetest projects create {}` makes it; `--project` names another",
                    chosen.id
                )))
            }
            reply => reply?.read(),
        }
    }

    /// Says what is to be tested: where it stands, its suites, its source.
    fn describe(
        &mut self,
        args: &RunArgs,
        root: &Path,
        project: &ProjectShown,
        body: &mut NewRunBody,
    ) -> Result<(), Problem> {
        let ci = self.config.ci.as_ref();
        let revision = git::revision(root, git::PATIENCE);
        let change = ci.and_then(|ci| ci.github.as_ref()).and_then(GitHub::head_of_change);
        let commit = change.or_else(|| ci.and_then(|ci| ci.commit.clone()));
        body.commit = commit.or_else(|| revision.commit.clone());
        body.branch = ci.and_then(|ci| ci.branch.clone()).or_else(|| revision.branch.clone());
        body.pull_request = ci.and_then(|ci| ci.pull_request);
        if let Some(reference) = &args.reference {
            // What stands here says nothing about another commit.
            (body.commit, body.branch) = (None, None);
            body.r#ref = Some(reference.clone());
            return Ok(());
        }
        let found = suites::find(root)?;
        let text = configuration::text(root, &found)?;
        order::chosen_suites(&args.suites, found.suites)?;
        body.config = Some(text);
        if !args.quiet {
            for reason in &found.reasons {
                self.console.note(reason);
            }
        }
        let origin = if args.upload {
            Origin::Upload("asked for".to_owned())
        } else {
            origin::of(root, &revision, project, self.client.is_near())
        };
        match origin {
            Origin::Commit(commit) => {
                // The reference says it already.
                body.commit = None;
                body.r#ref = Some(commit);
            }
            Origin::Upload(why) => body.source = Some(self.upload(args, root, &project.id, &why)?),
        }
        Ok(())
    }

    fn upload(&mut self, args: &RunArgs, root: &Path, project: &str, why: &str) -> Result<String, Problem> {
        let packed = pack::pack(root, pack::TREE_LIMIT_BYTES)?;
        let left_out: Vec<String> =
            packed.left_out.iter().take(5).map(|path| format!("`{}`", path.display())).collect();
        if !left_out.is_empty() {
            let (all, some) = (packed.left_out.len(), left_out.join(", "));
            self.console.note(&format!("{all} not sent, because they are no files of the tree: {some}"));
        }
        let size = packed.archive.as_file().metadata().map_or(0, |meta| meta.len());
        if !args.quiet {
            let (files, kib) =
                (grouped(u64::try_from(packed.files).unwrap_or(0)), grouped(size.div_ceil(1024)));
            self.console.note(&format!("sending {files} files of the working directory, {kib} KiB ({why})"));
        }
        let route = Route::new(&["v1", "projects", project, "sources"]);
        let wanted = NewSourceBody { size_bytes: Some(size), sha256: Some(packed.sha256()?) };
        let made = match self.client.offer(&route, &wanted)? {
            Some(made) => made,
            None => {
                let plain = NewSourceBody { sha256: None, ..wanted };
                self.client.send(&Method::POST, &route, &plain)?
            }
        };
        let made: SourceOffered = made.read()?;
        let place = Place { address: &made.upload_url, headers: &made.upload_headers };
        self.client.put_file(&place, packed.archive.path(), "application/gzip")?;
        Ok(made.id)
    }

    fn see_to_its_end(
        &mut self,
        args: &RunArgs,
        root: &Path,
        run: &str,
        reports: &ReportPaths,
    ) -> Result<Exit, Problem> {
        let stop = StopFlag::default();
        let again = format!("\nthe run goes on; watch it again: fleetest watch {}", clean(run));
        interrupt::listen(stop.clone(), move || crate::progress::terminal::write_plain(&again))
            .map_err(|error| Problem::could_not_run("signals cannot be listened for").because(error))?;
        let muted = Muted::begin(self.config.ci.as_ref().and_then(|ci| ci.github.as_ref()));
        let watched = watch(self.client, self.console, run, OnStop::Cancel, &stop)?;
        drop(muted);
        match watched {
            Watched::Detached => Ok(detached(self.console, run)),
            Watched::Over(over) => {
                let kept = ending::write_reports(self.client, self.console, run, reports);
                self.tell_github(&over, root);
                kept?;
                let exit = super::view::run::exit_of(&over.run);
                if args.verbose {
                    self.console.note(&format!("`fleetest show {}` shows it again", clean(run)));
                }
                Ok(exit)
            }
        }
    }
}

/// Flags that mean nothing on a server are refused: whoever gave one expects something of it.
fn check_arguments(args: &RunArgs) -> Result<(), Problem> {
    if let Some(expression) = &args.filter {
        Filter::parse(expression).map_err(|error| {
            Problem::usage(format!("`--filter {expression}` cannot be understood")).because(error)
        })?;
    }
    let in_file = "set it for the suite in fleetest.toml, which is sent along";
    let useless = [
        (args.slots.is_some(), "--slots", in_file),
        (args.shards.is_some(), "--shards", in_file),
        (args.retries.is_some(), "--retries", in_file),
        (args.case_timeout.is_some(), "--case-timeout", in_file),
        (args.failed, "--failed", "use `fleetest rerun RUN --failed`"),
        (args.no_history, "--no-history", "a server keeps the history of its projects"),
        (
            args.upload && args.reference.is_some(),
            "--upload",
            "it sends the directory, and `--ref` names another source",
        ),
        (
            args.detach && has_reports(args),
            "--detach",
            "reports are there when the run is over; leave one of both out",
        ),
    ];
    match useless.into_iter().find(|(given, ..)| *given) {
        Some((_, flag, hint)) => {
            Err(Problem::usage(format!("`{flag}` means nothing here with `--remote`")).hint(hint))
        }
        None => Ok(()),
    }
}

fn has_reports(args: &RunArgs) -> bool {
    args.junit.is_some() || args.json.is_some() || args.ctrf.is_some() || args.html.is_some()
}

fn directory(args: &RunArgs, here: &Path) -> Result<PathBuf, Problem> {
    match Target::resolve(&args.target, None, here)? {
        Target::Directory(path) => Ok(path),
        Target::Repository(_) => Err(Problem::usage("`--remote` runs a directory, or a project's repository")
            .hint("give the repository to the project (`fleetest projects create`), then use `--project` and `--ref`")),
    }
}

fn body(args: &RunArgs) -> Result<NewRunBody, Problem> {
    let seconds = args.timeout.map(|limit| limit.ms().div_ceil(1000));
    if seconds.is_some_and(|seconds| seconds > TIMEOUT_LIMIT_S) {
        return Err(Problem::usage("`--timeout` is longer than a day, which a server does not accept"));
    }
    Ok(NewRunBody {
        suites: args.suites.clone(),
        filter: args.filter.clone(),
        fail_fast: args.fail_fast.map(std::num::NonZero::get),
        timeout_s: seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        ..NewRunBody::default()
    })
}

#[cfg(test)]
mod tests;
