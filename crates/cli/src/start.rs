//! `fleetest run` from its arguments to its exit code: the order in which everything happens.

use crate::args::RunArgs;
use crate::config::Config;
use crate::engine::{RunOrder, local};
use crate::exit::{Exit, Problem};
use crate::git;
use crate::interrupt::{self, StopFlag};
use crate::order::{Project, specify};
use crate::progress::terminal::{Mode, leave};
use crate::project::{Origin, Repository, Target};
use crate::run::{Conduct, Prepared, conduct, display, prepare, wall_clock};
use crate::suites;
use runner::config::git_environment;
use runner::session::control::Control;
use runner::source::{SourceError, fetch_local, fetch_remote};
use shared::domain::config::jobs;
use shared::domain::filter::Filter;
use shared::domain::id::JobNo;
use shared::domain::spec::{ChosenUnit, Framework, Source, SuiteSpec};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Runs the tests that the arguments ask for.
///
/// # Errors
/// Anything that keeps a run from being judged.
pub fn run(args: &RunArgs, config: &Config) -> anyhow::Result<Exit> {
    if let Some(expression) = &args.filter {
        Filter::parse(expression).map_err(|error| {
            Problem::usage(format!("`--filter {expression}` cannot be understood")).because(error)
        })?;
    }
    let mut prepared = prepare(args, config, wall_clock())?;
    let checkout = Checkout::of(&prepared)?;
    // git takes as long as finding the suites does, and neither needs the other.
    let root = checkout.root.clone();
    let revision = std::thread::spawn(move || git::revision(&root, git::PATIENCE));
    let found = suites::find(&checkout.root)?;
    let chosen = if args.failed { failed(&prepared)? } else { Vec::new() };
    let project = Project {
        id: prepared.target.project(),
        source: Source::Directory { path: checkout.root.display().to_string() },
        // Knowing it makes reports better and nothing depends on it.
        revision: revision.join().unwrap_or_default(),
        suites: found.suites,
        chosen,
    };
    let mut specified = specify(args, project)?;
    if args.timeout.is_none() {
        specified.spec.timeout_ms = found.timeout_ms.unwrap_or(specified.spec.timeout_ms);
    }
    specified.spec.fail_fast = specified.spec.fail_fast.or(found.fail_fast);
    prepared.notes.splice(0..0, found.reasons);
    prepared.notes.extend(specified.notes);
    prepared.notes.extend(not_heeded(&specified.spec.suites));
    let jobs = jobs(&specified.spec).map_err(|error| Problem::usage(error.to_string()))?;
    if jobs.is_empty() {
        return Err(Problem::no_tests("no case of these suites failed in the last run").into());
    }
    let names = (1..).map(JobNo).zip(jobs.into_iter().map(|job| job.name)).collect();
    let display = display(args, config);
    let stop = StopFlag::default();
    let live = display.mode == Mode::Live;
    interrupt::listen(stop.clone(), move || {
        if live {
            leave();
        }
    })?;
    let order = RunOrder {
        spec: specified.spec,
        slots: args.slots.map(std::num::NonZero::get),
        state_dir: prepared.state.dir().to_owned(),
        keep_history: prepared.state.is_kept(),
        reports: prepared.reports.clone(),
    };
    let github = config.ci.as_ref().and_then(|ci| ci.github.as_ref());
    let shown =
        Conduct { args, prepared: &prepared, display, jobs: names, filter_of: Filter::exact, stop, github };
    conduct(&shown, order, local::execute)
}

/// Keys of the configuration that are understood and have no effect yet: nobody should wait for their results.
fn not_heeded(suites: &[SuiteSpec]) -> Vec<String> {
    let unused = |suite: &SuiteSpec| {
        let keys = [
            ("coverage", !suite.coverage.is_empty()),
            ("paths", !suite.paths.is_empty() && suite.framework != Framework::Pytest),
            ("args", !suite.args.is_empty() && suite.framework == Framework::Command),
        ];
        keys.into_iter().filter(|(_, set)| *set).map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>()
    };
    suites
        .iter()
        .map(|suite| (suite, unused(suite)))
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(suite, keys)| format!("{} of suite `{}` has no effect yet", keys.join(", "), suite.name))
        .collect()
}

/// The cases that failed last, to be run instead of all.
fn failed(prepared: &Prepared) -> Result<Vec<ChosenUnit>, Problem> {
    match local::recall_failed(prepared.state.dir())? {
        None => Err(Problem::could_not_run("`--failed` needs a run before this one, and there was none")
            .hint("run once without `--failed`")),
        Some(failed) if failed.is_empty() => Err(Problem::no_tests("no case failed in the last run")),
        Some(failed) => Ok(failed),
    }
}

/// The source on disk; a cloned one is removed with this value.
struct Checkout {
    root: PathBuf,
    _clone: Option<TempDir>,
}

impl Checkout {
    fn of(prepared: &Prepared) -> Result<Self, Problem> {
        match &prepared.target {
            Target::Directory(path) => Ok(Self { root: path.clone(), _clone: None }),
            Target::Repository(repository) => {
                let made = tempfile::Builder::new().prefix("source-").tempdir_in(prepared.state.dir());
                let clone = made.map_err(|error| {
                    Problem::could_not_run("no folder can be made to clone into").because(error)
                })?;
                let root = clone.path().join("source");
                fetch(repository, &root).map_err(|error| {
                    let detail = error.detail();
                    let problem = Problem::could_not_run(error.to_string());
                    if detail.is_empty() { problem } else { problem.hint(detail) }
                })?;
                Ok(Self { root, _clone: Some(clone) })
            }
        }
    }
}

fn fetch(repository: &Repository, dest: &Path) -> Result<String, SourceError> {
    let reference = repository.reference.as_deref().unwrap_or("HEAD");
    let environment = git_environment();
    let control = Control::default();
    match &repository.origin {
        Origin::Remote(url) => fetch_remote(url, reference, dest, &environment, &control),
        Origin::Bare(path) => fetch_local(path, reference, dest, &environment, &control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_effect_are_named() {
        let mut suite = SuiteSpec::new("unit", Framework::Pytest);
        suite.paths = vec!["tests".to_owned()];
        assert_eq!(not_heeded(std::slice::from_ref(&suite)), Vec::<String>::new());
        suite.coverage = vec!["coverage.xml".to_owned()];
        suite.framework = Framework::Cargo;
        assert_eq!(not_heeded(&[suite]), ["`coverage`, `paths` of suite `unit` has no effect yet"]);
    }
}
