//! What remote commands need: a server, its clock, a valid key.

use super::Finding;
use crate::config::Config;
use crate::exit::Problem;
use crate::remote::client::refusal::ClientError;
use crate::remote::client::route::Route;
use crate::remote::client::{Client, Reply};
use http_api::api::wire::{GrantShown, MeShown};
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
    if base.starts_with("http://") && !client.is_near() && client.has_token() {
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
        Ok(reply) => match reply.read::<MeShown>() {
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

fn who(me: &MeShown) -> String {
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
    use crate::remote::scripted::{Answer, NOW, Scripted};
    use std::path::Path;

    #[test]
    fn a_clock_that_differs_is_found() {
        let skew = |date: &'static str| {
            let server = Scripted::start(move |_, _| {
                Answer::Say(200, vec![("date", date.to_owned())], "{}".to_owned())
            });
            let found = look(&server.config(Path::new("/")), NOW);
            let clock = found.into_iter().find(|finding| finding.subject == "clock").unwrap();
            (clock.health, clock.state)
        };
        let near = (Health::Ok, "differs from the server's by 2s".to_owned());
        assert_eq!(skew("Tue, 14 Nov 2023 22:13:22 GMT"), near);
        let far = (Health::Warn, "differs from the server's by 600s".to_owned());
        assert_eq!(skew("Tue, 14 Nov 2023 22:23:20 GMT"), far);
    }

    #[test]
    fn dates_of_answers_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Timestamp::parse("1994-11-06T08:49:37Z"));
        assert_eq!(http_date("Sun, 6 Nov 1994 08:49:37 GMT"), Timestamp::parse("1994-11-06T08:49:37Z"));
        assert_eq!(http_date("yesterday"), None);
    }
}
