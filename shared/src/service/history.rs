//! History of a project's suites: read for planning, written when a run is over.
//!
//! Predictions never decide what runs, so a history that is lost or stale costs time only; a conflict while
//! writing it is resolved by whoever writes last.

use super::repository::{Commit, load, parse};
use super::{ServiceResult, Services};
use crate::domain::id::ProjectId;
use crate::domain::predict::Details;
use crate::domain::queue::lease::Lease;
use crate::domain::run::Job;
use crate::domain::statistics::{
    KEEP_RUNS, Notable, NotableCase, NotableKind, SuiteHead, SuiteStats, UnitDetail, UnitPage,
};
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitEvent;
use crate::ports::{COMMIT_LIMIT, Condition, Key, PortError, PortResult, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Runs whose results cannot be learned twice; an aggregation that is older than so many runs is long dead.
const LEARNED_KEPT: usize = 16;
/// Lists of cases of note read at a time.
const NOTABLE_JOBS: usize = 20;

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

    /// Turns what a finished job showed into history, once for each run.
    pub(crate) async fn learn(
        &self,
        project: &ProjectId,
        job: &Job,
        observed: Observed,
    ) -> ServiceResult<()> {
        if !self.settings.keep_history {
            return Ok(());
        }
        let (run, job) = (job.run, job.spec.name.as_str());
        let mut history = self.suite_history(project, job).await?;
        // The head is written last: a run that is in it was learned from, whole.
        if history.head.learned.contains(&run) {
            return Ok(());
        }
        history.head.learned.insert(0, run);
        history.head.learned.truncate(LEARNED_KEPT);
        if observed.whole {
            history.age(KEEP_RUNS);
        }
        history.observe_costs(observed.setup_ms, None);
        let run_no = history.head.run_no;
        let Observed { details, overheads_us, whole, .. } = observed;
        let mut notable = self.notable_of(project, job).await?;
        notable.renew(run, &details, whole);
        let mut pages = Pages::new(self.store.as_ref());
        for (kind, list) in NotableKind::ALL.iter().zip([&notable.flaky, &notable.slow, &notable.broken]) {
            pages.put(notable_key(project, job, *kind), list).await?;
        }
        for (unit, mut detail) in details {
            if whole {
                detail.age(run_no, KEEP_RUNS);
            }
            history.observe_unit(&unit, &detail, overheads_us.get(&unit).copied());
            for (page, detail) in (0u32..).zip(detail.into_pages()) {
                pages.put(detail_key(project, job, &unit, page), &detail).await?;
            }
        }
        let (head, units) = history.into_pages();
        for (page, units) in (0u32..).zip(units) {
            pages.put(page_key(project, job, page), &units).await?;
        }
        pages.put(head_key(project, job), &head).await?;
        pages.finish().await?;
        Ok(())
    }
}

fn notable_prefix(kind: NotableKind) -> String {
    format!("notable#{}#", kind.as_str())
}

fn notable_key(project: &ProjectId, job: &str, kind: NotableKind) -> Key {
    Key::new(history_partition(project), format!("{}{job}", notable_prefix(kind)))
}

impl Services {
    async fn notable_of(&self, project: &ProjectId, job: &str) -> ServiceResult<Notable> {
        let (now, store) = (self.clock.now(), self.store.as_ref());
        let mut lists = Vec::new();
        for kind in NotableKind::ALL {
            let list: Option<Vec<NotableCase>> =
                remembered(store, &notable_key(project, job, kind), now).await?;
            lists.push(list.unwrap_or_default());
        }
        let mut lists = lists.into_iter();
        let mut next = || lists.next().unwrap_or_default();
        Ok(Notable { flaky: next(), slow: next(), broken: next() })
    }

    /// The cases of note of every job of a project, with the job's name, the most notable first.
    ///
    /// # Errors
    /// Port errors.
    pub async fn notable(
        &self,
        project: &ProjectId,
        kind: NotableKind,
    ) -> ServiceResult<Vec<(String, NotableCase)>> {
        let now = self.clock.now();
        let (partition, prefix) = (history_partition(project), notable_prefix(kind));
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.query(&partition, &prefix, after.as_deref(), NOTABLE_JOBS, now).await?;
            for document in &page.documents {
                let job = document.key.sort.strip_prefix(&prefix).unwrap_or_default();
                let list: Vec<NotableCase> = parse(document)?.value;
                found.extend(list.into_iter().map(|case| (job.to_owned(), case)));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        kind.sort(&mut found);
        Ok(found)
    }
}

/// Documents written a commit at a time, so that few are in memory.
struct Pages<'a> {
    store: &'a dyn Store,
    commit: Commit,
    waiting: usize,
}

impl<'a> Pages<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Self { store, commit: Commit::new(), waiting: 0 }
    }

    async fn put<T: Serialize + Sync>(&mut self, key: Key, value: &T) -> PortResult<()> {
        self.commit.put(key, Condition::Any, value, None)?;
        self.waiting += 1;
        if self.waiting == COMMIT_LIMIT {
            self.finish().await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> PortResult<()> {
        self.waiting = 0;
        std::mem::take(&mut self.commit).perform(self.store).await
    }
}
