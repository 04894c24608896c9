//! What `PATH|URL` means: a directory to run in, or a repository to clone first.
//!
//! Nothing is fetched here and no project is judged: this only decides which of the two it is, and refuses what
//! can be neither. A URL never reaches the terminal or the disk with its password in it.

pub mod state;

use crate::exit::Problem;
use shared::domain::id::{ProjectId, digest_hex};
use std::io;
use std::path::{Path, PathBuf};

/// What is to be tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A directory, run where it stands; absolute.
    Directory(PathBuf),
    /// A repository, cloned first.
    Repository(Repository),
}

/// A repository to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where it is.
    pub origin: Origin,
    /// Branch, tag or commit; `None` = its default branch.
    pub reference: Option<String>,
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An `https` or `ssh` address.
    Remote(String),
    /// A bare repository of this machine; absolute.
    Bare(PathBuf),
}

impl Target {
    /// Decides what the text means; relative paths start at `here`.
    ///
    /// # Errors
    /// A [`Problem`] that names what is wrong with it and what would be right.
    pub fn resolve(text: &str, reference: Option<&str>, here: &Path) -> Result<Self, Problem> {
        if let Some(reference) = reference {
            check_reference(reference)?;
        }
        let reference = reference.map(str::to_owned);
        let path = here.join(text);
        if !path.exists()
            && let Some(address) = remote_address(text)?
        {
            return Ok(Self::Repository(Repository { origin: Origin::Remote(address), reference }));
        }
        let path = existing_directory(text, &path)?;
        if is_bare_repository(&path) {
            return Ok(Self::Repository(Repository { origin: Origin::Bare(path), reference }));
        }
        match reference {
            None => Ok(Self::Directory(path)),
            Some(reference) => Err(Problem::usage(format!(
                "`--ref {reference}` needs a URL or a bare repository, and `{text}` is a working directory"
            ))
            .hint("a directory is tested as it stands; give its repository's URL to test another commit")),
        }
    }

    /// How the target is named to people: no password in it.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Repository(repository) => repository.origin.display(),
        }
    }

    /// A short name for the project, from the last part of its path or address.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        let text = self.display();
        let last = text.trim_end_matches('/').rsplit(['/', ':', '\\']).next().unwrap_or_default();
        let name: String = last
            .trim_end_matches(".git")
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .take(64)
            .collect();
        let has_letter = name.chars().any(|c| c.is_ascii_alphanumeric());
        ProjectId(if has_letter { name } else { "project".to_owned() })
    }
}

impl Origin {
    /// The address without user names' passwords and tokens.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Bare(path) => path.display().to_string(),
            Self::Remote(url) => without_credentials(url),
        }
    }

    /// A name for this repository's state, the same whatever credentials come with the address.
    #[must_use]
    pub fn digest(&self) -> String {
        let address = self.display();
        let address = address.trim_end_matches('/').trim_end_matches(".git");
        digest_hex(address).chars().take(24).collect()
    }
}

fn check_reference(reference: &str) -> Result<(), Problem> {
    let refused = reference.is_empty()
        || reference.starts_with('-')
        || reference.contains("..")
        || reference.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c));
    if !refused {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "`--ref {}` is not the name of a branch, tag or commit",
        reference.escape_debug()
    ))
    .hint("give a name as git prints it, as in `main`, `v1.2.0` or a commit id"))
}

/// The address, if the text is one; a refused scheme is an error, anything else is taken for a path.
fn remote_address(text: &str) -> Result<Option<String>, Problem> {
    if text.starts_with('-') {
        return Err(Problem::usage(format!("`{text}` is neither a path nor a URL"))
            .hint(format!("a directory of that name is given as `./{text}`")));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return remote_with_scheme(text, scheme, rest).map(Some);
    }
    if let Some((helper, _)) = text.split_once("::")
        && !helper.contains('/')
    {
        return Err(Problem::usage(format!(
            "`{helper}::` addresses are refused: they run a command of their own"
        ))
        .hint("use an https:// or ssh:// URL"));
    }
    Ok(is_scp_address(text).then(|| text.to_owned()))
}

fn remote_with_scheme(text: &str, scheme: &str, rest: &str) -> Result<String, Problem> {
    let shown = without_credentials(text);
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "ssh" if host.is_empty() || host.starts_with('-') => {
            Err(Problem::usage(format!("`{shown}` has no host"))
                .hint("an address looks like https://host/path"))
        }
        "https" | "ssh" if text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Err(Problem::usage(format!("`{}` contains blanks or control characters", shown.escape_debug())))
        }
        "https" | "ssh" => Ok(text.to_owned()),
        "http" => Err(Problem::usage(format!("`{shown}` would be fetched without encryption"))
            .hint(format!("use https{}", shown.get(scheme.len()..).unwrap_or_default()))),
        "file" => Err(Problem::usage(format!("`{shown}` is refused: file: URLs are not cloned"))
            .hint("give the path itself; a bare repository is cloned, a directory is run where it stands")),
        _ => Err(Problem::usage(format!("`{shown}` has the unknown scheme `{scheme}`"))
            .hint("use an https:// or ssh:// URL")),
    }
}

/// `user@host:path`, git's short form of ssh.
fn is_scp_address(text: &str) -> bool {
    let Some((login, path)) = text.split_once(':') else { return false };
    let Some((user, host)) = login.split_once('@') else { return false };
    let word = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    word(user) && word(host) && !path.is_empty() && !path.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    // `ssh://git@host` needs its user name, which is no secret; a password behind it is.
    let user = authority.rsplit_once('@').map(|(login, _)| login.split(':').next().unwrap_or_default());
    match user {
        Some(user) if scheme.eq_ignore_ascii_case("ssh") => format!("{scheme}://{user}@{host}{path}"),
        _ => format!("{scheme}://{host}{path}"),
    }
}

