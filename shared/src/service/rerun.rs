//! A run again: all of it, what failed in it, or chosen cases. It tests the same commit in the same way.

use super::{ServiceError, ServiceResult, Services};
use crate::domain::case::CaseId;
use crate::domain::case_page::{CaseFilter, OutcomeWanted};
use crate::domain::case_row::CaseRow;
use crate::domain::id::{CaseKey, RunId};
use crate::domain::origin::{Origin, Trigger};
use crate::domain::run::{Run, RunStatus};
use crate::domain::spec::{ChosenUnit, RunSpec};
use crate::service::submit::load_spec;
use std::collections::{BTreeMap, BTreeSet};

/// Cases that one rerun may choose.
pub const CHOSEN_LIMIT: usize = 50_000;
const PAGE: usize = 1000;

/// What is to be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// Everything that the run was asked for.
    All,
    /// The cases that failed.
    Failed,
    /// These cases.
    Chosen(Vec<CaseKey>),
}

impl Services {
    /// Makes a new run out of a finished one. It inherits that nobody has approved it yet.
    ///
    /// # Errors
    /// `Invalid` if the run is not over, if there is nothing to run again, or for a chosen case that it did not have;
    /// port errors.
    pub async fn rerun(&self, run: &Run, again: &Again, actor: &str) -> ServiceResult<RunId> {
        if run.status != RunStatus::Finished {
            return Err(ServiceError::Invalid(format!("`{}` is not over; wait for it or cancel it", run.id)));
        }
        if run.origin.trigger == Trigger::Import {
            let what = format!("`{}` was imported: its tests ran elsewhere and cannot be run here", run.id);
            return Err(ServiceError::Invalid(what));
        }
        let mut spec: RunSpec = load_spec(self, run.id).await?;
        match again {
            Again::All => {}
            Again::Failed => spec.chosen = self.failed_cases(run).await?,
            Again::Chosen(keys) => spec.chosen = self.chosen_cases(run, keys).await?,
        }
        if *again != Again::All && spec.chosen.is_empty() {
            let what = format!("no case of `{}` is to be run again (use `all` for the whole run)", run.id);
            return Err(ServiceError::Invalid(what));
        }
        if let Some(archive) = spec.source.archive() {
            let project = self.project(&run.origin.project).await?.value;
            if self.use_source(&project, archive.id).await?.is_none() {
                let what = format!("the source of `{}` is gone; start a new run", run.id);
                return Err(ServiceError::Invalid(what));
            }
        }
        let origin = Origin {
            trigger: Trigger::Rerun { of: run.id },
            actor: actor.to_owned(),
            limited: self.limit_of(&run.origin.project).await?.is_some(),
            ..run.origin.clone()
        };
        self.submit_from(RunId(self.ids.uuid()), &spec, origin).await
    }

    async fn failed_cases(&self, run: &Run) -> ServiceResult<Vec<ChosenUnit>> {
        let filter = CaseFilter { outcome: Some(OutcomeWanted::Failures), ..CaseFilter::default() };
        let mut chosen = Chosen::default();
        let mut after: Option<String> = None;
        loop {
            let part = self.cases(run, &filter, after.as_deref(), PAGE).await?;
            for text in &part.items {
                let row = serde_json::from_slice(text.as_ref());
                chosen.take(row.map_err(|error| ServiceError::Invalid(error.to_string()))?)?;
            }
            match part.next {
                Some(next) => after = Some(next),
                None => return Ok(chosen.units()),
            }
        }
    }

    async fn chosen_cases(&self, run: &Run, keys: &[CaseKey]) -> ServiceResult<Vec<ChosenUnit>> {
        let mut chosen = Chosen::default();
        for key in keys {
            let (row, _) = self.case(run, *key).await.map_err(|error| match error {
                ServiceError::NotFound(_) => {
                    ServiceError::Invalid(format!("`{key}` is no case of `{}`", run.id))
                }
                other @ (ServiceError::Port(_)
                | ServiceError::Rejected(_)
                | ServiceError::Shard(_)
                | ServiceError::BadToken
                | ServiceError::Member(_)
                | ServiceError::Invalid(_)) => other,
            })?;
            chosen.take(row)?;
        }
        Ok(chosen.units())
    }
}

/// Cases by job and unit.
#[derive(Debug, Default)]
struct Chosen {
    units: BTreeMap<(String, String), BTreeSet<CaseId>>,
    count: usize,
}

impl Chosen {
    fn take(&mut self, row: CaseRow) -> ServiceResult<()> {
        self.count += 1;
        if self.count > CHOSEN_LIMIT {
            let what = format!("more than {CHOSEN_LIMIT} cases are to be run again (use `all`)");
            return Err(ServiceError::Invalid(what));
        }
        self.units.entry((row.job_name, row.unit)).or_default().insert(row.id);
        Ok(())
    }

    fn units(self) -> Vec<ChosenUnit> {
        let unit = |((job, unit), cases): ((String, String), BTreeSet<CaseId>)| ChosenUnit {
            job,
            unit,
            cases: cases.into_iter().collect(),
        };
        self.units.into_iter().map(unit).collect()
    }
}
