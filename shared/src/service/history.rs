//! History of a project's suites: read for planning, written when a run is over.
//!
//! Predictions never decide what runs, so a history that is lost or stale costs time only; a conflict while
//! writing it is resolved by whoever writes last.

use super::repository::{Commit, load};
use super::{ServiceResult, Services};
use crate::domain::id::ProjectId;
use crate::domain::predict::Details;
use crate::domain::queue::lease::Lease;
use crate::domain::statistics::{KEEP_RUNS, SuiteHead, SuiteStats, UnitDetail, UnitPage};
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitEvent;
use crate::ports::{COMMIT_LIMIT, Condition, Key, PortError, PortResult, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What a job's run showed.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) details: BTreeMap<String, UnitDetail>,
    pub(crate) overheads_us: BTreeMap<String, u64>,
    pub(crate) setup_ms: Option<u64>,
    /// Whether the whole suite ran: only then may what was not seen be forgotten.
    pub(crate) whole: bool,
}

impl Observed {
    /// Takes note of the time a unit spent outside its cases.
    pub(crate) fn overhead(&mut self, lease: &Lease, event: &UnitEvent) {
        let UnitEvent::Finished { entry, overhead_us, .. } = event else { return };
        if let Some(held) = lease.entries.iter().find(|held| held.index == *entry && held.attempt == 1) {
            let known = self.overheads_us.entry(held.unit.clone()).or_default();
            *known = (*known).max(*overhead_us);
        }
    }
}

/// Writes many documents, as few at a time as one commit takes.
#[derive(Debug, Default)]
struct Book {
    commit: Commit,
    writes: usize,
}

impl Book {
    async fn write(&mut self, services: &Services, key: Key, value: &impl Serialize) -> PortResult<()> {
        if self.writes == COMMIT_LIMIT {
            std::mem::take(&mut self.commit).perform(services.store.as_ref()).await?;
            self.writes = 0;
        }
        self.writes += 1;
        self.commit.put(key, Condition::Any, value, None)
    }
}

fn history_partition(project: &ProjectId) -> String {
    format!("history#{project}")
}

fn head_key(project: &ProjectId, job: &str) -> Key {
    Key::new(history_partition(project), format!("suite#{job}#head"))
}

fn page_key(project: &ProjectId, job: &str, page: u32) -> Key {
    Key::new(history_partition(project), format!("suite#{job}#page#{page:06}"))
}

fn detail_key(project: &ProjectId, job: &str, unit: &str, page: u32) -> Key {
    let digest = crate::domain::id::digest_hex(unit);
    let short: String = digest.chars().take(32).collect();
    Key::new(history_partition(project), format!("cases#{job}#{short}#{page:05}"))
}

/// Loads a document of the history; one that cannot be understood, as an older version wrote it, is none.
async fn remembered<T: DeserializeOwned>(
    store: &dyn Store,
    key: &Key,
    now: Timestamp,
) -> PortResult<Option<T>> {
    match load(store, key, now).await {
        Ok(found) => Ok(found.map(|stored| stored.value)),
        Err(PortError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Services {
    /// Everything known of a job's units; empty if it never ran.
    pub(crate) async fn suite_history(&self, project: &ProjectId, job: &str) -> ServiceResult<SuiteStats> {
        if !self.settings.keep_history {
            return Ok(SuiteStats::default());
        }
        let now = self.clock.now();
        let store = self.store.as_ref();
        let Some(head) = remembered::<SuiteHead>(store, &head_key(project, job), now).await? else {
            return Ok(SuiteStats::default());
        };
        let mut pages: Vec<UnitPage> = Vec::new();
        for page in 0..head.pages {
            pages.extend(remembered(store, &page_key(project, job, page), now).await?);
        }
        Ok(SuiteStats::from_pages(head, pages))
    }

    /// Case statistics of some units.
    pub(crate) async fn case_history(
        &self,
        project: &ProjectId,
        job: &str,
        history: &SuiteStats,
        units: &[String],
    ) -> ServiceResult<Details> {
        let mut details = Details::new();
        for unit in units {
            let detail = self.unit_detail(project, job, history, unit).await?;
            details.insert(unit.clone(), detail.cases);
        }
        Ok(details)
    }

    pub(crate) async fn unit_detail(
        &self,
        project: &ProjectId,
        job: &str,
        history: &SuiteStats,
        unit: &str,
    ) -> ServiceResult<UnitDetail> {
        let now = self.clock.now();
        let count = history.units.get(unit).map_or(0, |unit| unit.case_pages);
        let mut pages: Vec<UnitDetail> = Vec::new();
        for page in 0..count {
            let key = detail_key(project, job, unit, page);
            pages.extend(remembered(self.store.as_ref(), &key, now).await?);
        }
        Ok(UnitDetail::from_pages(pages))
    }

    /// Turns what a finished job showed into history.
    pub(crate) async fn learn(
        &self,
        project: &ProjectId,
        job: &str,
        observed: Observed,
    ) -> ServiceResult<()> {
        if !self.settings.keep_history {
            return Ok(());
        }
        let mut history = self.suite_history(project, job).await?;
        if observed.whole {
            history.age(KEEP_RUNS);
        }
        history.observe_costs(observed.setup_ms, None);
        let run_no = history.head.run_no;
        let Observed { details, overheads_us, whole, .. } = observed;
        let mut book = Book::default();
        for (unit, mut detail) in details {
            if whole {
                detail.age(run_no, KEEP_RUNS);
            }
            history.observe_unit(&unit, &detail, overheads_us.get(&unit).copied());
            for (page, detail) in (0u32..).zip(detail.to_pages()) {
                book.write(self, detail_key(project, job, &unit, page), &detail).await?;
            }
        }
        let (head, pages) = history.to_pages();
        for (page, units) in (0u32..).zip(pages) {
            book.write(self, page_key(project, job, page), &units).await?;
        }
        book.write(self, head_key(project, job), &head).await?;
        book.commit.perform(self.store.as_ref()).await?;
        Ok(())
    }
}
