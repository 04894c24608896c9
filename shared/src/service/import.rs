//! Results of other places become a finished run of the project.
//!
//! The report is read, and its results are stored, as it comes; the run itself appears with the last commit. Then the
//! ordinary closing proves, judges, reports and learns: a reader cannot tell it from a run of ours. The same report of
//! the same commit, suite and build is one run, however often it is sent.

mod documents;

use super::repository::{Commit, Stored, load, project_partition};
use super::{ServiceError, ServiceResult, Services};
use crate::domain::id::{ProjectId, RunId};
use crate::domain::import::{ImportedJob, Importer};
use crate::domain::origin::{Origin, Trigger};
use crate::domain::parse::format::{AnyReader, Format};
use crate::domain::parse::{ParseReport, Reader, Severity};
use crate::domain::run::Run;
use crate::domain::verdict::{Cause, CauseCode};
use crate::ports::{Condition, Key, PortError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Input is read in pieces of this size, and its results are stored in between.
const PIECE_BYTES: usize = 256 * 1024;
/// Refusals that are listed one by one.
const LISTED: usize = 100;
const REASON_CHARS: usize = 300;

/// What is to be imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOrder {
    /// The project.
    pub project: ProjectId,
    /// Its repository, if it has one.
    pub repository: Option<String>,
    /// Format; without one it is found out.
    pub format: Option<Format>,
    /// The suite that the results belong to; without one, those that the report names.
    pub suite: Option<String>,
    /// Commit that was tested.
    pub commit: Option<String>,
    /// Its branch.
    pub branch: Option<String>,
    /// Number of its pull request.
    pub pull_request: Option<u64>,
    /// Where it ran: a number or an address of the CI's build. The same report of another build is another run.
    pub build: Option<String>,
    /// Who imports it.
    pub actor: String,
}

/// A part of a report that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotAccepted {
    /// Line of the report, counted from 1; absent if it is about the whole.
    pub line: Option<u64>,
    /// Column, counted from 1.
    pub column: Option<u64>,
    /// Why.
    pub reason: String,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The run.
    pub run: Stored<Run>,
    /// Results taken.
    pub accepted: u64,
    /// The first hundred parts that were not.
    pub not_accepted: Vec<NotAccepted>,
    /// How many parts were not.
    pub not_accepted_count: u64,
    /// Whether the same was imported before, and this is the run of then.
    pub repeated: bool,
}

/// What is remembered of an import, under the digest of what was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Receipt {
    run: RunId,
    accepted: u64,
    not_accepted: Vec<NotAccepted>,
    not_accepted_count: u64,
}

fn receipt_key(project: &ProjectId, digest: &str) -> Key {
    Key::new(project_partition(project), format!("import#{digest}"))
}

/// An import under way. Dropped without an end it leaves blobs that belong to no run.
#[derive(Debug)]
pub struct Import {
    services: Arc<Services>,
    order: ImportOrder,
    run: RunId,
    digest: Sha256,
    reader: AnyReader,
    importer: Importer,
}

impl Import {
    /// Begins an import.
    #[must_use]
    pub fn begin(services: &Arc<Services>, order: ImportOrder) -> Self {
        let run = RunId(services.ids.uuid());
        let importer = Importer::new(run, services.clock.now(), order.suite.as_deref());
        let reader = AnyReader::new(order.format);
        let digest = beginning(&order);
        Self { services: Arc::clone(services), order, run, digest, reader, importer }
    }

