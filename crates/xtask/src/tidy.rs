//! The rules of the house that no compiler checks, each with a sentence on what to do about an offence.
//!
//! `rules` is the table of what is allowed; the other modules find offences in plain text or in Cargo's
//! metadata and know nothing of files. An offence may be tolerated only by its line in
//! `crates/xtask/tidy-ratchet.txt`, and a line without an offence is itself one, so the list only shrinks.

mod graph;
mod licences;
mod manifest;
mod names;
mod paths;
mod ratchet;
mod rooms;
mod rules;
mod scrub;
mod sizes;
mod tree;

use crate::{place, say};
use anyhow::{Context as _, Result, bail};
use std::fmt;
use std::path::Path;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offence {
    /// File, relative to the root of the repository.
    pub(crate) path: String,
    /// Line, counted from 1; 0 = the whole file.
    pub(crate) line: usize,
    /// Name of the rule, as the ratchet list spells it.
    pub(crate) rule: &'static str,
    /// What, why, and what to do.
    pub(crate) text: String,
}

impl Offence {
    fn new(path: &str, line: usize, rule: &'static str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, text: text.into() }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.path, self.line.max(1), self.rule, self.text)
    }
}

/// Path of the list of tolerated offences.
const RATCHET: &str = "crates/xtask/tidy-ratchet.txt";

/// `cargo xtask tidy`.
pub(crate) fn command() -> Result<()> {
    let offences = check(&place::root())?;
    for offence in &offences {
        say::err(&offence.to_string());
    }
    if !offences.is_empty() {
        bail!("{} broken rule(s); each line above says what to do", offences.len());
    }
    say::out("tidy: every rule of the house holds");
    Ok(())
}

/// Every offence in the repository at `root` that the ratchet list does not tolerate.
pub(crate) fn check(root: &Path) -> Result<Vec<Offence>> {
    let mut offences = Vec::new();
    for file in tree::files(root)? {
        offences.extend(text_offences(&file));
    }
    offences.extend(graph::offences(root)?);
    let list = std::fs::read_to_string(root.join(RATCHET))
        .with_context(|| format!("could not read `{RATCHET}`; create it, empty, if it is gone"))?;
    let mut left = ratchet::apply(&list, RATCHET, offences);
    left.sort();
    Ok(left)
}

fn text_offences(file: &tree::File) -> Vec<Offence> {
    let mut found = names::in_path(&file.path);
    found.extend(paths::offences(&file.path, &file.text));
    found.extend(sizes::offences(&file.path, &file.text));
    if file.path == "Cargo.toml" {
        found.extend(manifest::reasons(&file.path, &file.text));
    } else if file.path.ends_with("/Cargo.toml") && rules::is_house(&file.path) {
        found.extend(manifest::inherited(&file.path, &file.text));
    }
    if file.path.ends_with(".rs") && rules::is_house(&file.path) {
        let code = scrub::code(&file.text);
        found.extend(names::in_code(&file.path, &code));
        found.extend(sizes::header(&file.path, &file.text));
        found.extend(rooms::offences(&file.path, &code));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let offences = check(&place::root()).unwrap();
        let text: Vec<String> = offences.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "broken rules:\n{}", text.join("\n"));
    }
}
