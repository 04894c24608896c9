//! Lists as tables: keys, schedules, projects, members, cases that stand out, logs, rules, messages, webhooks, changes.

use super::{ago, minute, second, short_commit};
use crate::args::duration::Human;
use crate::line::{Line, Tone};
use crate::progress::view::grouped;
use crate::remote::table::{self, Cell};
use http_api::api::wire::{
    AuditShown, ChannelShown, DeliveryShown, KeyShown, LogShown, MemberShown, NotableShown, OccasionWord,
    ProjectShown, RuleShown, ScheduleShown, WebhookShown,
};
use serde_json::Value;
use shared::domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A table of keys.
#[must_use]
pub fn keys(keys: &[KeyShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let ago = |at: &Option<String>| at.as_ref().map_or_else(|| "never".to_owned(), |at| ago(at, now));
    let rows: Vec<Vec<Cell>> = keys
        .iter()
        .map(|key| {
            let state = match (&key.revoked_at, &key.expires_at) {
                (Some(at), _) if is_past(at, now) => Cell::new("revoked").tone(Tone::Warn),
                (Some(at), _) => Cell::new(format!("until {}", minute(at))).tone(Tone::Warn),
                (None, Some(at)) if is_past(at, now) => Cell::new("expired").tone(Tone::Warn),
                (None, Some(at)) => Cell::new(format!("until {}", minute(at))),
                (None, None) => Cell::new("valid").tone(Tone::Good),
            };
            vec![
                Cell::new(&key.id),
                Cell::new(format!("{}…", key.hint)).optional(),
                Cell::new(&key.role),
                Cell::new(key.scopes.join(",")).optional(),
                Cell::number(ago(&key.last_used_at)).optional(),
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
                (false, Some(next)) => Cell::new(minute(next)),
                (false, None) => Cell::new("never").tone(Tone::Warn),
            };
            let zone = &schedule.zone;
            vec![
                Cell::new(&schedule.id),
                Cell::new(&schedule.cron),
                Cell::new(zone).optional(),
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
                Cell::new(project.repository.as_deref().unwrap_or("-")).soft(),
                Cell::new(&project.title),
            ]
        })
        .collect();
    table::lines(&["ID", "BRANCH", "REPOSITORY", "TITLE"], &rows, width)
}

/// A table of members.
#[must_use]
pub fn members(members: &[MemberShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = members
        .iter()
        .map(|member| {
            vec![
                Cell::new(&member.role),
                Cell::number(ago(&member.added_at, now)),
                Cell::new(&member.added_by).optional(),
                Cell::new(&member.subject),
            ]
        })
        .collect();
    table::lines(&["ROLE", "ADDED", "BY", "WHO"], &rows, width)
}

/// A table of rules.
#[must_use]
pub fn rules(rules: &[RuleShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = rules
        .iter()
        .map(|rule| {
            let state = if rule.paused {
                Cell::new("paused").tone(Tone::Warn)
            } else {
                Cell::new("on").tone(Tone::Good)
            };
            vec![
                Cell::new(&rule.id),
                state,
                Cell::new(occasions(rule)).soft(),
                Cell::new(receiver(&rule.channel)).soft(),
                Cell::new(&rule.name),
            ]
        })
        .collect();
    table::lines(&["ID", "STATE", "OF", "TELLS", "NAME"], &rows, width)
}

/// Who listens to a rule.
#[must_use]
pub fn receiver(channel: &ChannelShown) -> String {
    let place = channel.repository.clone().or_else(|| channel.to.as_ref().map(|to| to.join(",")));
    match place.or_else(|| channel.url.clone()) {
        Some(place) => format!("{} {place}", channel.kind),
        None => channel.kind.clone(),
    }
}

/// What a rule wants to hear of, and from where.
#[must_use]
pub fn occasions(rule: &RuleShown) -> String {
    let word = |occasion: &OccasionWord| match occasion {
        OccasionWord::Finished => "finished",
        OccasionWord::Failure => "failure",
        OccasionWord::FirstFailureAndRecovery => "first_failure_and_recovery",
        OccasionWord::NewFlaky => "new_flaky",
    };
    let words = rule.on.iter().map(word).collect::<Vec<_>>().join(",");
    if rule.branches.is_empty() { words } else { format!("{words} on {}", rule.branches.join(",")) }
}

/// A table of messages.
#[must_use]
pub fn deliveries(deliveries: &[DeliveryShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = deliveries
        .iter()
        .map(|delivery| {
            let tone = match delivery.status.as_str() {
                "delivered" => Tone::Good,
                "failed" => Tone::Bad,
                _ => Tone::Faint,
            };
            let problem = delivery.attempts.last().and_then(|attempt| attempt.problem.as_deref());
            vec![
                Cell::new(&delivery.id),
                Cell::new(&delivery.status).tone(tone),
                Cell::number(ago(&delivery.created_at, now)).optional(),
                Cell::new(format!("{} ({})", delivery.rule_name, delivery.channel)).soft(),
                Cell::new(delivery.events.join(",")).soft(),
                Cell::new(delivery.run.as_deref().unwrap_or("-")).optional(),
                Cell::new(problem.unwrap_or_default()),
            ]
        })
        .collect();
    table::lines(&["ID", "STATE", "MADE", "RULE", "EVENTS", "RUN", "PROBLEM"], &rows, width)
}

/// A table of webhooks.
#[must_use]
pub fn webhooks(webhooks: &[WebhookShown], now: Timestamp, width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = webhooks
        .iter()
        .map(|webhook| {
            let tone = if webhook.outcome == "failed" { Tone::Bad } else { Tone::Plain };
            let change = webhook.pull_request.map(|number| format!("#{number}"));
            let origin = change.or_else(|| webhook.branch.clone()).unwrap_or_else(|| "-".to_owned());
            vec![
                Cell::new(&webhook.id),
                Cell::new(&webhook.event),
                Cell::number(ago(&webhook.received_at, now)),
                Cell::new(origin).soft(),
                Cell::new(short_commit(webhook.commit.as_deref())).optional(),
                Cell::new(&webhook.outcome).tone(tone),
                Cell::new(webhook.run.as_deref().or(webhook.reason.as_deref()).unwrap_or_default()),
            ]
        })
        .collect();
    table::lines(&["ID", "EVENT", "CAME", "OF", "COMMIT", "CAME TO", "RUN OR REASON"], &rows, width)
}

/// A table of changes: what was different afterwards comes last.
#[must_use]
pub fn audit(entries: &[AuditShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            vec![
                Cell::new(second(&entry.at)),
                Cell::new(&entry.action),
                Cell::new(&entry.actor).soft(),
                Cell::new(entry.address.as_deref().unwrap_or("-")).optional(),
                Cell::new(&entry.subject).soft(),
                Cell::new(difference(entry)).optional(),
            ]
        })
        .collect();
    table::lines(&["WHEN (UTC)", "WHAT", "WHO", "FROM", "SUBJECT", "CHANGED"], &rows, width)
}

/// `role: viewer → admin`, of what was there before.
fn difference(entry: &AuditShown) -> String {
    let (Some(before), Some(after)) = (&entry.before, &entry.after) else { return String::new() };
    let (before, after) = (leaves(before), leaves(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name) && *name != "updated_at")
        .map(|name| {
            let shown = |side: &BTreeMap<String, Value>| {
                side.get(name).map_or_else(|| "-".to_owned(), |value| word(name, value))
            };
            format!("{name}: {} → {}", shown(&before), shown(&after))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// The fields of an object, those of objects in it as `settings.priority`.
fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), document)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let dot = if name.is_empty() { "" } else { "." };
                open.extend(fields.iter().map(|(field, value)| (format!("{name}{dot}{field}"), value)));
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                found.insert(name, value.clone());
            }
        }
    }
    found
}

