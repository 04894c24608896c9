//! The run's `--filter` expression: which cases belong to the run.
//!
//! `term`s joined by `and`, `or`, `not` and parentheses. A term with `::`, `*` or `?` must match the whole case
//! id, with `*` for any text and `?` for any character; any other term matches anywhere in it. `=term` is the exact
//! id, letter for letter. `'…'` and `"…"` quote (the latter with `\"` and `\\`). Brackets mean themselves, so an id with
//! parameters can be pasted as it is.

mod glob;
mod parse;

use super::case::CaseId;
use glob::Glob;
use std::fmt;

/// Why an expression cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {position} of the filter `{expression}` ({hint})")]
pub struct FilterError {
    /// The whole expression.
    pub expression: String,
    /// Where, in characters counted from 1.
    pub position: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A parsed filter expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    root: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Exact(String),
    Contains(String),
    Glob(Glob),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// What a node can come to over all ids with one prefix; both may be true, never neither.
#[derive(Debug, Clone, Copy)]
struct Possible {
    keep: bool,
    drop: bool,
}

impl Filter {
    /// Parses an expression.
    ///
    /// # Errors
    /// With the place of the first thing that cannot be understood.
    pub fn parse(expression: &str) -> Result<Self, FilterError> {
        parse::parse(expression).map(|root| Self { root })
    }

    /// Whether the case belongs to the run.
    #[must_use]
    pub fn keeps(&self, case: &CaseId) -> bool {
        self.root.keeps(&case.0)
    }

    /// Whether a unit need be collected at all: false only if no id that starts with `unit_key` can be kept.
    #[must_use]
    pub fn may_keep_unit(&self, unit_key: &str) -> bool {
        self.root.possible(unit_key).keep
    }

    /// The expression that keeps exactly this case. Quoting it for a shell is the caller's work.
    #[must_use]
    pub fn exact(case: &CaseId) -> String {
        let id = &case.0;
        let special = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '*' | '?');
        let plain = id.contains("::") && !id.starts_with('=') && !id.contains(special);
        if plain {
            return id.clone();
        }
        format!("=\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Node {
    /// A bare or quoted term, by the rule of the module's header.
    fn term(text: String) -> Self {
        if text.contains(['*', '?']) {
            Self::Glob(Glob::new(&text))
        } else if text.contains("::") {
            Self::Exact(text)
        } else {
            Self::Contains(text)
        }
    }

    fn keeps(&self, id: &str) -> bool {
        match self {
            Self::Exact(text) => id == text,
            Self::Contains(text) => id.contains(text.as_str()),
            Self::Glob(glob) => glob.matches(id),
            Self::Not(inner) => !inner.keeps(id),
            Self::All(parts) => parts.iter().all(|part| part.keeps(id)),
            Self::Any(parts) => parts.iter().any(|part| part.keeps(id)),
        }
    }

    /// Errs only towards "possible": a part that is impossible is so for certain.
    fn possible(&self, prefix: &str) -> Possible {
        match self {
            Self::Exact(text) => Possible { keep: text.starts_with(prefix), drop: true },
            Self::Contains(text) => Possible { keep: true, drop: !prefix.contains(text.as_str()) },
            Self::Glob(glob) => {
                let reach = glob.after(prefix);
                Possible { keep: reach.alive, drop: !reach.open }
            }
            Self::Not(inner) => {
                let inner = inner.possible(prefix);
                Possible { keep: inner.drop, drop: inner.keep }
            }
            Self::All(parts) => Possible {
                keep: parts.iter().all(|part| part.possible(prefix).keep),
                drop: parts.iter().any(|part| part.possible(prefix).drop),
            },
            Self::Any(parts) => Possible {
                keep: parts.iter().any(|part| part.possible(prefix).keep),
                drop: parts.iter().all(|part| part.possible(prefix).drop),
            },
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (n, part) in parts.iter().enumerate() {
                write!(f, "{}{part}", if n == 0 { "(" } else { word })?;
            }
            f.write_str(")")
        };
        match self {
            Self::Exact(text) => write!(f, "={text:?}"),
            Self::Contains(text) => write!(f, "{text:?}"),
            Self::Glob(glob) => write!(f, "{:?}", glob.to_string()),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::All(parts) => join(f, parts, " and "),
            Self::Any(parts) => join(f, parts, " or "),
        }
    }
}

#[cfg(test)]
mod tests;
