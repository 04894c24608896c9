//! Reports of a finished run: from the store to the places the user asked for and to `.fleetest/`.

use super::RunOrder;
use super::host::explain;
use crate::args::reports::JsonTarget;
use crate::exit::Problem;
use crate::history;
use shared::domain::id::RunId;
use shared::domain::spec::ChosenUnit;
use shared::service::report::REPORTS;
use shared::service::{ServiceError, Services};
use std::fs;
use std::io::Write;
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
        for target in wanted {
            let placed = match &target {
                JsonTarget::Stdout => copy(services, run, name, &mut std::io::stdout()).await,
                JsonTarget::File(path) => copy_to(services, run, name, path).await,
            };
            report_placed(&mut written, name, target, placed)?;
        }
        if keep && let Err(error) = copy_to(services, run, name, &folder.join(name)).await {
            written.notes.push(format!("`{name}` is not kept: {error}"));
        }
    }
    if keep {
        keep_newest(services, order, run, &mut written).await;
    }
    Ok(written)
}

/// Copies a report as it comes, so that its size does not matter.
async fn copy(
    services: &Services,
    run: RunId,
    name: &str,
    to: &mut (dyn Write + Send),
) -> Result<(), ServiceError> {
    services.read_report(run, name, &mut |piece| to.write_all(piece)).await?;
    to.flush().map_err(|error| ServiceError::Invalid(error.to_string()))
}

async fn copy_to(services: &Services, run: RunId, name: &str, path: &Path) -> Result<(), ServiceError> {
    let mut file = fs::File::create(path).map_err(|error| ServiceError::Invalid(error.to_string()))?;
    copy(services, run, name, &mut file).await
}

fn report_placed(
    written: &mut Written,
    name: &str,
    target: JsonTarget,
    placed: Result<(), ServiceError>,
) -> anyhow::Result<()> {
    match (target, placed) {
        (JsonTarget::Stdout, Ok(())) => {}
        (JsonTarget::File(path), Ok(())) => written.reports.push((name.to_owned(), path)),
        (_, Err(error @ ServiceError::Port(_))) => return Err(explain(error)),
        (JsonTarget::Stdout, Err(error)) => {
            let problem = Problem::could_not_run("the report cannot be written to stdout");
            return Err(problem.because(error).into());
        }
        (JsonTarget::File(path), Err(error)) => {
            let problem =
                Problem::could_not_run(format!("the report cannot be written to `{}`", path.display()));
            return Err(problem.hint("make room or choose another place").because(error).into());
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
