//! Which server the remote commands talk to, as whom, and about which project.
//!
//! The token is a secret: no formatting of these values shows it.

use crate::exit::Problem;
use crate::project::Target;
use std::fmt;
use std::path::Path;

/// The server, unless `FLEETEST_URL` names another.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token of this text, without blanks around it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether it can be sent in a header.
    pub(super) fn is_sendable(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `FLEETEST_URL`.
    pub url: Option<String>,
    /// `FLEETEST_TOKEN`.
    pub token: Option<Token>,
    /// `FLEETEST_PROJECT`.
    pub project: Option<String>,
}

impl Settings {
    /// The settings in these variables.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            url: variable("FLEETEST_URL"),
            token: variable("FLEETEST_TOKEN").map(|text| Token::new(&text)),
            project: variable("FLEETEST_PROJECT"),
        }
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(DEFAULT_URL)
    }
}

/// The project that a command is about, and where its name is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenProject {
    /// Id.
    pub id: String,
    /// Where the name is from, to be told; `None` if it was given as an argument.
    pub note: Option<String>,
}

/// The project of the argument, else of `FLEETEST_PROJECT`, else the one that is named like the folder.
///
/// # Errors
/// The name cannot be a project's.
pub fn project(argument: Option<&str>, settings: &Settings, folder: &Path) -> Result<ChosenProject, Problem> {
    let (id, note) = match (argument, &settings.project) {
        (Some(id), _) => (id.to_owned(), None),
        (None, Some(id)) => (id.clone(), Some(format!("project `{id}` (FLEETEST_PROJECT)"))),
        (None, None) => {
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            let id = Target::Directory(folder).project().0;
            let id = id.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
            let note = format!("project `{id}` (the folder's name; choose another with --project)");
            (id, Some(note))
        }
    };
    shared::domain::id::ProjectId::parse(&id).map_err(|reason| {
        Problem::usage(reason.clone())
            .hint("name the project with `--project`, as `fleetest projects list` shows it")
    })?;
    Ok(ChosenProject { id, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_never_shown() {
        let settings = Settings::from_variables(|name| Some(format!("{name}-secret ")));
        assert!(!format!("{settings:?}").contains("TOKEN-secret"));
        assert_eq!(settings.token.unwrap().bearer(), "Bearer FLEETEST_TOKEN-secret");
    }

    #[test]
    fn a_project_is_named_by_argument_environment_or_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("_My App");
        std::fs::create_dir(&folder).unwrap();
        let none = Settings::default();
        let named = Settings { project: Some("web".to_owned()), ..Settings::default() };
        let id = |argument, settings| project(argument, settings, &folder).map(|chosen| chosen.id);
        assert_eq!(id(Some("api"), &named).unwrap(), "api");
        assert_eq!(id(None, &named).unwrap(), "web");
        assert_eq!(id(None, &none).unwrap(), "my-app");
        assert_eq!(id(Some("No Such"), &none).unwrap_err().exit().code(), 2);
    }
}
