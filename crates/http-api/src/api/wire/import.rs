//! Imports on the wire.

use super::RunShown;
use serde::{Deserialize, Serialize};
use shared::service::import::{Imported, NotAccepted};
use utoipa::ToSchema;

/// A part of a report that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotAcceptedShown {
    /// Line of the report, counted from 1; absent if it is about the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Why.
    pub reason: String,
}

impl From<NotAccepted> for NotAcceptedShown {
    fn from(part: NotAccepted) -> Self {
        Self { line: part.line, column: part.column, reason: part.reason }
    }
}

/// What an import came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportShown {
    /// The run, finished. It is `errored` if anything was not accepted.
    pub run: RunShown,
    /// Results taken, repetitions of a case included.
    pub accepted: u64,
    /// The first hundred parts of the report that were not taken.
    pub not_accepted: Vec<NotAcceptedShown>,
    /// How many parts were not taken.
    pub not_accepted_count: u64,
    /// Whether the same was imported before, and this is the run of then.
    pub repeated: bool,
}

impl From<Imported> for ImportShown {
    fn from(imported: Imported) -> Self {
        Self {
            run: imported.run.value.into(),
            accepted: imported.accepted,
            not_accepted: imported.not_accepted.into_iter().map(Into::into).collect(),
            not_accepted_count: imported.not_accepted_count,
            repeated: imported.repeated,
        }
    }
}
