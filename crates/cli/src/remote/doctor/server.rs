//! What remote commands need: a server, its clock, a valid key.

use super::Finding;
use crate::config::Config;
use crate::exit::Problem;
use crate::remote::client::refusal::ClientError;
use crate::remote::client::route::Route;
use crate::remote::client::{Client, Reply};
use crate::remote::wire::{GrantShown, Me};
use shared::domain::time::Timestamp;
use std::error::Error as _;
use std::time::Duration;

/// Clocks may differ by so much without harm: tokens and signatures have minutes.
const SKEW_LIMIT_MS: u64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let client = match Client::new(&config.remote) {
        Ok(client) => client.with_patience(PATIENCE),
        Err(problem) => return vec![refused(&problem)],
    };
    let reply = match client.try_get(&Route::new(&["healthz"]), None) {
        Ok(reply) => reply,
        Err(error) => return vec![unreachable(&client, config, &error)],
    };
    let mut findings = vec![reached(&client)];
    findings.extend(clock(&reply, now));
    findings.push(key(&client));
    findings
}

fn refused(problem: &Problem) -> Finding {
    Finding::fail("server", problem.to_string(), problem.next_step().unwrap_or("set FLEETEST_URL"))
}

fn unreachable(client: &Client, config: &Config, error: &ClientError) -> Finding {
    let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let state = format!("{error}{why}");
    if config.remote.url.is_none() {
        // Nobody said that there should be one.
        let advice = "start one with `fleetest serve`, or set FLEETEST_URL; local runs need none";
        return Finding::warn("server", state, advice);
    }
    Finding::fail(
        "server",
        state,
        format!("check the address `{}`, the network and the server", client.base()),
    )
}

fn reached(client: &Client) -> Finding {
    let base = client.base();
    let host = base.split("://").nth(1).unwrap_or_default();
    let is_near = ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near));
    if base.starts_with("http://") && !is_near && client.has_token() {
        return Finding::warn(
            "server",
            format!("`{base}` answers, and the key goes there without encryption"),
            "put it behind https",
        );
    }
    Finding::ok("server", format!("`{base}` answers"))
}

fn clock(reply: &Reply, now: Timestamp) -> Option<Finding> {
    let theirs = http_date(reply.header("date")?)?;
    let skew_ms = now.since_ms(theirs).max(theirs.since_ms(now));
    let state = format!("differs from the server's by {}s", skew_ms / 1000);
    Some(if skew_ms > SKEW_LIMIT_MS {
        Finding::warn("clock", state, "set it by NTP, on the machine whose clock is wrong")
    } else {
        Finding::ok("clock", state)
    })
}

/// The time in a `Date` header, as in `Tue, 15 Nov 1994 08:12:31 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace().skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

fn key(client: &Client) -> Finding {
    if !client.has_token() {
        return Finding::warn(
            "key",
            "there is none",
            "set FLEETEST_TOKEN to a key; a first start of the server prints one",
        );
    }
    match client.try_get(&Route::new(&["v1", "me"]), None) {
        Ok(reply) => match reply.read::<Me>() {
            Ok(me) => Finding::ok("key", format!("valid: {}", who(&me))),
            Err(_) => Finding::ok("key", "valid"),
        },
        Err(ClientError::Refused(refusal)) if refusal.status == 401 => Finding::fail(
            "key",
            refusal.detail,
            "set FLEETEST_TOKEN to a key that was not revoked and has not expired",
        ),
        Err(ClientError::Refused(refusal)) if refusal.status == 404 => {
            Finding::warn("key", "this server does not say whose keys are", "use a server of this version")
        }
        Err(error) => Finding::fail("key", error.to_string(), "look at the server's log"),
    }
}

fn who(me: &Me) -> String {
    let grant = |grant: &GrantShown| match &grant.project {
        Some(project) => format!("{} of `{project}`", grant.role),
        None => format!("{} of every project", grant.role),
    };
    let grants: Vec<String> = me.grants.iter().map(grant).collect();
    let grants = if grants.is_empty() { "no role".to_owned() } else { grants.join(", ") };
    format!("{}, {grants}, for {}", me.subject, me.scopes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::doctor::Health;
    use crate::remote::scripted::{Answer, NOW, Scripted, Seen, json, problem};
    use serde_json::json as value;
    use std::path::Path;

    /// What doctor says of a server with this clock that answers `/v1/me` so.
    fn healths(date: &'static str, me: impl Fn(&Seen) -> Answer + Send + 'static) -> Vec<(Health, String)> {
        let server = Scripted::start(move |seen, _| match seen.path.as_str() {
            "/healthz" => Answer::Say(200, vec![("date", date.to_owned())], "{}".to_owned()),
            _ => me(seen),
        });
        let findings = look(&server.config(Path::new("/")), NOW);
        findings.into_iter().map(|finding| (finding.health, finding.state)).collect()
    }

    #[test]
    fn a_server_its_clock_and_the_key_are_looked_at() {
        let grants = value!([{"project": "web", "role": "developer"}, {"project": null, "role": "viewer"}]);
        let me = value!({"subject": "key:ci", "grants": grants, "scopes": ["read", "run"]});
        let found = healths("Tue, 14 Nov 2023 22:13:22 GMT", move |_| json(200, &me));
        assert!(found.iter().all(|(health, _)| *health == Health::Ok), "{found:?}");
        assert_eq!(found[1].1, "differs from the server's by 2s");
        assert_eq!(found[2].1, "valid: key:ci, developer of `web`, viewer of every project, for read, run");
        let found =
            healths("Tue, 14 Nov 2023 22:23:20 GMT", |_| problem(401, "unauthorised", "it was revoked"));
        assert_eq!(found[1], (Health::Warn, "differs from the server's by 600s".to_owned()));
        assert_eq!(found[2], (Health::Fail, "it was revoked".to_owned()));
    }

    #[test]
    fn dates_of_answers_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Timestamp::parse("1994-11-06T08:49:37Z"));
        assert_eq!(http_date("Sun, 6 Nov 1994 08:49:37 GMT"), Timestamp::parse("1994-11-06T08:49:37Z"));
        assert_eq!(http_date("yesterday"), None);
    }
}
