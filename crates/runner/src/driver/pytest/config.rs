//! The one place of this driver that reads the environment.

use std::collections::BTreeMap;

/// Variables that choose an interpreter, in the user's environment as well as in the suite's.
const INHERITED: [&str; 2] = ["FLEETEST_PYTHON", "VIRTUAL_ENV"];

/// What a job's environment says about interpreters, on top of what its processes inherit.
#[expect(clippy::disallowed_methods, reason = "a config.rs is where the environment is read")]
pub(super) fn with_inherited(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut all: BTreeMap<String, String> = inherited.collect();
    all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}
