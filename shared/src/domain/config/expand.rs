//! Suites × matrix cells = jobs.

use crate::domain::spec::{JobSpec, RunSpec, SuiteSpec};
use std::collections::BTreeMap;

/// A run has at most this many jobs.
pub const MAX_JOBS: usize = 256;

/// Why suites cannot become jobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// Too many cells.
    #[error("the suites and their matrices make {jobs} jobs, and a run has at most {MAX_JOBS}")]
    TooManyJobs {
        /// How many there would be.
        jobs: usize,
    },
}

impl ExpandError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooManyJobs { .. } => "take values out of a matrix, or split the suites over several runs",
        }
    }
}

/// The jobs of a run: all of its suites, or only those that have chosen cases.
///
/// # Errors
/// As [`expand`].
pub fn jobs(spec: &RunSpec) -> Result<Vec<JobSpec>, ExpandError> {
    Ok(expand(&spec.suites)?.into_iter().filter(|job| spec.wants_job(&job.name)).collect())
}

/// One job per suite and matrix cell: suites in their order, dimensions by name, the last one varying fastest.
/// `${matrix.x}` is replaced in `command`, `setup`, `env`, `args` and `paths`.
///
/// # Errors
/// If there are more than [`MAX_JOBS`].
pub fn expand(suites: &[SuiteSpec]) -> Result<Vec<JobSpec>, ExpandError> {
    let cells = |suite: &SuiteSpec| {
        suite.matrix.values().fold(1_usize, |product, values| product.saturating_mul(values.len()))
    };
    let jobs = suites.iter().fold(0_usize, |sum, suite| sum.saturating_add(cells(suite)));
    if jobs > MAX_JOBS {
        return Err(ExpandError::TooManyJobs { jobs });
    }
    Ok(suites
        .iter()
        .flat_map(|suite| cells_of(&suite.matrix).into_iter().map(|cell| job(suite, cell)))
        .collect())
}

fn cells_of(matrix: &BTreeMap<String, Vec<String>>) -> Vec<BTreeMap<String, String>> {
    matrix.iter().fold(vec![BTreeMap::new()], |cells, (dimension, values)| {
        let with = |cell: &BTreeMap<String, String>, value: &String| {
            let mut cell = cell.clone();
            cell.insert(dimension.clone(), value.clone());
            cell
        };
        cells.iter().flat_map(|cell| values.iter().map(move |value| with(cell, value))).collect()
    })
}

fn job(suite: &SuiteSpec, cell: BTreeMap<String, String>) -> JobSpec {
    let mut suite = suite.clone();
    let texts = suite
        .paths
        .iter_mut()
        .chain(&mut suite.args)
        .chain(&mut suite.setup)
        .chain(suite.command.as_mut())
        .chain(suite.env.values_mut());
    for text in texts {
        *text = substitute(text, &cell);
    }
    let pairs: Vec<String> = cell.iter().map(|(dimension, value)| format!("{dimension}={value}")).collect();
    let name =
        if pairs.is_empty() { suite.name.clone() } else { format!("{}[{}]", suite.name, pairs.join(",")) };
    JobSpec { name, suite, cell }
}

const OPEN: &str = "${matrix.";

/// Replaces in one pass, so that a value that looks like a variable stays as it is.
fn substitute(text: &str, cell: &BTreeMap<String, String>) -> String {
    let mut pieces = text.split(OPEN);
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}').and_then(|(name, rest)| cell.get(name).map(|value| (value, rest))) {
            Some((value, rest)) => {
                result.push_str(value);
                result.push_str(rest);
            }
            None => {
                result.push_str(OPEN);
                result.push_str(piece);
            }
        }
    }
    result
}

/// The names of all `${matrix.x}` in a text; one that is never closed counts with all that follows.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split(OPEN).skip(1).map(|piece| piece.split_once('}').map_or(piece, |(name, _)| name))
}