fn word(name: &str, value: &Value) -> String {
    let is_time = name.ends_with("_at") || name == "next_fire";
    match value {
        Value::Number(number) if is_time => {
            number.as_u64().map_or_else(|| number.to_string(), |ms| minute(&Timestamp(ms).rfc3339()))
        }
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A table of cases that are sometimes red.
#[must_use]
pub fn flaky(cases: &[NotableShown], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<Cell>> = cases
        .iter()
        .map(|case| {
            vec![
                Cell::number(percent(case.flaky_score)),
                Cell::number(format!(
                    "{} of {}",
                    grouped(case.failures.into()),
                    grouped(case.outcomes.into())
                )),
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
pub fn slow(cases: &[NotableShown], width: Option<usize>) -> Vec<Line> {
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
    use serde_json::json;

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        let shown = [0.0, 0.0001, 0.125, 0.9999, 1.0].map(percent);
        assert_eq!(shown, ["0.0%", "<0.1%", "12.5%", ">99.9%", "100.0%"]);
    }

    #[test]
    fn a_change_is_shown_by_what_differs() {
        let entry = |before, after| AuditShown {
            id: "audit_1".to_owned(),
            at: "2026-11-21T16:09:38.000Z".to_owned(),
            actor: "key:k".to_owned(),
            address: None,
            request_id: None,
            action: "project.changed".to_owned(),
            project: None,
            subject: "web".to_owned(),
            before,
            after,
        };
        let before = json!({"title": "a", "revoked_at": null, "settings": {"priority": 0, "keep_days": 9}, "updated_at": 1});
        let after = json!({"title": "b", "revoked_at": 1_795_280_522_228_u64, "settings": {"priority": 5, "keep_days": 9}, "updated_at": 2});
        let changed = difference(&entry(Some(before.clone()), Some(after)));
        assert_eq!(changed, "revoked_at: - → 2026-11-21 17:02 UTC, settings.priority: 0 → 5, title: a → b");
        assert_eq!(difference(&entry(None, Some(before))), "");
    }
}
