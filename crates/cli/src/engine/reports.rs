//! Reports of a finished run: from the store to the places the user asked for and to `.fleetest/`.

use super::RunOrder;
use super::host::explain;
use crate::args::reports::JsonTarget;
use crate::exit::Problem;
use crate::history;
use shared::domain::id::RunId;
use shared::domain::spec::ChosenUnit;
use shared::service::report::{REPORTS, report_key};
use shared::service::{ServiceError, Services};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// File of the state folder that names the cases that failed last.
pub(crate) const FAILED: &str = "failed.json";

/// What was written, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) reports: Vec<(String, PathBuf)>,
    pub(super) notes: Vec<String>,
}

/// Writes every report.
///
/// # Errors
/// A report that was asked for cannot be written.
pub(super) async fn write(services: &Services, order: &RunOrder, run: RunId) -> anyhow::Result<Written> {
    let mut written = Written::default();
    let folder = history::run_folder(&order.state_dir, run);
    let keep = order.keep_history && fs::create_dir_all(&folder).is_ok();
    for name in REPORTS {
        let wanted = wanted(order, name);
        if !keep && wanted.is_empty() {
            continue;
        }
        let bytes =
            services.blobs.fetch(&report_key(run, name), None).await.map_err(|e| explain(e.into()))?;
        for target in wanted {
            put(&mut written, name, target, &bytes)?;
        }
        if keep && let Err(error) = fs::write(folder.join(name), &bytes) {
            written.notes.push(format!("`{name}` is not kept: {error}"));
        }
    }
    if keep {
        keep_newest(services, order, run, &mut written).await;
    }
    Ok(written)
}

fn put(written: &mut Written, name: &str, target: JsonTarget, bytes: &[u8]) -> anyhow::Result<()> {
    match target {
        JsonTarget::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
                Problem::could_not_run("the report cannot be written to stdout").because(error)
            })?;
        }
        JsonTarget::File(path) => {
            fs::write(&path, bytes).map_err(|error| {
                Problem::could_not_run(format!("the report cannot be written to `{}`", path.display()))
                    .hint("make room or choose another place")
                    .because(error)
            })?;
            written.reports.push((name.to_owned(), path));
        }
    }
    Ok(())
}

fn wanted(order: &RunOrder, name: &str) -> Vec<JsonTarget> {
    let reports = &order.reports;
    let file = |path: &Option<PathBuf>| path.iter().cloned().map(JsonTarget::File).collect();
    match name {
        "report.json" => reports.json.iter().cloned().collect(),
        "junit.xml" => file(&reports.junit),
        "ctrf.json" => file(&reports.ctrf),
        "report.html" => file(&reports.html),
        _ => Vec::new(),
    }
}

/// Points `last` to this run and forgets the oldest ones.
async fn keep_newest(services: &Services, order: &RunOrder, run: RunId, written: &mut Written) {
    let state = &order.state_dir;
    let shown = match history::point_last(state, run) {
        Ok(()) => history::last_folder(state),
        Err(_) => history::run_folder(state, run),
    };
    written.reports.push(("html".to_owned(), shown.join("report.html")));
    for old in expired(state, run) {
        // What cannot be removed now is tried again after the next run.
        drop(services.forget(old).await);
        drop(remove_blobs(services, old).await);
    }
    drop(history::prune(state, history::KEPT_RUNS, run));
}

fn expired(state: &Path, run: RunId) -> Vec<RunId> {
    let names: Vec<String> = fs::read_dir(state.join("runs"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    history::expired(&names, history::KEPT_RUNS, run)
}

async fn remove_blobs(services: &Services, run: RunId) -> Result<(), ServiceError> {
    for key in services.blobs.list(&format!("runs/{run}/")).await? {
        services.blobs.delete(&key).await?;
    }
    Ok(())
}

/// Remembers which cases failed, for `--failed`.
pub(super) fn remember_failed(state: &Path, failed: &[ChosenUnit]) -> anyhow::Result<()> {
    fs::write(state.join(FAILED), serde_json::to_vec(failed)?)?;
    Ok(())
}

/// The cases that failed in the last run; `None` if there was none.
///
/// # Errors
/// The file cannot be read.
pub fn recall_failed(state: &Path) -> Result<Option<Vec<ChosenUnit>>, Problem> {
    let path = state.join(FAILED);
    let unreadable = || {
        Problem::could_not_run(format!("`{}` cannot be read", path.display()))
            .hint("run once without `--failed`")
    };
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable().because(error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable().because(error)),
    }
}
