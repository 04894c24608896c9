//! A little memory for blobs that never change: the pages, indexes and key tables of finished runs.
//!
//! Nobody above or below knows of it. What is read most lately stays; the bytes kept are bounded.

use foldhash::fast::RandomState;
use shared::service::Services;
use shared::service::kept::KeptBlobs;
use std::sync::Arc;

/// Half of what is kept at most, in bytes.
const HALF_BYTES: usize = 24 * 1024 * 1024;
/// A blob that is larger than this is not kept.
const BLOB_BYTES: usize = 2 * 1024 * 1024;

/// The services with a shelf before their blobs.
pub(super) fn with_shelf(services: &Services) -> Services {
    let limits = (HALF_BYTES, BLOB_BYTES);
    let shelf: KeptBlobs<RandomState> =
        KeptBlobs::with_limits(Arc::clone(&services.blobs), limits, worth_keeping);
    Services { blobs: Arc::new(shelf), ..services.clone() }
}

/// Records are read one at a time and rarely twice.
fn worth_keeping(key: &str) -> bool {
    key.contains("/cases/")
        && std::path::Path::new(key).extension().is_none_or(|extension| extension != "records")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_changes_is_kept() {
        for key in ["runs/r/cases/index.json", "runs/r/cases/keys-00000", "runs/r/cases/rest-00000.rows"] {
            assert!(worth_keeping(key), "{key}");
        }
        for key in ["runs/r/cases/rest-00000.records", "runs/r/report.json", "runs/r/jobs/00001/logs/x.log"] {
            assert!(!worth_keeping(key), "{key}");
        }
    }
}
