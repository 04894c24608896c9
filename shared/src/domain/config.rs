//! temp
use super::spec::{JobSpec, SuiteSpec};
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ConfigError;
/// e
pub fn expand(suites: &[SuiteSpec]) -> Result<Vec<JobSpec>, ConfigError> {
    Ok(suites
        .iter()
        .map(|s| JobSpec { name: s.name.clone(), suite: s.clone(), cell: Default::default() })
        .collect())
}
