//! Bodies of queue entries: immutable pages of the manifest as blobs, appended groups as documents.
//!
//! The queue itself knows numbers only. A page never changes once written; a group of appended entries is
//! committed together with the queue that counts them, so a number always has exactly one body.

use super::repository::{Commit, Stored, append_key, load, load_all, partition};
use super::{ServiceResult, Services};
use crate::domain::id::{JobNo, RunId, digest_hex};
use crate::domain::queue::Queue;
use crate::domain::queue::grant::WINDOW;
use crate::domain::time::Timestamp;
use crate::domain::unit::{Entry, LeasedEntry};
use crate::ports::PortError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Entries in one page of the manifest.
const PAGE: u32 = 64;
/// Groups larger than this become a blob that the document points to.
const INLINE_BYTES: usize = 48 * 1024;

/// A group of appended entries, numbered from `first` on.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    first: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
}

fn corrupt(subject: &str, reason: &dyn std::fmt::Display) -> PortError {
    PortError::Corrupt { port: "blobs", subject: subject.to_owned(), reason: reason.to_string() }
}

/// Where the entries of a job are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobPlace<'a> {
    pub(crate) run: RunId,
    pub(crate) job: JobNo,
    pub(crate) pages: &'a str,
    pub(crate) manifest_len: u32,
}

/// Folder of a job's blobs.
#[must_use]
pub fn job_folder(run: RunId, job: JobNo) -> String {
    format!("runs/{run}/jobs/{:05}", job.0)
}

fn page_key(run: RunId, job: JobNo, digest: &str, page: u32) -> String {
    let short: String = digest.chars().take(16).collect();
    format!("{}/entries/{short}-{page:06}.json", job_folder(run, job))
}

/// Whether a blob holds entries: its name says which, so it never changes.
pub(crate) fn is_entries(key: &str) -> bool {
    key.contains("/entries/")
}

impl Services {
    /// Writes the pages of a manifest and returns their digest. They are named by it, so two runners whose manifests
    /// are planned differently never overwrite each other's: what the queue counts is what its pages hold.
    pub(crate) async fn store_manifest(
        &self,
        run: RunId,
        job: JobNo,
        entries: &[Entry],
    ) -> ServiceResult<String> {
        let whole = serde_json::to_string(entries).map_err(|error| corrupt("entries", &error))?;
        let digest = digest_hex(&whole);
        drop(whole);
        for (page, part) in (0u32..).zip(entries.chunks(PAGE as usize)) {
            let key = page_key(run, job, &digest, page);
            let bytes = serde_json::to_vec(part).map_err(|error| corrupt(&key, &error))?;
            self.blobs.put(&key, bytes).await?;
        }
        Ok(digest)
    }

    /// Puts a group of appended entries into the commit that counts them; `first` is the number of the first.
    pub(crate) async fn append_entries(
        &self,
        commit: &mut Commit,
        (run, job): (RunId, JobNo),
        first: u32,
        entries: Vec<Entry>,
        unique: &str,
    ) -> ServiceResult<()> {
        let Some(last) = u32::try_from(entries.len()).ok().and_then(|n| (first + n).checked_sub(1)) else {
            return Ok(());
        };
        if entries.is_empty() {
            return Ok(());
        }
        let key = append_key(run, job, last);
        let mut group = Group { first, entries, blob: None };
        let bytes = serde_json::to_vec(&group.entries).map_err(|error| corrupt(&key.sort, &error))?;
        if bytes.len() > INLINE_BYTES {
            let blob = format!("{}/entries/appended-{unique}.json", job_folder(run, job));
            self.blobs.put(&blob, bytes).await?;
            group.entries.clear();
            group.blob = Some(blob);
        }
        commit.create(key, &group)?;
        Ok(())
    }

    /// The first free entries of the queue, at most a window of them.
    pub(crate) async fn window(
        &self,
        place: JobPlace<'_>,
        queue: &Queue,
        appended: &BTreeMap<u32, Entry>,
        now: Timestamp,
    ) -> ServiceResult<Vec<LeasedEntry>> {
        let wanted: Vec<u32> = queue.free.iter().take(WINDOW).collect();
        let mut bodies = self.bodies(place, &wanted, appended, now).await?;
        Ok(wanted
            .iter()
            .filter_map(|index| bodies.remove(index).map(|entry| LeasedEntry { index: *index, entry }))
            .collect())
    }

    /// The bodies of entries by number. `appended` holds bodies that are not committed yet.
    pub(crate) async fn bodies(
        &self,
        place: JobPlace<'_>,
        wanted: &[u32],
        appended: &BTreeMap<u32, Entry>,
        now: Timestamp,
    ) -> ServiceResult<BTreeMap<u32, Entry>> {
        let JobPlace { run, job, pages, manifest_len } = place;
        let mut found = BTreeMap::new();
        for index in wanted {
            if found.contains_key(index) {
                continue;
            }
            let (first, entries) = match appended.get(index) {
                Some(entry) => (*index, vec![entry.clone()]),
                None if *index < manifest_len => {
                    let page = index / PAGE;
                    (page * PAGE, self.blob_entries(&page_key(run, job, pages, page)).await?)
                }
                None => self.group(run, job, *index, now).await?,
            };
            let numbered = (first..).zip(entries).filter(|(number, _)| wanted.contains(number));
            found.extend(numbered);
            // An entry without a body would never be granted, and nobody would say why.
            if !found.contains_key(index) {
                let subject = format!("{}/entries", job_folder(run, job));
                return Err(corrupt(&subject, &format!("entry {index} has no body")).into());
            }
        }
        Ok(found)
    }

    /// Every entry that was appended to a job's queue after its manifest.
    pub(crate) async fn appended_entries(&self, run: RunId, job: JobNo) -> ServiceResult<Vec<Entry>> {
        let prefix = format!("append#{:05}#", job.0);
        let groups: Vec<Stored<Group>> =
            load_all(self.store.as_ref(), &partition(run), &prefix, self.clock.now()).await?;
        let mut appended = Vec::new();
        for group in groups {
            appended.extend(match &group.value.blob {
                Some(blob) => self.blob_entries(blob).await?,
                None => group.value.entries,
            });
        }
        Ok(appended)
    }

    async fn blob_entries(&self, key: &str) -> ServiceResult<Vec<Entry>> {
        let bytes = self.blobs.fetch(key, None).await?;
        Ok(serde_json::from_slice(&bytes).map_err(|error| corrupt(key, &error))?)
    }

    async fn group(
        &self,
        run: RunId,
        job: JobNo,
        index: u32,
        now: Timestamp,
    ) -> ServiceResult<(u32, Vec<Entry>)> {
        // Groups are keyed by their last number: the first key that is not before `index` holds it.
        let exact = append_key(run, job, index);
        let prefix = format!("append#{:05}#", job.0);
        let group = match load::<Group>(self.store.as_ref(), &exact, now).await? {
            Some(group) => Some(group),
            None => {
                let page = self.store.query(&partition(run), &prefix, Some(&exact.sort), 1, now).await?;
                page.documents.first().map(super::repository::parse::<Group>).transpose()?
            }
        };
        let Some(group) = group.map(|stored| stored.value).filter(|group| group.first <= index) else {
            return Err(corrupt(&exact.sort, &"the entry has no body").into());
        };
        let entries = match &group.blob {
            Some(blob) => self.blob_entries(blob).await?,
            None => group.entries,
        };
        Ok((group.first, entries))
    }
}
