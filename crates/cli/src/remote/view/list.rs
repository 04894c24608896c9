//! Lists as tables: keys, schedules, projects, cases that stand out, logs.

use super::ago;
use crate::args::duration::Human;
use crate::line::{Line, Tone};
use crate::progress::view::grouped;
use crate::remote::table::{self, Cell};
use crate::remote::wire::{CaseOfProject, LogShown, ScheduleShown};
use http_api::api::wire::{KeyShown, ProjectShown};
use shared::domain::time::Timestamp;

/// A table of keys.
#[must_use]
pub fn keys(keys: &[KeyShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let ago = |at: &Option<String>| at.as_ref().map_or_else(|| "never".to_owned(), |at| ago(at, now));
    let rows: Vec<Vec<Cell>> = keys
        .iter()
        .map(|key| {
            let state = match (&key.revoked_at, &key.expires_at) {
                (Some(at), _) if is_past(at, now) => Cell::new("revoked").tone(Tone::Warn),
                (Some(at), _) => Cell::new(format!("until {at}")).tone(Tone::Warn),
                (None, Some(at)) if is_past(at, now) => Cell::new("expired").tone(Tone::Warn),
                (None, Some(at)) => Cell::new(format!("until {at}")),
                (None, None) => Cell::new("valid").tone(Tone::Good),
            };
            vec![
                Cell::new(&key.id),
                Cell::new(format!("{}…", key.hint)),
                Cell::new(&key.role),
                Cell::new(key.scopes.join(",")),
                Cell::number(ago(&key.last_used_at)),
                state,
                Cell::new(&key.name),
            ]
        })
        .collect();
    table::lines(&["ID", "KEY", "ROLE", "SCOPES", "USED", "STATE", "NAME"], &rows, width)
}

fn is_past(at: &str, now: Timestamp) -> bool {
    Timestamp::parse(at).is_some_and(|at| at <= now)
}

/// A table of schedules.
#[must_use]
pub fn schedules(schedules: &[ScheduleShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = schedules
        .iter()
        .map(|schedule| {
            let next = match (schedule.paused, schedule.next_fires.first()) {
                (true, _) => Cell::new("paused").tone(Tone::Warn),
                (false, Some(next)) => Cell::new(next),
                (false, None) => Cell::new("never").tone(Tone::Warn),
            };
            let zone = &schedule.zone;
            vec![
                Cell::new(&schedule.id),
                Cell::new(&schedule.cron),
                Cell::new(zone),
                next,
                Cell::new(&schedule.name),
            ]
        })
        .collect();
    table::lines(&["ID", "CRON", "TIME ZONE", "NEXT", "NAME"], &rows, width)
}

/// A table of projects.
#[must_use]
pub fn projects(projects: &[ProjectShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = projects
        .iter()
        .map(|project| {
            vec![
                Cell::new(&project.id),
                Cell::new(&project.default_branch),
                Cell::new(project.repository.as_deref().unwrap_or("-")),
                Cell::new(&project.title),
            ]
        })
        .collect();
    table::lines(&["ID", "BRANCH", "REPOSITORY", "TITLE"], &rows, width)
}

/// A table of cases that are sometimes red.
#[must_use]
pub fn flaky(cases: &[CaseOfProject], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = cases
        .iter()
        .map(|case| {
            vec![
                Cell::number(percent(case.flaky_score)),
                Cell::number(format!("{} of {}", grouped(case.failures), grouped(case.outcomes))),
                Cell::new(&case.job_name),
                Cell::new(&case.id),
            ]
        })
        .collect();
    table::lines(&["FLAKY", "FAILED", "JOB", "CASE"], &rows, width)
}

/// Never `0%` of something that happened, never `100%` of what did not always.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share > 0.0 && percent < 0.1 {
        return "<0.1%".to_owned();
    }
    if share < 1.0 && percent > 99.9 {
        return ">99.9%".to_owned();
    }
    format!("{percent:.1}%")
}

/// A table of slow cases.
#[must_use]
pub fn slow(cases: &[CaseOfProject], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = cases
        .iter()
        .map(|case| {
            let took = Human(case.duration_us / 1000).to_string();
            vec![Cell::number(took), Cell::new(&case.job_name), Cell::new(&case.id)]
        })
        .collect();
    table::lines(&["TIME", "JOB", "CASE"], &rows, width)
}

/// A table of logs.
#[must_use]
pub fn logs(logs: &[LogShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = logs
        .iter()
        .map(|log| {
            vec![
                Cell::number(log.job.to_string()),
                Cell::number(log.shard.to_string()),
                Cell::number(grouped(log.length)),
                Cell::new(&log.name),
                Cell::new(log.end.as_deref().unwrap_or("open")),
            ]
        })
        .collect();
    table::lines(&["JOB", "SHARD", "BYTES", "NAME", "STATE"], &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        let shown = [0.0, 0.0001, 0.125, 0.9999, 1.0].map(percent);
        assert_eq!(shown, ["0.0%", "<0.1%", "12.5%", ">99.9%", "100.0%"]);
    }
}
