//! The copy of one repository: a bare folder into which single commits are fetched, without their history.

use super::child::{self, Ended};
use super::{GitConfig, Origin, PORT, away, denied};
use shared::domain::address::Reference;
use shared::domain::detect::{FILES_LIMIT, Listing, MANIFEST_LIMIT_BYTES, is_file_listed, is_manifest};
use shared::domain::git::{self, Diagnosis};
use shared::domain::id::digest_hex;
use shared::ports::forge::{FILE_LIMIT_BYTES, Resolved};
use shared::ports::{PortError, PortResult};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longest time for asking what a reference stands for.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for fetching one commit.
const FETCH_LIMIT: Duration = Duration::from_secs(120);
/// Largest output that is read.
const OUTPUT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// A copy with so many commits is made anew: nothing else bounds its size.
const COMMITS_LIMIT: usize = 64;
/// Manifests that are read; more folders than that tell nothing new.
const MANIFESTS_LIMIT: usize = 200;
/// Lines of git's complaint that are shown.
const SHOWN_LINES: usize = 8;

/// The copy of a repository.
pub(super) struct LocalCopy<'a> {
    config: &'a GitConfig,
    url: &'a str,
    origin: &'a Origin,
    folder: PathBuf,
}

/// One file of a commit.
struct Item {
    regular: bool,
    object: String,
    path: String,
}

impl<'a> LocalCopy<'a> {
    pub(super) fn new(config: &'a GitConfig, url: &'a str, origin: &'a Origin) -> Self {
        let folder = config.folder.join(digest_hex(url)).with_extension("git");
        Self { config, url, origin, folder }
    }

    /// What a name stands for; a branch comes before a tag of the same name.
    pub(super) fn find(&self, reference: &Reference) -> PortResult<Resolved> {
        let name = reference.as_str();
        let tag = format!("refs/tags/{name}");
        let wanted = [
            format!("refs/heads/{name}"),
            format!("{tag}^{{}}"),
            tag,
            format!("{name}^{{}}"),
            name.to_owned(),
        ];
        let mut command = self.git();
        command.args(["ls-remote", "--quiet", "--symref", "--"]).arg(self.origin.argument()).args(&wanted);
        let ended = self.must(command, ASK_LIMIT, name)?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
        let found = |wanted: &str| {
            let is_id = |id: &str| Reference::parse(id).is_ok_and(|id| id.is_commit());
            lines.iter().find(|(id, known)| *known == wanted && is_id(id)).map(|(id, _)| (*id).to_owned())
        };
        let hit = wanted.iter().find_map(|full| Some((full.as_str(), found(full)?)));
        let (full, commit) = hit.ok_or_else(|| unknown(name))?;
        let symbolic =
            lines.iter().find(|(_, known)| *known == name).and_then(|(to, _)| to.strip_prefix("ref: "));
        let branch = symbolic.unwrap_or(full).strip_prefix("refs/heads/").map(str::to_owned);
        Ok(Resolved { commit, branch })
    }

