//! Licences, sources and banned crates, by the lists of `deny.toml`.
//!
//! `cargo deny` checks the same lists more thoroughly where it is installed; this check needs nothing but
//! Cargo, so it runs everywhere.

use super::Offence;
use anyhow::{Context as _, Result};
use cargo_metadata::Metadata;
use std::path::Path;
use toml::{Table, Value};

const DENY: &str = "deny.toml";

/// Offences of the packages that the lock file names.
pub(super) fn offences(root: &Path, metadata: &Metadata) -> Result<Vec<Offence>> {
    let text =
        std::fs::read_to_string(root.join(DENY)).with_context(|| format!("could not read `{DENY}`"))?;
    let table: Table = text.parse().with_context(|| format!("`{DENY}` is not valid TOML"))?;
    let licences = texts(&table, "licenses", "allow");
    let sources = texts(&table, "sources", "allow-registry");
    let banned = texts(&table, "bans", "deny");
    let mut found = Vec::new();
    for package in &metadata.packages {
        let Some(source) = &package.source else { continue };
        let source = source.repr.trim_start_matches("registry+");
        let name = package.name.as_str();
        if !sources.iter().any(|allowed| allowed == source) {
            found.push(offence(format!("`{name}` comes from `{source}`; take crates from crates.io only")));
        }
        if banned.iter().any(|word| word == name) {
            found.push(offence(format!(
                "`{name}` is banned; see its reason in `{DENY}` and `cargo tree -i {name}`"
            )));
        }
        let licence = package.license.as_deref().unwrap_or("none named");
        if !fits(licence, &licences) {
            found.push(offence(format!(
                "`{name}` has licence `{licence}`; replace it, or add the licence if it suits Apache-2.0"
            )));
        }
    }
    Ok(found)
}

fn offence(text: String) -> Offence {
    Offence::new(DENY, 0, "supply", text)
}

/// The texts of an array; tables in it are known by their `crate` or `name`.
fn texts(table: &Table, section: &str, key: &str) -> Vec<String> {
    let list = table.get(section).and_then(|section| section.get(key)).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|item| item.as_str().or_else(|| item.get("crate").or_else(|| item.get("name"))?.as_str()))
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, at: 0, allowed };
    parser.either() && parser.at == words.len()
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a [String],
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> bool {
        let mut met = self.both();
        while self.take("OR") {
            met |= self.both();
        }
        met
    }

    fn both(&mut self) -> bool {
        let mut met = self.licence();
        while self.take("AND") {
            met &= self.licence();
        }
        met
    }

    fn licence(&mut self) -> bool {
        if self.take("(") {
            let met = self.either();
            return self.take(")") && met;
        }
        let Some(name) = self.next() else { return false };
        let full = if self.take("WITH") {
            format!("{name} WITH {}", self.next().unwrap_or_default())
        } else {
            name.to_owned()
        };
        self.allowed.contains(&full)
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.words.get(self.at) == Some(&word);
        self.at += usize::from(here);
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_by_the_allowed_licences() {
        let allowed = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(ToOwned::to_owned);
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "(GPL-3.0 OR MIT) AND Unicode-3.0",
            "MIT/GPL-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(fits(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "", "MIT MIT", "none named"] {
            assert!(!fits(bad, &allowed), "{bad}");
        }
    }
}