    /// Takes the next bytes of the report and stores the results that are complete by now.
    ///
    /// # Errors
    /// Port errors; the import cannot go on.
    pub async fn push(&mut self, bytes: &[u8]) -> ServiceResult<()> {
        self.digest.update(bytes);
        for piece in bytes.chunks(PIECE_BYTES) {
            let Self { reader, importer, .. } = self;
            reader.push(piece, &mut |case| importer.case(case));
            self.store().await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> ServiceResult<()> {
        for portion in self.importer.take() {
            self.services.store_chunk(&portion.lease, portion.part, &portion.events).await?;
        }
        Ok(())
    }

    /// Gives up: nothing of it stays.
    pub async fn abandon(self) {
        self.services.forget_import(self.run, &[]).await;
    }

    /// Ends the report: makes the run, closes it and tells what was not taken.
    ///
    /// # Errors
    /// `Invalid` if it is in no known format; port errors. Then nothing of it stays.
    pub async fn finish(mut self) -> ServiceResult<Imported> {
        let Self { reader, importer, .. } = &mut self;
        let report = reader.finish(&mut |case| importer.case(case));
        importer.finish();
        let ended = match self.end(&report).await {
            Ok(()) => self.save(report).await,
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        };
        let (services, receipt, repeated) = ended?;
        services.closed_import(receipt, repeated).await
    }

    async fn end(&mut self, report: &ParseReport) -> ServiceResult<()> {
        if self.reader.format().is_none() {
            let why = report.fault().map(|fault| fault.message.clone()).unwrap_or_default();
            return Err(ServiceError::Invalid(why));
        }
        self.store().await
    }

    /// Makes the run, or finds the one that was made of the same.
    async fn save(self, report: ParseReport) -> ServiceResult<(Arc<Services>, Receipt, bool)> {
        let Self { services, order, run, digest, importer, .. } = self;
        let key = receipt_key(&order.project, &hex::encode(digest.finalize()));
        let receipt = receipt(run, &importer, &report);
        let jobs = importer.into_jobs();
        let made = Making { services: &services, order: &order, run, jobs: &jobs, receipt: &receipt };
        match made.perform(&key).await {
            Ok(None) => Ok((services, receipt, false)),
            Ok(Some(earlier)) => {
                services.forget_import(run, &jobs).await;
                Ok((services, earlier, true))
            }
            Err(error) => {
                services.forget_import(run, &jobs).await;
                Err(error)
            }
        }
    }
}

/// The digest of everything that makes an import the same as another, each part with its length before it.
fn beginning(order: &ImportOrder) -> Sha256 {
    let mut digest = Sha256::new();
    let parts = [
        Some(order.project.0.as_str()),
        order.commit.as_deref(),
        order.suite.as_deref(),
        order.build.as_deref(),
    ];
    for part in parts {
        let text = part.unwrap_or_default();
        digest.update(format!("{}:{}:", u8::from(part.is_some()), text.len()));
        digest.update(text);
    }
    digest
}

fn receipt(run: RunId, importer: &Importer, report: &ParseReport) -> Receipt {
    let short = |text: &str| text.chars().take(REASON_CHARS).collect();
    let whole = importer.refused();
    let faults = report.issues.iter().filter(|issue| issue.severity == Severity::Fault);
    let placed = faults.map(|issue| NotAccepted {
        line: Some(issue.line),
        column: Some(issue.column),
        reason: short(&issue.message),
    });
    let not_accepted_count = report.faults.saturating_add(u64::try_from(whole.len()).unwrap_or(u64::MAX));
    let unplaced = whole.iter().map(|why| NotAccepted { line: None, column: None, reason: short(why) });
    let not_accepted = unplaced.chain(placed).take(LISTED).collect();
    Receipt { run, accepted: importer.accepted(), not_accepted, not_accepted_count }
}

/// Why the verdict of such an import can only be `errored`.
fn cause(receipt: &Receipt) -> Option<Cause> {
    let first = receipt.not_accepted.first()?;
    let place = first.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let message = format!(
        "{} part(s) of the imported report could not be taken; the first: {place}{}",
        receipt.not_accepted_count, first.reason
    );
    Some(Cause::new(CauseCode::ReportInvalid, message))
}

/// Everything of an import that is about to be saved.
struct Making<'m> {
    services: &'m Services,
    order: &'m ImportOrder,
    run: RunId,
    jobs: &'m [ImportedJob],
    receipt: &'m Receipt,
}

impl Making<'_> {
    /// Saves it; the receipt of then, if the same was imported before.
    async fn perform(&self, key: &Key) -> ServiceResult<Option<Receipt>> {
        let now = self.services.clock.now();
        let store = self.services.store.as_ref();
        let known: Option<Stored<Receipt>> = load(store, key, now).await?;
        if let Some(known) = &known
            && super::repository::load_run(store, known.value.run, now).await?.is_some()
        {
            return Ok(Some(known.value.clone()));
        }
        let spec = documents::spec(self.order, self.jobs);
        self.services.save_import_parts(self.run, &spec, self.jobs, cause(self.receipt)).await?;
        let origin = Origin {
            actor: self.order.actor.clone(),
            pull_request: self.order.pull_request,
            trigger: Trigger::Import,
            build: self.order.build.clone(),
            ..Origin::of(&spec)
        };
        let run = documents::run(self.run, origin, self.jobs, now);
        let mut commit = Commit::new();
        let condition = known.map_or(Condition::Absent, |known| Condition::Version(known.version));
        commit.put(key.clone(), condition, self.receipt, None)?;
        commit.put_run(Condition::Absent, &run, Some(super::submit::open_entry(&run)))?;
        match commit.perform(store).await {
            Ok(()) => Ok(None),
            Err(PortError::Conflict { .. }) => {
                // Someone sent the same at the same time, and was faster.
                let other: Option<Stored<Receipt>> = load(store, key, now).await?;
                let subject = key.to_string();
                let other = other.ok_or(PortError::Conflict { port: "store", subject })?;
                Ok(Some(other.value))
            }
            Err(error) => Err(error.into()),
        }
    }
}
