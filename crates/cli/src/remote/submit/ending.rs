//! What is done when a remote run is over: reports are fetched, GitHub Actions is told.

use crate::args::reports::{JsonTarget, ReportPaths};
use crate::ci::github::{ANNOTATIONS, FailedCase, Told};
use crate::exit::Problem;
use crate::line::{Line, Tone};
use crate::progress::view::labelled;
use crate::remote::Session;
use crate::remote::client::Client;
use crate::remote::client::route::Route;
use crate::remote::console::Console;
use crate::remote::view::run::{counted, failures};
use crate::remote::view::took;
use crate::remote::watch::{Over, failed_cases};
use http_api::api::wire::CaseShown;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

const PIECE_BYTES: usize = 64 * 1024;
/// How often a report whose transfer breaks is fetched.
const ATTEMPTS: u32 = 3;

/// Fetches every report that was asked for.
///
/// # Errors
/// A report that was asked for cannot be fetched or written.
pub(super) fn write_reports(
    client: &Client,
    console: &mut Console<'_>,
    run: &str,
    reports: &ReportPaths,
) -> Result<(), Problem> {
    let names =
        [("junit", "junit.xml"), ("json", "report.json"), ("ctrf", "ctrf.json"), ("html", "report.html")];
    for (kind, path) in reports.files() {
        let name = names.iter().find(|(of, _)| *of == kind).map_or(kind, |(_, name)| *name);
        to_file(client, run, name, path)?;
        let shown = path.display().to_string();
        console.chat(&[labelled(Tone::Faint, kind, None).with(Tone::Accent, shown)]);
    }
    if reports.json == Some(JsonTarget::Stdout) {
        pour(client, run, "report.json", &mut |piece| {
            if console.bytes(piece) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        })?;
    }
    Ok(())
}

fn to_file(client: &Client, run: &str, name: &str, path: &Path) -> Result<(), Problem> {
    let mut attempt = 1;
    loop {
        let mut file = File::create(path).map_err(|error| {
            Problem::could_not_run(format!("the report cannot be written to `{}`", path.display()))
                .hint("make room or choose another place")
                .because(error)
        })?;
        match pour(client, run, name, &mut |piece| file.write_all(piece)) {
            Err(problem) if attempt == ATTEMPTS => return Err(problem),
            Err(_) => attempt += 1,
            Ok(()) => return Ok(()),
        }
    }
}

fn pour(
    client: &Client,
    run: &str,
    name: &str,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Problem> {
    let failed = |error: io::Error| {
        Problem::could_not_run(format!("the report `{name}` of `{run}` could not be fetched whole"))
            .because(error)
    };
    let (_, mut body) =
        client.stream(&Route::new(&["v1", "runs", run, "reports", name])).map_err(Problem::from)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = body.read(&mut piece).map_err(failed)?;
        match piece.get(..read) {
            Some(bytes) if !bytes.is_empty() => take(bytes).map_err(failed)?,
            Some(_) | None => return Ok(()),
        }
    }
}

impl Session<'_, '_> {
    /// Writes the job's summary and prints the annotations, in a job of GitHub Actions.
    pub(super) fn tell_github(&mut self, over: &Over, root: &Path) {
        let Some(github) = self.config.ci.as_ref().and_then(|ci| ci.github.as_ref()) else { return };
        let failed = failed_cases(self.client, &over.run.id, &over.run, ANNOTATIONS);
        match github.tell(&told(over, &failed, root, (self.console.now)())) {
            Ok(annotations) => {
                // GitHub takes commands from both streams; stdout may be somebody's data.
                let lines: Vec<Line> = annotations.into_iter().map(|line| Line::new().plain(line)).collect();
                self.console.chat(&lines);
            }
            Err(error) => self.console.note(&format!("the summary of the job cannot be written: {error}")),
        }
    }
}

fn told(over: &Over, failed: &[CaseShown], root: &Path, now: shared::domain::time::Timestamp) -> Told {
    let run = &over.run;
    let counts = run.counts.clone().unwrap_or_default();
    let took = took(run.started_at.as_deref(), run.finished_at.as_deref(), now);
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    let failed_total = failures(&counts);
    Told {
        verdict: run.verdict.clone().unwrap_or_default(),
        run: run.id.clone(),
        sentence: format!("{}{took}", counted(&counts)),
        cause: run
            .cause
            .as_ref()
            .filter(|cause| cause.code != "tests_failed")
            .map(|cause| cause.message.clone()),
        failed: failed.iter().map(failed_case).collect(),
        failed_total,
        rerun: (failed_total > 0).then(|| format!("fleetest rerun {} --failed", run.id)),
        root: Some(root.to_owned()),
    }
}

fn failed_case(case: &CaseShown) -> FailedCase {
    FailedCase {
        job: case.job_name.clone(),
        case: case.id.clone(),
        outcome: case.outcome.clone(),
        file: case.file.clone(),
        line: case.line,
        message: case.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
    }
}
