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
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        let mut outlets = Vec::new();
        for place in &wanted {
            outlets.push(Outlet::open(place).map_err(|error| unwritable(place, error))?);
        }
        if keep {
            match Outlet::open(&JsonTarget::File(folder.join(name))) {
                Ok(outlet) => outlets.push(outlet),
                Err(error) => written.notes.push(format!("`{name}` is not kept: {error}")),
            }
        }
        copy(services, run, name, &mut outlets).await?;
        for target in wanted {
            if let JsonTarget::File(path) = target {
                written.reports.push((name.to_owned(), path));
            }
        }
    }
    if keep {
        point_last(&order.state_dir, run, &mut written);
    }
    Ok(written)
}

/// Where a report goes.
struct Outlet {
    place: JsonTarget,
    sink: Box<dyn Write + Send>,
}

impl Outlet {
    fn open(place: &JsonTarget) -> io::Result<Self> {
        let sink: Box<dyn Write + Send> = match place {
            JsonTarget::Stdout => Box::new(io::stdout()),
            JsonTarget::File(path) => Box::new(fs::File::create(path)?),
        };
        Ok(Self { place: place.clone(), sink })
    }
}

/// Copies a report to every outlet, a piece at a time.
async fn copy(services: &Services, run: RunId, name: &str, outlets: &mut [Outlet]) -> anyhow::Result<()> {
    let mut failed = None;
    let mut take = |piece: &[u8]| {
        for outlet in &mut *outlets {
            if let Err(error) = outlet.sink.write_all(piece).and_then(|()| outlet.sink.flush()) {
                failed = Some(unwritable(&outlet.place, error));
                return Err(io::ErrorKind::Other.into());
            }
        }
        Ok(())
    };
    let read = services.read_report(run, name, &mut take).await;
    match (failed, read) {
        (Some(problem), _) => Err(problem.into()),
        (None, read) => read.map_err(explain),
    }
}

fn unwritable(place: &JsonTarget, error: io::Error) -> Problem {
    let place = match place {
        JsonTarget::Stdout => "stdout".to_owned(),
        JsonTarget::File(path) => format!("`{}`", path.display()),
    };
    Problem::could_not_run(format!("the report cannot be written to {place}"))
        .hint("make room or choose another place")
        .because(error)
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

fn point_last(state: &Path, run: RunId, written: &mut Written) {
    let shown = match history::point_last(state, run) {
        Ok(()) => history::last_folder(state),
        Err(_) => history::run_folder(state, run),
    };
    written.reports.push(("html".to_owned(), shown.join("report.html")));
}

/// Forgets the oldest runs, so that with `run` the number of those that are kept is right.
pub(super) async fn forget_oldest(services: Arc<Services>, state: PathBuf, run: RunId) {
    for old in expired(&state, run) {
        // What cannot be removed now is tried again with the next run.
        drop(services.forget(old).await);
        drop(remove_blobs(&services, old).await);
    }
    drop(history::prune(&state, history::KEPT_RUNS, run));
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable().because(error)),
    }
}
