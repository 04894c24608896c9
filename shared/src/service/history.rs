//! History of a project's suites: read for planning, written when a run is over.
//!
//! Predictions never decide what runs, so a history that is lost or stale costs time only; a conflict while
//! writing it is resolved by whoever writes last.

use super::repository::{Commit, parse};
use super::{ServiceResult, Services};
use crate::domain::id::ProjectId;
use crate::domain::predict::Details;
use crate::domain::queue::lease::Lease;
use crate::domain::report::CaseRecord;
use crate::domain::run::Job;
use crate::domain::statistics::{
    KEEP_RUNS, Notable, NotableCase, NotableKind, SuiteHead, SuiteStats, UnitDetail, UnitPage,
};
use crate::domain::unit::UnitEvent;
use crate::ports::{COMMIT_LIMIT, Condition, Document, Key, PortError, PortResult, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// Runs whose results cannot be learned twice; an aggregation that is older than so many runs is long dead.
const LEARNED_KEPT: usize = 16;
/// Pages of case statistics read at a time.
const DETAILS_AT_ONCE: usize = 100;
/// Pages are written once so many bytes of them wait: more would take a table's capacity of seconds in one go.
const PAGES_BYTES: usize = 256 * 1024;
/// Lists of cases of note read at a time.
const NOTABLE_JOBS: usize = 20;

/// What a job's run showed.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) details: BTreeMap<String, UnitDetail>,
    pub(crate) overheads_us: BTreeMap<String, u64>,
    pub(crate) setup_ms: Option<u64>,
    /// Whether anybody will learn from it.
    pub(crate) learns: bool,
    /// What was known of the suite before.
    pub(crate) known: SuiteStats,
    /// What was known of its units' cases before, as far as it is not in `details` by now.
    pub(crate) before: BTreeMap<String, UnitDetail>,
    /// Number of the suite's run.
    pub(crate) run_no: u32,
    /// Whether the whole suite ran: only then may what was not seen be forgotten.
    pub(crate) whole: bool,
}

