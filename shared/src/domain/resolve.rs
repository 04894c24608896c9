//! From a reference to what a run does: the suites of a commit, and how often the forge is asked.

use super::config::{self, Config};
use super::detect::{Listing, detect};
use super::spec::{JOB_TIMEOUT_MS, RunSpec, Source, SuiteSpec, Unresolved};
use super::time::Timestamp;
use super::verdict::{Cause, CauseCode};
use serde::{Deserialize, Serialize};

/// A forge that cannot be reached is asked this often.
pub const TRIES: u32 = 10;
const FIRST_WAIT_MS: u64 = 2_000;
const LONGEST_WAIT_MS: u64 = 60_000;

/// A look-up that was cut off is made again after this time, in milliseconds: no host has longer for one.
const LOOK_UP_MS: u64 = 180_000;

/// How often the forge was asked, and not to the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    /// Times.
    pub count: u32,
    /// Not to be asked again before.
    pub next_at: Timestamp,
}

impl Tries {
    /// Before one more try, which counts from now on, however it ends; `None` if there were enough.
    #[must_use]
    pub fn begun(&self, now: Timestamp) -> Option<Self> {
        let next = Self { count: self.count + 1, next_at: now.plus_ms(LOOK_UP_MS) };
        (next.count <= TRIES).then_some(next)
    }

    /// After a try that was begun and in vain; `None` if it was the last one.
    #[must_use]
    pub fn again(&self, deadline: Timestamp, now: Timestamp) -> Option<Self> {
        let wait_ms =
            FIRST_WAIT_MS.saturating_mul(1 << self.count.saturating_sub(1).min(16)).min(LONGEST_WAIT_MS);
        let next = Self { count: self.count, next_at: now.plus_ms(wait_ms) };
        (next.count < TRIES && next.next_at < deadline).then_some(next)
    }
}

/// A configuration text and what to call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// As in `fleetest.toml`.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// Whether a configuration leaves something to detection: it is missing, has no suites, or suites without frameworks.
#[must_use]
pub fn needs_listing(text: Option<Text<'_>>) -> bool {
    text.is_none_or(|Text { name, text }| {
        config::parse(name, text, None).map_or(true, |config| config.suites.is_empty())
    })
}

/// The configuration of a commit: its own, completed by what its files say.
///
/// # Errors
/// Why a run of it has to end.
pub fn configuration(text: Option<Text<'_>>, listing: &Listing) -> Result<Config, Cause> {
    let detected = detect(&listing.files, &listing.manifests);
    let framework = match detected.as_deref() {
        Ok([only]) => Some(only.suite.framework),
        Ok(_) | Err(_) => None,
    };
    let mut config = match text {
        Some(Text { name, text }) => config::parse(name, text, framework)
            .map_err(|error| Cause::new(CauseCode::SetupFailed, error.to_string()))?,
        None => Config::default(),
    };
    if config.suites.is_empty() {
        let found = detected.map_err(|error| Cause::new(CauseCode::NoTests, error.to_string()))?;
        config.suites = found.into_iter().map(|detected| detected.suite).collect();
    }
    Ok(config)
}

/// The suites with these names; all, if none is named.
///
/// # Errors
/// The first name that no suite has.
pub fn named(mut suites: Vec<SuiteSpec>, names: &[String]) -> Result<Vec<SuiteSpec>, String> {
    if let Some(unknown) = names.iter().find(|name| suites.iter().all(|suite| suite.name != **name)) {
        return Err(unknown.clone());
    }
    suites.retain(|suite| names.is_empty() || names.contains(&suite.name));
    Ok(suites)
}

/// The limit of a run that asked for none, in milliseconds.
#[must_use]
pub fn timeout_ms(config: &Config, suites: &[SuiteSpec]) -> u64 {
    let limits = suites.iter().fold(0_u64, |sum, suite| sum.saturating_add(suite.timeout_ms));
    config.timeout_ms.unwrap_or_else(|| limits.max(JOB_TIMEOUT_MS))
}

/// The spec at its commit. `config` is given if the suites are still to be taken from it.
///
/// # Errors
/// Why the run has to end.
pub fn complete(
    mut spec: RunSpec,
    wanted: &Unresolved,
    (commit, branch): (String, Option<String>),
    config: Option<Config>,
) -> Result<RunSpec, Cause> {
    if let Some(mut config) = config {
        let suites = std::mem::take(&mut config.suites);
        spec.suites = named(suites, &wanted.suites).map_err(|unknown| {
            let message = format!("commit `{commit}` has no suite `{unknown}`; check the names in `suites`");
            Cause::new(CauseCode::NoTests, message)
        })?;
        spec.fail_fast = spec.fail_fast.or(config.fail_fast);
        if !wanted.timeout_asked {
            spec.timeout_ms = timeout_ms(&config, &spec.suites);
        }
    }
    spec.source = Source::Git { url: wanted.url.clone(), commit: commit.clone() };
    spec.commit = Some(commit);
    spec.branch = spec.branch.or(branch);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[&str]) -> Listing {
        Listing { files: files.iter().map(|&file| file.to_owned()).collect(), ..Listing::default() }
    }

    fn text(text: &str) -> Option<Text<'_>> {
        Some(Text { name: "fleetest.toml", text })
    }

    #[test]
    fn tries_become_rarer_and_end_with_their_number_or_the_deadline() {
        let (mut tries, mut now, mut waits) = (Tries::default(), Timestamp(0), Vec::new());
        while let Some(next) = tries.begun(now).unwrap().again(Timestamp(u64::MAX), now) {
            waits.push(next.next_at.since_ms(now));
            now = next.next_at;
            tries = next;
        }
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
        let begun = Tries::default().begun(Timestamp(0)).unwrap();
        assert_eq!(begun.again(Timestamp(2_000), Timestamp(0)), None);
    }

    #[test]
    fn tries_that_are_cut_off_count() {
        let (mut tries, mut now) = (Tries::default(), Timestamp(0));
        for count in 1..=TRIES {
            tries = tries.begun(now).unwrap();
            assert_eq!((tries.count, tries.next_at.since_ms(now)), (count, LOOK_UP_MS));
            now = tries.next_at;
        }
        assert_eq!(tries.begun(now), None);
    }

    #[test]
    fn a_configuration_is_completed_by_what_the_files_say() {
        let python = listing(&["pytest.ini"]);
        let names = |text, listing: &Listing| -> Vec<String> {
            let config = configuration(text, listing).unwrap();
            config.suites.iter().map(|suite| format!("{}:{}", suite.name, suite.framework)).collect()
        };
        assert_eq!(names(None, &python), ["pytest:pytest"]);
        assert_eq!(names(text("timeout = \"5m\""), &python), ["pytest:pytest"]);
        assert_eq!(names(text("[suite.unit]\npaths = [\"a\"]"), &python), ["unit:pytest"]);
        let full = text("[suite.unit]\nframework = \"cargo\"");
        assert!(!needs_listing(full) && needs_listing(None) && needs_listing(text("timeout = \"5m\"")));
        assert_eq!(names(full, &Listing::default()), ["unit:cargo"]);
        let code = |text| configuration(text, &Listing::default()).unwrap_err().code;
        assert_eq!((code(None), code(text("[["))), (CauseCode::NoTests, CauseCode::SetupFailed));
    }
}
