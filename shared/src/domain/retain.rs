//! Retention: which finished runs of a project are forgotten.

use super::project::ProjectSettings;
use super::time::Timestamp;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Whether a run that was over at `finished_at` is to be forgotten; `newer` finished runs of its project come before
/// it in the list of runs.
#[must_use]
pub fn is_expired(settings: &ProjectSettings, newer: u64, finished_at: Timestamp, now: Timestamp) -> bool {
    newer >= u64::from(settings.keep_runs)
        || now.since_ms(finished_at) > u64::from(settings.keep_days).saturating_mul(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_old_or_too_many() {
        let settings = ProjectSettings { keep_days: 2, keep_runs: 3, ..ProjectSettings::default() };
        let now = Timestamp(10 * DAY_MS);
        let expired =
            |newer, days_ago: u64| is_expired(&settings, newer, Timestamp((10 - days_ago) * DAY_MS), now);
        assert!(!expired(0, 0) && !expired(2, 2));
        assert!(expired(3, 0), "three newer ones are kept");
        assert!(expired(0, 3), "three days are too many");
        assert!(
            !is_expired(&settings, 0, Timestamp(11 * DAY_MS), now),
            "a clock that was set back forgets nothing"
        );
    }
}