    /// Makes sure that the commit is here; returns its id (a tag's own id becomes that of its commit).
    pub(super) fn ensure(&self, id: &str) -> PortResult<String> {
        if let Ok(commit) = self.commit_of(id) {
            return Ok(commit);
        }
        self.make_room()?;
        let mut command = self.inside();
        command.args(["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]);
        command.arg("--no-write-commit-graph").arg("--").arg(self.origin.argument());
        command.arg(format!("+{id}:refs/kept/{id}"));
        self.must(command, FETCH_LIMIT, id)?;
        self.commit_of(id)
    }

    /// The text of a file; `None` if there is no regular file at this path.
    pub(super) fn file(&self, commit: &str, path: &str) -> PortResult<Option<String>> {
        // Git refuses such paths as a fault of the caller; they name no file of a commit.
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Ok(None);
        }
        let items = self.items(commit, Some(path))?;
        let Some(item) = items.into_iter().find(|item| item.regular && item.path == path) else {
            return Ok(None);
        };
        let bytes = self.blob(&item.object, OUTPUT_LIMIT_BYTES)?;
        if bytes.len() > FILE_LIMIT_BYTES {
            return Err(denied(path, format!("it is larger than {FILE_LIMIT_BYTES} bytes")));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(super) fn listing(&self, commit: &str) -> PortResult<Listing> {
        let items = self.items(commit, None)?;
        let mut listing = Listing::default();
        for item in items.into_iter().filter(|item| item.regular && is_file_listed(&item.path)) {
            if listing.files.len() >= FILES_LIMIT {
                listing.truncated = true;
                break;
            }
            if is_manifest(&item.path) && listing.manifests.len() < MANIFESTS_LIMIT {
                let bytes = self.blob(&item.object, MANIFEST_LIMIT_BYTES)?;
                listing.manifests.insert(item.path.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
            listing.files.push(item.path);
        }
        Ok(listing)
    }

    /// Files of a commit in the order of their paths.
    fn items(&self, commit: &str, path: Option<&str>) -> PortResult<Vec<Item>> {
        let mut command = self.inside();
        command.args(["ls-tree", "-r", "-z", "--full-tree", commit, "--"]).args(path);
        let ended = self.must(command, ASK_LIMIT, commit)?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let item = |line: &str| {
            let (facts, path) = line.split_once('\t')?;
            let mut facts = facts.split(' ');
            let regular = facts.next()?.starts_with("100");
            Some(Item { regular, object: facts.nth(1)?.to_owned(), path: path.to_owned() })
        };
        Ok(text.split('\0').filter_map(item).collect())
    }

    fn blob(&self, object: &str, limit_bytes: u64) -> PortResult<Vec<u8>> {
        let mut command = self.inside();
        command.args(["cat-file", "blob", object]);
        Ok(self.run(command, ASK_LIMIT, object, limit_bytes)?.stdout)
    }

    fn commit_of(&self, id: &str) -> PortResult<String> {
        if !self.folder.join("HEAD").is_file() {
            return Err(unknown(id));
        }
        let mut command = self.inside();
        command
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{id}^{{commit}}"));
        let ended = self.spawn(command, ASK_LIMIT, OUTPUT_LIMIT_BYTES)?;
        let commit = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        let sound = Reference::parse(&commit).is_ok_and(|commit| commit.is_commit());
        if ended.status.success() && sound { Ok(commit) } else { Err(unknown(id)) }
    }

    /// A folder to fetch into.
    fn make_room(&self) -> PortResult<()> {
        let unusable = |error: std::io::Error| {
            denied(self.url, format!("the folder `{}` cannot be used: {error}", self.folder.display()))
        };
        let kept = fs::read_dir(self.folder.join("refs/kept")).map_or(0, Iterator::count);
        if kept >= COMMITS_LIMIT {
            fs::remove_dir_all(&self.folder).map_err(unusable)?;
        }
        if self.folder.join("HEAD").is_file() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(unusable)?;
        let mut command = self.git();
        command.args(["init", "--quiet", "--bare", "--template=", "--"]).arg(&self.folder);
        self.must(command, ASK_LIMIT, self.url).map(drop)
    }

    fn must(&self, command: Command, limit: Duration, subject: &str) -> PortResult<Ended> {
        self.run(command, limit, subject, OUTPUT_LIMIT_BYTES)
    }

    fn run(&self, command: Command, limit: Duration, subject: &str, limit_bytes: u64) -> PortResult<Ended> {
        let ended = self.spawn(command, limit, limit_bytes)?;
        if ended.status.success() { Ok(ended) } else { Err(self.explain(&ended, limit, subject)) }
    }

    fn spawn(&self, command: Command, limit: Duration, limit_bytes: u64) -> PortResult<Ended> {
        child::run(command, limit, limit_bytes).map_err(|error| {
            denied(self.url, format!("`git` cannot be started ({error}); install git on the server"))
        })
    }

    fn explain(&self, ended: &Ended, limit: Duration, subject: &str) -> PortError {
        if ended.timed_out {
            return away(self.url, format!("git took longer than {} s", limit.as_secs()));
        }
        let lines: Vec<&str> = ended.stderr.lines().take(SHOWN_LINES).collect();
        let said = lines.join("; ");
        match git::diagnose(&ended.stderr) {
            Diagnosis::UnknownReference => unknown(subject),
            Diagnosis::NoAccess => denied(self.url, said),
            Diagnosis::ForeignOwner => {
                denied(self.url, "it belongs to another user of this machine".to_owned())
            }
            Diagnosis::Other => away(self.url, said),
        }
    }

    fn inside(&self) -> Command {
        let mut command = self.git();
        command.current_dir(&self.folder);
        command
    }

    fn git(&self) -> Command {
        let protocol = self.origin.protocol();
        let mut command = Command::new("git");
        command.env_clear().envs(&self.config.environment);
        if protocol == "ssh" {
            command.envs(&self.config.ssh_environment);
        }
        command.envs(git::environment(protocol)).args(git::settings(protocol)).arg("--literal-pathspecs");
        command
    }
}

fn unknown(reference: &str) -> PortError {
    PortError::NotFound { port: PORT, subject: reference.to_owned() }
}