fn existing_directory(text: &str, path: &Path) -> Result<PathBuf, Problem> {
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(text)),
        Err(error) => return Err(unreadable(text, error)),
    };
    if !meta.is_dir() {
        let parent = path.parent().unwrap_or(path).display();
        return Err(Problem::usage(format!("`{text}` is a file; fleetest runs a project's directory"))
            .hint(format!("run `fleetest run {parent}`; choose single files with `--filter`")));
    }
    path.canonicalize().map_err(|error| unreadable(text, error))
}

fn missing(text: &str) -> Problem {
    let problem = Problem::usage(format!("there is no directory `{text}`"));
    let first = text.split('/').next().unwrap_or_default();
    let looks_like_host = first.contains('.') && !first.starts_with('.') && text.contains('/');
    problem.hint(if looks_like_host {
        format!("if you mean a repository, give its URL: https://{text}")
    } else {
        "give an existing directory, or the https:// or ssh:// URL of a repository".to_owned()
    })
}

fn unreadable(text: &str, error: io::Error) -> Problem {
    Problem::could_not_run(format!("cannot read `{text}`"))
        .hint("check that you may enter this directory and list it")
        .because(error)
}

fn is_bare_repository(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = Target::resolve(text, None, Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.exit().code(), 2, "{text}");
        format!("{error}\n  {}", error.next_step().unwrap_or_default())
    }

    fn remote(text: &str) -> Origin {
        let target = Target::resolve(text, None, Path::new("/nowhere")).unwrap();
        let Target::Repository(Repository { origin, reference: None }) = target else { panic!("{target:?}") };
        origin
    }

    #[test]
    fn addresses_are_known() {
        for text in ["https://example.org/a/b", "ssh://git@example.org/a.git", "git@example.org:a/b.git"] {
            assert_eq!(remote(text), Origin::Remote(text.to_owned()));
        }
    }

    #[test]
    fn dangerous_and_useless_addresses_are_refused_with_the_right_one() {
        let texts = [
            "ext::sh -c 'touch /tmp/x'",
            "file:///srv/repo.git",
            "http://user:secret@example.org/x",
            "git://example.org/x",
            "https:///x",
            "https://-oProxyCommand=x/y",
            "--upload-pack=x",
            "github.com/pallets/click",
            "no/such/dir",
        ];
        let all: Vec<String> = texts.iter().map(|text| refused(text)).collect();
        insta::assert_snapshot!(all.join("\n"));
        assert!(!all.join("\n").contains("secret"));
    }

    #[test]
    fn passwords_are_neither_shown_nor_part_of_the_identity() {
        let with = remote("https://me:secret@example.org/a.git");
        let without = remote("https://example.org/a");
        assert_eq!(with.display(), "https://example.org/a.git");
        assert_eq!(with.digest(), without.digest());
        assert_ne!(with.digest(), remote("https://example.org/b").digest());
        assert_eq!(remote("ssh://git:pw@example.org/a").display(), "ssh://git@example.org/a");
    }

    #[test]
    fn a_directory_is_run_where_it_stands() {
        let scratch = tempfile::tempdir().unwrap();
        let here = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(here.join("My Project")).unwrap();
        let target = Target::resolve("My Project", None, &here).unwrap();
        assert_eq!(target, Target::Directory(here.join("My Project")));
        assert_eq!(target.project().0, "my-project");
        let error = Target::resolve("My Project", Some("main"), &here).unwrap_err();
        assert!(error.to_string().contains("`--ref main` needs a URL"), "{error}");
    }

    #[test]
    fn a_file_is_no_project() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("test_a.py"), "").unwrap();
        let error = Target::resolve("test_a.py", None, scratch.path()).unwrap_err();
        assert_eq!(error.to_string(), "`test_a.py` is a file; fleetest runs a project's directory");
    }

    #[test]
    fn a_bare_repository_is_cloned() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().canonicalize().unwrap().join("x.git");
        for dir in ["objects", "refs"] {
            std::fs::create_dir_all(path.join(dir)).unwrap();
        }
        std::fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let target = Target::resolve("x.git", Some("v1"), path.parent().unwrap()).unwrap();
        let origin = Origin::Bare(path.clone());
        assert_eq!(target, Target::Repository(Repository { origin, reference: Some("v1".to_owned()) }));
        assert_eq!(target.project().0, "x");
    }

    #[test]
    fn a_reference_cannot_be_an_option_or_an_expression() {
        for reference in ["-x", "--upload-pack=x", "", "a..b", "a b", "HEAD~1", "a:b", "x\n"] {
            let error =
                Target::resolve("https://example.org/a", Some(reference), Path::new("/")).unwrap_err();
            assert_eq!(error.exit().code(), 2, "{reference:?}");
        }
        for reference in ["main", "v1.2.0", "feature/x-y_z", "0123abcd"] {
            assert!(Target::resolve("https://example.org/a", Some(reference), Path::new("/")).is_ok());
        }
    }

    #[test]
    fn a_project_always_has_a_name() {
        let name = |path: &str| Target::Directory(path.into()).project().0;
        assert_eq!(
            (name("/"), name("/srv/日本"), name("/srv/a.b/")),
            ("project".into(), "project".into(), "a.b".into())
        );
        assert_eq!(name(&format!("/{}", "x".repeat(200))).len(), 64);
    }
}
