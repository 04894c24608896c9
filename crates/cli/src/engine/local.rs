//! Executes a run in this process tree: the host in a thread of its own, runners as child processes.

use super::ground::STORE_FILE;
use super::host::{Host, explain};
use super::{Finished, RunOrder, reports};
use crate::ci::github::{ANNOTATIONS, FailedCase};
use crate::exit::Problem;
use crate::interrupt::StopFlag;
use crate::summary::Highlights;
use shared::domain::id::JobNo;
use shared::domain::report::{CaseRecord, RunSummary};
use shared::domain::spec::ChosenUnit;
use shared::ports::Notice;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

pub use super::reports::recall_failed;

/// Executes the order to its end.
///
/// # Errors
/// The state folder, the loopback port or a report cannot be used; a run that could not test anything is no error
/// but a judged run.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `conduct` hands an order over in")]
pub fn execute(order: RunOrder, notices: Sender<Notice>, stop: StopFlag) -> anyhow::Result<Finished> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&order, notices, &stop))
}

async fn run(order: &RunOrder, notices: Sender<Notice>, stop: &StopFlag) -> anyhow::Result<Finished> {
    let mut host = Host::start(order, notices).await?;
    let result = drive(&mut host, order, stop).await;
    if result.is_err() {
        host.abort();
    }
    result
}

/// The database as it lay when the run began. Files that are open work on after they were deleted, so nothing else would
/// show that what the run stands on is gone.
struct Footing {
    path: PathBuf,
    was: Option<(u64, u64)>,
}

impl Footing {
    fn of(order: &RunOrder) -> Self {
        let path = order.state_dir.join(STORE_FILE);
        Self { was: identity(&path), path }
    }

    fn check(&self) -> Result<(), Problem> {
        if self.was.is_some() && identity(&self.path) == self.was {
            return Ok(());
        }
        let path = self.path.display();
        Err(Problem::could_not_run(format!("`{path}` was removed or replaced while the tests ran"))
            .hint("find the test that cleans up too much; nothing of this run is kept"))
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

async fn drive(host: &mut Host, order: &RunOrder, stop: &StopFlag) -> anyhow::Result<Finished> {
    let abandoned = host.close_abandoned().await?;
    let footing = Footing::of(order);
    let run = host.submit(&order.spec).await?;
    // While the framework starts there is time for it.
    let forgetting = order.keep_history.then(|| {
        tokio::spawn(reports::forget_oldest(Arc::clone(&host.services), order.state_dir.clone(), run))
    });
    host.drive(run, stop).await?;
    if let Some(forgetting) = forgetting {
        drop(forgetting.await);
    }
    footing.check()?;
    let mut highlights = Highlights::default();
    let mut failed: BTreeMap<(u32, String), Vec<CaseRecord>> = BTreeMap::new();
    let mut told: Vec<(JobNo, FailedCase)> = Vec::new();
    let summary = host
        .services
        .visit_cases(run, |record| {
            highlights.fold(record);
            if told.len() < ANNOTATIONS {
                told.extend(FailedCase::of(record).map(|case| (record.job, case)));
            }
            if record.outcome().is_failure() {
                let mut bare = record.clone();
                bare.attempts.clear();
                bare.attempts.extend(record.last().map(|last| {
                    let mut last = last.clone();
                    last.output.clear();
                    last.failure = None;
                    last
                }));
                failed.entry((record.job.0, record.unit.clone())).or_default().push(bare);
            }
        })
        .await
        .map_err(explain)?;
    let mut written = reports::write(&host.services, order, run).await?;
    if abandoned > 0 {
        written.notes.push(format!("{abandoned} run that was killed before is closed as errored"));
    }
    if order.keep_history {
        let failed: Vec<ChosenUnit> = failed
            .into_iter()
            .filter_map(|((job, unit), records)| {
                let job = summary.jobs.iter().find(|summary| summary.job.0 == job)?.name.clone();
                let cases = records.iter().filter_map(|record| record.last()).map(|last| last.case.clone());
                Some(ChosenUnit { job, unit, cases: cases.collect() })
            })
            .collect();
        reports::remember_failed(&order.state_dir, &failed)?;
    }
    host.settle(stop).await;
    let failed = with_jobs(told, &summary);
    Ok(Finished { summary, highlights, reports: written.reports, notes: written.notes, failed })
}

/// The cases with the names of their jobs, where there are several to tell apart.
fn with_jobs(told: Vec<(JobNo, FailedCase)>, summary: &RunSummary) -> Vec<FailedCase> {
    let name =
        |job: JobNo| summary.jobs.iter().find(|known| known.job == job).filter(|_| summary.jobs.len() > 1);
    told.into_iter()
        .map(|(job, case)| FailedCase {
            job: name(job).map(|job| job.name.clone()).unwrap_or_default(),
            ..case
        })
        .collect()
}
