//! Answers of the server as lines; pure.

pub mod list;
pub mod run;

use crate::args::duration::Human;
use shared::domain::time::Timestamp;

/// How long ago a time was, for people; the text itself if it is no time.
#[must_use]
pub fn ago(at: &str, now: Timestamp) -> String {
    match Timestamp::parse(at) {
        Some(at) => format!("{} ago", age(now.since_ms(at))),
        None => at.to_owned(),
    }
}

/// A time as people write it, to the minute; the text itself if it is no time.
#[must_use]
pub fn minute(at: &str) -> String {
    moment(at, 16).map_or_else(|| at.to_owned(), |text| format!("{text} UTC"))
}

/// A time of UTC as people write it, to the second; the text itself if it is no time.
#[must_use]
pub fn second(at: &str) -> String {
    moment(at, 19).unwrap_or_else(|| at.to_owned())
}

fn moment(at: &str, letters: usize) -> Option<String> {
    Some(Timestamp::parse(at)?.rfc3339().replace('T', " ").get(..letters)?.to_owned())
}

/// A duration in its greatest unit.
fn age(ms: u64) -> String {
    const HOUR_MS: u64 = 3_600_000;
    match ms {
        0..60_000 => format!("{}s", ms / 1000),
        60_000..HOUR_MS => format!("{}m", ms / 60_000),
        HOUR_MS..172_800_000 => format!("{}h", ms / HOUR_MS),
        _ => format!("{}d", ms / (24 * HOUR_MS)),
    }
}

/// The time between two, if both are known; up to `now` if only the first is.
#[must_use]
pub fn took(begin: Option<&str>, end: Option<&str>, now: Timestamp) -> Option<Human> {
    let begin = Timestamp::parse(begin?)?;
    let end = end.map_or(Some(now), Timestamp::parse)?;
    Some(Human(end.since_ms(begin)))
}

/// The beginning of a commit id.
#[must_use]
pub fn short_commit(commit: Option<&str>) -> String {
    commit.unwrap_or("-").chars().take(9).collect()
}
