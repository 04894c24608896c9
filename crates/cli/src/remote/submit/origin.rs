//! Whether a server can fetch what stands here, or has to be sent it.

use crate::ci::is_commit;
use crate::git::{Revision, ask};
use http_api::api::wire::ProjectShown;
use std::path::Path;
use std::time::Duration;

/// How long git may look for a commit in remote branches.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a run's source comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The project's repository, at this commit.
    Commit(String),
    /// This machine, for this reason.
    Upload(String),
}

/// Decides; in doubt the directory is sent, because then what is tested is what stands here.
/// `near` says that the server is on this machine, so that paths mean the same to it.
pub(super) fn of(root: &Path, revision: &Revision, project: &ProjectShown, near: bool) -> Origin {
    match fetchable(root, revision, project, near) {
        Ok(commit) => Origin::Commit(commit),
        Err(why) => Origin::Upload(why.to_owned()),
    }
}

fn fetchable(
    root: &Path,
    revision: &Revision,
    project: &ProjectShown,
    near: bool,
) -> Result<String, &'static str> {
    let repository = project.repository.as_deref().ok_or("the project has no repository")?;
    let commit = revision.commit.as_deref().filter(|id| is_commit(id)).ok_or("there is no commit")?;
    if revision.dirty {
        return Err("it differs from its commit");
    }
    let top = ask(root, &["rev-parse", "--show-toplevel"], PATIENCE).unwrap_or_default();
    if Path::new(top.trim_end_matches('\n')).canonicalize().ok().as_deref()
        != root.canonicalize().ok().as_deref()
    {
        return Err("it is a part of its repository");
    }
    // A listing that fails proves nothing.
    let untracked = ask(root, &["ls-files", "-o", "--exclude-standard", "--directory"], PATIENCE);
    if untracked.is_none_or(|names| !names.is_empty()) {
        return Err("there are files that git does not know");
    }
    let is_known = remotes_with(root, commit).iter().any(|url| is_same_repository(url, repository));
    let is_here = || {
        let here = root.to_str().into_iter().map(str::to_owned);
        here.chain(remotes_with(root, commit)).any(|path| is_same_folder(&path, repository))
    };
    if is_known || (near && is_here()) {
        Ok(commit.to_owned())
    } else {
        Err("the commit is not in the project's repository, as far as git knows here")
    }
}

/// Addresses of the remotes that have the commit in a branch that was fetched or pushed.
fn remotes_with(root: &Path, commit: &str) -> Vec<String> {
    let question = ["for-each-ref", "--contains", commit, "--format=%(refname)", "refs/remotes"];
    let references = ask(root, &question, PATIENCE).unwrap_or_default();
    let names = ask(root, &["remote"], PATIENCE).unwrap_or_default();
    let has = |name: &&str| {
        let prefix = format!("refs/remotes/{name}/");
        references.lines().any(|reference| reference.starts_with(&prefix))
    };
    names.lines().filter(has).filter_map(|name| ask(root, &["remote", "get-url", name], PATIENCE)).collect()
}

/// Whether two addresses name the same repository, whatever way leads there.
fn is_same_repository(one: &str, other: &str) -> bool {
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// Whether two absolute paths of this machine lead to the same folder.
fn is_same_folder(one: &str, other: &str) -> bool {
    let folder = |text: &str| {
        let path = Path::new(text.trim());
        path.is_absolute().then(|| path.canonicalize().ok()).flatten()
    };
    folder(one).is_some_and(|one| folder(other) == Some(one))
}

/// Host and path of an address; user, scheme, port and `.git` are only a way to get there.
fn place(address: &str) -> Option<(String, String)> {
    let address = address.trim();
    let (authority, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':')?,
    };
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?.to_ascii_lowercase();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| (host, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::revision;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) {
        let identity =
            ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        command.arg("-C").arg(dir).args(identity).args(args);
        for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(inherited);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn project(repository: Option<&str>) -> ProjectShown {
        ProjectShown {
            id: "web".to_owned(),
            title: String::new(),
            repository: repository.map(str::to_owned),
            default_branch: "main".to_owned(),
            config: None,
            settings: http_api::api::wire::SettingsShown::default(),
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    fn decide(dir: &Path, repository: Option<&str>) -> Origin {
        of(dir, &revision(dir, crate::git::PATIENCE), &project(repository), false)
    }

    #[test]
    fn a_pushed_commit_is_fetched_and_anything_else_is_sent() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let ours = Some("https://example.org/team/web");
        let why = |origin: Origin| match origin {
            Origin::Upload(why) => why,
            Origin::Commit(commit) => panic!("{commit}"),
        };
        assert_eq!(why(decide(dir, ours)), "there is no commit");
        git(dir, &["init", "-q"]);
        std::fs::write(dir.join("a"), "1").unwrap();
        git(dir, &["add", "a"]);
        git(dir, &["commit", "-q", "-m", "x"]);
        assert!(why(decide(dir, ours)).contains("not in the project's repository"));
        git(dir, &["remote", "add", "origin", "git@example.org:team/web.git"]);
        git(dir, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
        let commit = revision(dir, crate::git::PATIENCE).commit.unwrap();
        assert_eq!(decide(dir, ours), Origin::Commit(commit));
        assert!(
            why(decide(dir, Some("https://example.org/fork/web")))
                .contains("not in the project's repository")
        );
        assert_eq!(why(decide(dir, None)), "the project has no repository");
        std::fs::create_dir(dir.join("sub")).unwrap();
        assert_eq!(why(decide(&dir.join("sub"), ours)), "it is a part of its repository");
        std::fs::write(dir.join("new"), "1").unwrap();
        assert_eq!(why(decide(dir, ours)), "there are files that git does not know");
        std::fs::write(dir.join("a"), "2").unwrap();
        assert_eq!(why(decide(dir, ours)), "it differs from its commit");
    }

    #[test]
    fn a_path_means_something_to_a_server_of_this_machine_only() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, bare) = (scratch.path().join("web"), scratch.path().join("web.git"));
        std::fs::create_dir(&dir).unwrap();
        git(&dir, &["init", "-q"]);
        std::fs::write(dir.join("a"), "1").unwrap();
        git(&dir, &["add", "a"]);
        git(&dir, &["commit", "-q", "-m", "x"]);
        let known = revision(&dir, crate::git::PATIENCE);
        let commit = Origin::Commit(known.commit.clone().unwrap());
        let itself = project(dir.to_str());
        assert_eq!(of(&dir, &known, &itself, true), commit);
        assert_ne!(of(&dir, &known, &itself, false), commit);
        let pushed = project(bare.to_str());
        git(scratch.path(), &["init", "-q", "--bare", "web.git"]);
        git(&dir, &["remote", "add", "origin", bare.to_str().unwrap()]);
        assert_ne!(of(&dir, &known, &pushed, true), commit, "it was not pushed");
        git(&dir, &["push", "-q", "origin", "main"]);
        assert_eq!(of(&dir, &known, &pushed, true), commit);
    }

    #[test]
    fn addresses_of_one_repository_are_known_to_be() {
        let ways = [
            "https://example.org/team/web",
            "https://user:pw@Example.org/team/web.git",
            "ssh://git@example.org:22/team/web.git",
            "git@example.org:team/web.git\n",
        ];
        for way in ways {
            assert!(is_same_repository(way, ways[0]), "{way}");
        }
        for other in ["https://example.org/team/web2", "https://example.com/team/web", "/srv/web.git", ""] {
            assert!(!is_same_repository(other, ways[0]), "{other}");
        }
    }
}
