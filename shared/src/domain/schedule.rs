//! Schedules: cron expressions in time zones, and what is due.
//!
//! Times are those of the wall clock of the zone. Where a clock is set forward, a time of day that does not exist is
//! replaced by the first moment after the gap, once; `*` and steps just go on. Where it is set back, a time of day that
//! comes twice is taken once, the first time; `*` and steps count in both hours. The rules of the zones are inside the
//! program.

use super::id::{ProjectId, RunId, ScheduleId, digest_hex};
use super::order::RunOrder;
use super::time::Timestamp;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

/// A fire that was missed because nobody was there is made up for if it is not older than this, in milliseconds.
pub const CATCH_UP_MS: u64 = 6 * 60 * 60 * 1000;
/// Fires that are shown.
pub const SHOWN_FIRES: usize = 5;
const EXPRESSION_LIMIT_BYTES: usize = 100;

/// Why there is no timetable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// The expression is wrong.
    #[error(
        "`{expression}` is no cron expression: {reason} (minute, hour, day of month, month, day of week)"
    )]
    Expression {
        /// As it was given.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// The zone is unknown.
    #[error("there is no time zone `{0}`; use a name as `Europe/Berlin` or `UTC`")]
    Zone(String),
}

/// When something happens.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

impl Timetable {
    /// From a cron expression of five fields (or `@daily` and its like) and the name of a zone.
    ///
    /// # Errors
    /// See [`TimetableError`].
    pub fn parse(expression: &str, zone: &str) -> Result<Self, TimetableError> {
        let refuse =
            |reason: String| TimetableError::Expression { expression: printable(expression), reason };
        if expression.len() > EXPRESSION_LIMIT_BYTES {
            return Err(refuse(format!("it has more than {EXPRESSION_LIMIT_BYTES} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| refuse(error.to_string()))?;
        let known = zone.bytes().all(|byte| byte.is_ascii_graphic()) && zone.len() <= EXPRESSION_LIMIT_BYTES;
        let found = known.then(|| TimeZoneDatabase::bundled().get(zone).ok()).flatten();
        let zone = found.ok_or_else(|| TimetableError::Zone(printable(zone)))?;
        Ok(Self { cron, zone })
    }

    /// The first fire after this time; `None` if there is none any more.
    #[must_use]
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(time)?, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().map(Timestamp)
    }

    /// The next `count` fires after this time.
    #[must_use]
    pub fn next(&self, time: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.after(time), |last| self.after(*last)).take(count).collect()
    }

    /// The last fire after `after` and not after `upto`.
    #[must_use]
    pub fn latest(&self, after: Timestamp, upto: Timestamp) -> Option<Timestamp> {
        let fires = std::iter::successors(self.after(after), |last| self.after(*last));
        fires.take_while(|fire| *fire <= upto).last()
    }

    fn zoned(&self, time: Timestamp) -> Option<Zoned> {
        let moment = jiff::Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?;
        Some(moment.to_zoned(self.zone.clone()))
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Id.
    pub id: ScheduleId,
    /// The project.
    pub project: ProjectId,
    /// What people call it.
    pub name: String,
    /// Cron expression.
    pub cron: String,
    /// Time zone, as in `Europe/Berlin`.
    pub zone: String,
    /// What is started.
    pub order: RunOrder,
    /// Whether it rests.
    pub paused: bool,
    /// When it fires next; `None` while it rests.
    pub next_fire: Option<Timestamp>,
    /// The run that it started last.
    pub last_run: Option<RunId>,
    /// When it fired last.
    pub last_fire: Option<Timestamp>,
    /// Why the last fire became no run.
    pub problem: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What a look at a schedule comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The nominal time of the run to be started; `None` if it is too late for every fire that was missed.
    pub fire: Option<Timestamp>,
    /// The next fire after now.
    pub next: Option<Timestamp>,
}

impl Schedule {
    /// Whether something is due. Of the fires that were missed only the latest counts, if it is not too old.
    #[must_use]
    pub fn due(&self, timetable: &Timetable, now: Timestamp) -> Option<Due> {
        let first = self.next_fire.filter(|next| !self.paused && *next <= now)?;
        let since = Timestamp(first.0.saturating_sub(1)).max(Timestamp(now.0.saturating_sub(CATCH_UP_MS)));
        Some(Due { fire: timetable.latest(since, now), next: timetable.after(now) })
    }

    /// The run of a fire: the same time gives the same run, however often it is asked for.
    #[must_use]
    pub fn run_at(&self, fire: Timestamp) -> RunId {
        let digest = digest_hex(&format!("{}@{}", self.id, fire.0));
        let random = u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default();
        let (high, low) = ((random >> 64) & 0xfff, random & 0x3fff_ffff_ffff_ffff);
        let time = u128::from(fire.0 & 0xffff_ffff_ffff);
        RunId((time << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low)
    }
}

#[cfg(test)]
mod tests;