impl Observed {
    /// Takes note of a case.
    pub(crate) fn record(&mut self, record: &CaseRecord) {
        if !self.learns {
            return;
        }
        if !self.details.contains_key(&record.unit) {
            let before = self.before.remove(&record.unit).unwrap_or_default();
            self.details.insert(record.unit.clone(), before);
        }
        if let Some(detail) = self.details.get_mut(&record.unit) {
            detail.observe(record, self.run_no);
        }
    }

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

/// Pages are long and written all at once, so each has a partition of its own.
fn own_partition(project: &ProjectId, of: &str, page: u32) -> String {
    let digest = crate::domain::id::digest_hex(of);
    let short: String = digest.chars().take(32).collect();
    format!("{}#{short}#{page:05}", history_partition(project))
}

fn page_key(project: &ProjectId, job: &str, page: u32) -> Key {
    Key::new(own_partition(project, job, page), "units")
}

fn detail_key(project: &ProjectId, job: &str, unit: &str, page: u32) -> Key {
    Key::new(own_partition(project, &format!("{job}\0{unit}"), page), "cases")
}

/// A document of the history; one that cannot be understood, as an older version wrote it, is none.
fn remembered<T: DeserializeOwned>(found: Option<&Document>) -> PortResult<Option<T>> {
    match found.map(parse).transpose() {
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
        let (now, store) = (self.clock.now(), self.store.as_ref());
        // Most suites have no more than one page.
        let mut found = store.load_many(&[head_key(project, job), page_key(project, job, 0)], now).await?;
        let first: Option<UnitPage> = remembered(found.pop().flatten().as_ref())?;
        let Some(head) = remembered::<SuiteHead>(found.pop().flatten().as_ref())? else {
            return Ok(SuiteStats::default());
        };
        let mut pages: Vec<UnitPage> = first.into_iter().filter(|_| head.pages > 0).collect();
        let keys: Vec<Key> = (1..head.pages).map(|page| page_key(project, job, page)).collect();
        if !keys.is_empty() {
            for page in store.load_many(&keys, now).await? {
                pages.extend(remembered(page.as_ref())?);
            }
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
        let units = units.iter().map(String::as_str).collect();
        let details = self.unit_details(project, job, history, &units).await?;
        Ok(details.into_iter().map(|(unit, detail)| (unit, detail.cases)).collect())
    }

    /// What history knows of the cases of some units, with an entry for each of them.
    pub(crate) async fn unit_details(
        &self,
        project: &ProjectId,
        job: &str,
        history: &SuiteStats,
        units: &BTreeSet<&str>,
    ) -> ServiceResult<BTreeMap<String, UnitDetail>> {
        let mut pages: BTreeMap<String, Vec<UnitDetail>> = BTreeMap::new();
        let mut wanted: Vec<(&str, Key)> = Vec::new();
        for unit in units {
            pages.insert((*unit).to_owned(), Vec::new());
            let count = history.units.get(*unit).map_or(0, |unit| unit.case_pages);
            wanted.extend((0..count).map(|page| (*unit, detail_key(project, job, unit, page))));
        }
        for some in wanted.chunks(DETAILS_AT_ONCE) {
            let keys: Vec<Key> = some.iter().map(|(_, key)| key.clone()).collect();
            let found = self.store.load_many(&keys, self.clock.now()).await?;
            for ((unit, _), document) in some.iter().zip(found) {
                if let Some(known) = pages.get_mut(*unit) {
                    known.extend(remembered::<UnitDetail>(document.as_ref())?);
                }
            }
        }
        Ok(pages.into_iter().map(|(unit, pages)| (unit, UnitDetail::from_pages(pages))).collect())
    }

    pub(crate) async fn unit_detail(
        &self,
        project: &ProjectId,
        job: &str,
        history: &SuiteStats,
        unit: &str,
    ) -> ServiceResult<UnitDetail> {
        let details = self.unit_details(project, job, history, &BTreeSet::from([unit])).await?;
        Ok(details.into_values().next().unwrap_or_default())
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
        let Observed { details, overheads_us, whole, known, setup_ms, .. } = observed;
        let (head, mut notable) = self.head_and_notable(project, job).await?;
        // The head is written last: a run that is in it was learned from, whole.
        if head.learned.contains(&run) {
            return Ok(());
        }
        // Somebody else may have learned something in the meantime.
        let mut history = if head == known.head { known } else { self.suite_history(project, job).await? };
        history.head.learned.insert(0, run);
        history.head.learned.truncate(LEARNED_KEPT);
        if whole {
            history.age(KEEP_RUNS);
        }
        history.observe_costs(setup_ms, None);
        let run_no = history.head.run_no;
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
    async fn head_and_notable(&self, project: &ProjectId, job: &str) -> ServiceResult<(SuiteHead, Notable)> {
        let mut keys = vec![head_key(project, job)];
        keys.extend(NotableKind::ALL.map(|kind| notable_key(project, job, kind)));
        let mut found = self.store.load_many(&keys, self.clock.now()).await?.into_iter();
        let head = remembered(found.next().flatten().as_ref())?.unwrap_or_default();
        let mut next = || PortResult::Ok(remembered(found.next().flatten().as_ref())?.unwrap_or_default());
        Ok((head, Notable { flaky: next()?, slow: next()?, broken: next()? }))
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

/// Documents written a commit at a time, so that few are in memory and none of the commits is a large one.
struct Pages<'a> {
    store: &'a dyn Store,
    commit: Commit,
}

impl<'a> Pages<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Self { store, commit: Commit::new() }
    }

    async fn put<T: Serialize + Sync>(&mut self, key: Key, value: &T) -> PortResult<()> {
        self.commit.put(key, Condition::Any, value, None)?;
        if self.commit.len() == COMMIT_LIMIT || self.commit.bytes() >= PAGES_BYTES {
            self.finish().await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> PortResult<()> {
        std::mem::take(&mut self.commit).perform(self.store).await
    }
}
