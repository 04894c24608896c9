//! From SQLite's result codes to what the caller can do.

use rusqlite::ErrorCode;
use shared::ports::PortError;

/// The port's error for an error of SQLite; `subject` is the database.
pub(super) fn port_error(subject: &str, error: &rusqlite::Error) -> PortError {
    let (port, subject) = ("store", subject.to_owned());
    let denied =
        |reason: &str| PortError::Denied { port, subject: subject.clone(), reason: reason.to_owned() };
    let corrupt =
        |reason: &str| PortError::Corrupt { port, subject: subject.clone(), reason: reason.to_owned() };
    let Some(code) = error.sqlite_error_code() else {
        // A column of the wrong type, or text that is not text: nobody but us should have written here.
        return corrupt(&error.to_string());
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other code may be gone at the next attempt")]
    match code {
        ErrorCode::DiskFull => denied("disk is full"),
        ErrorCode::ReadOnly => denied("the file or its folder is read-only"),
        ErrorCode::PermissionDenied => denied("permission denied"),
        ErrorCode::CannotOpen => denied("the file cannot be opened"),
        ErrorCode::DatabaseCorrupt => corrupt("the file is damaged"),
        ErrorCode::NotADatabase => corrupt("the file is no database"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            let reason = "another process is writing to it".to_owned();
            PortError::Unavailable { port, subject, reason }
        }
        // A local disk that has failed, or a limit on the size of files, does not mend by itself.
        ErrorCode::SystemIoFailure => denied(&format!("the disk failed: {error}")),
        _ => PortError::Unavailable { port, subject, reason: error.to_string() },
    }
}
