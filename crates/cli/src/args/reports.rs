//! Where reports go, as asked for on the command line.

use std::path::PathBuf;
use std::str::FromStr;

/// Where the JSON report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonTarget {
    /// To stdout, given as `-`.
    Stdout,
    /// To a file.
    File(PathBuf),
}

impl FromStr for JsonTarget {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(PathBuf::from(text)) })
    }
}

/// The report files that were asked for; those of `.fleetest/` are written besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportPaths {
    /// JUnit XML.
    pub junit: Option<PathBuf>,
    /// JSON.
    pub json: Option<JsonTarget>,
    /// CTRF.
    pub ctrf: Option<PathBuf>,
    /// HTML.
    pub html: Option<PathBuf>,
}

impl ReportPaths {
    /// Each file that was asked for, with the name of its kind.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &PathBuf)> {
        let json = match &self.json {
            Some(JsonTarget::File(path)) => Some(path),
            Some(JsonTarget::Stdout) | None => None,
        };
        [
            ("junit", self.junit.as_ref()),
            ("json", json),
            ("ctrf", self.ctrf.as_ref()),
            ("html", self.html.as_ref()),
        ]
        .into_iter()
        .filter_map(|(kind, path)| path.map(|path| (kind, path)))
        .collect()
    }
}
