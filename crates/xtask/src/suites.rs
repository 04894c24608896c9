//! Published test suites: which ones, at which version, and how they are fetched and run by their own framework.
//!
//! Everything lives under `target/conformance/NAME`; nothing is vendored. `python` and `crates` do the fetching.

pub(crate) mod crates;
pub(crate) mod python;

use crate::compare::Case;
use crate::launch::Timed;
use crate::place;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// What runs a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// pytest, with these packages besides the suite itself.
    Pytest(&'static [&'static str]),
    /// `cargo test`.
    Cargo,
}

/// A published suite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite {
    /// Name in its registry.
    pub(crate) name: &'static str,
    /// Version.
    pub(crate) version: &'static str,
    /// Framework.
    pub(crate) kind: Kind,
    /// Whether the published speed target is measured on it.
    pub(crate) anchor: bool,
}

const fn suite(name: &'static str, version: &'static str, kind: Kind, anchor: bool) -> Suite {
    Suite { name, version, kind, anchor }
}

/// The suites, in the order of the tables.
pub(crate) const ALL: &[Suite] = &[
    suite(
        "attrs",
        "26.1.0",
        Kind::Pytest(&["hypothesis==6.170.15", "cloudpickle==3.1.2", "pympler==1.1"]),
        true,
    ),
    suite("click", "8.5.1", Kind::Pytest(&[]), true),
    suite("more-itertools", "11.2.1", Kind::Pytest(&[]), true),
    suite("jinja2", "3.1.6", Kind::Pytest(&["trio==0.34.0"]), true),
    suite("itsdangerous", "2.2.0", Kind::Pytest(&["freezegun==1.5.5"]), false),
    suite("toolz", "1.2.0", Kind::Pytest(&[]), false),
    suite("tomlkit", "0.15.2", Kind::Pytest(&["pyyaml==6.0.3"]), false),
    suite("boltons", "26.2.0", Kind::Pytest(&[]), false),
    suite("semver", "1.0.28", Kind::Cargo, true),
    suite("itoa", "1.0.18", Kind::Cargo, true),
    suite("regex-syntax", "0.8.11", Kind::Cargo, true),
];

/// A suite's own result.
#[derive(Debug)]
pub(crate) struct Reference {
    /// Its cases.
    pub(crate) cases: Vec<Case>,
    /// How it ended.
    pub(crate) timed: Timed,
}

/// The suites with these names; all of them if there are none.
pub(crate) fn chosen(only: &[String]) -> Result<Vec<&'static Suite>> {
    if let Some(unknown) = only.iter().find(|name| !ALL.iter().any(|suite| suite.name == **name)) {
        let names: Vec<&str> = ALL.iter().map(|suite| suite.name).collect();
        bail!("there is no suite `{unknown}`; the suites are {}", names.join(", "));
    }
    Ok(ALL.iter().filter(|suite| only.is_empty() || only.iter().any(|name| name == suite.name)).collect())
}

/// Where fetched suites are.
pub(crate) fn shelf() -> PathBuf {
    place::target().join("conformance")
}

impl Suite {
    /// Fetches the suite with its environment, unless it is there; returns its project directory.
    pub(crate) fn fetch(&self) -> Result<PathBuf> {
        match self.kind {
            Kind::Pytest(extra) => python::fetch(self, extra),
            Kind::Cargo => crates::fetch(self),
        }
    }

    /// Runs the suite with its own framework.
    pub(crate) fn reference(&self, project: &Path) -> Result<Reference> {
        match self.kind {
            Kind::Pytest(_) => python::reference(self, project),
            Kind::Cargo => crates::reference(self, project),
        }
    }

    /// A file of this suite's outputs.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        shelf().join(format!("{}.{name}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_suite_is_refused_with_the_known_ones() {
        let error = chosen(&["attr".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`attr`") && error.contains("regex-syntax"), "{error}");
        assert_eq!(chosen(&["itoa".to_owned()]).unwrap().len(), 1);
        assert_eq!(chosen(&[]).unwrap().len(), ALL.len());
    }
}
