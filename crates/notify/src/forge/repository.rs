//! Questions about one repository: names, commits, trees, texts.

use super::answer::{Said, failed, judge};
use super::{PORT, Shared, away, denied};
use crate::client::{ANSWER_LIMIT_BYTES, Answer, Call, CallError, LIMIT};
use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::domain::address::Reference;
use shared::domain::secret::Secret;
use shared::ports::forge::{Resolved, Snapshot};
use shared::ports::{PortError, PortResult};
use shared::wire::percent::encoded;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// GitHub cuts the list of a tree at 7 MB.
const TREE_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// Tags of tags are followed so far.
const TAGS_LIMIT: usize = 5;
/// Texts fetched at the same time.
const ABREAST: usize = 8;
/// For an archive to come whole; planning has a minute.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(30);
const JSON: &str = "application/vnd.github+json";
const RAW: &str = "application/vnd.github.raw+json";
const API_VERSION: &str = "2022-11-28";

/// The id of an object, in the form that ids have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Id(String);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let sound = Reference::parse(&text).is_ok_and(|reference| reference.is_commit());
        if sound { Ok(Self(text)) } else { Err("this is no id of an object") }
    }
}

impl Id {
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[derive(Deserialize)]
struct Facts {
    default_branch: String,
    #[serde(rename = "private")]
    is_private: bool,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    sha: Id,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "ref")]
    name: String,
    object: Object,
}

#[derive(Deserialize)]
struct Tag {
    object: Object,
}

#[derive(Deserialize)]
struct CommitFound {
    sha: Id,
}

/// A tree, or everything below it.
#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    #[serde(rename = "tree")]
    pub(super) entries: Vec<Entry>,
    #[serde(default)]
    pub(super) truncated: bool,
}

/// An entry of a tree.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    pub(super) sha: Id,
    pub(super) size: Option<u64>,
}

impl Entry {
    /// A link is kept as a file, too, and a repository inside of the repository as a commit.
    pub(super) fn is_file(&self) -> bool {
        self.kind == "blob" && self.mode.starts_with("100")
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == "tree"
    }
}

/// An archive on its way.
#[derive(Debug)]
pub(super) struct Download {
    url: Arc<str>,
    answer: Answer,
}

#[async_trait]
impl Snapshot for Download {
    async fn next(&mut self) -> PortResult<Option<Vec<u8>>> {
        self.answer.next().await.map_err(|error| failed(&self.url, &error))
    }
}

/// A repository that is asked about. Clones know of each other what they found out.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    shared: Arc<Shared>,
    url: Arc<str>,
    root: Arc<str>,
    /// Whether an answer has shown that it is there for us.
    seen: Arc<AtomicBool>,
}

impl Repository {
    pub(super) fn new(shared: Arc<Shared>, url: String, root: String) -> Self {
        Self { shared, url: url.into(), root: root.into(), seen: Arc::default() }
    }

    /// A commit by its id.
    pub(super) async fn commit(&self, id: &str) -> PortResult<Option<Resolved>> {
        let found = self.ask::<CommitFound>(&format!("/git/commits/{id}")).await?;
        let found = found.filter(|found| found.sha.0 == id);
        Ok(found.map(|found| Resolved { commit: found.sha.into_text(), branch: None }))
    }

    /// What a name stands for: `HEAD`, a full reference, a branch, or else a tag.
    pub(super) async fn find(&self, name: &str) -> PortResult<Option<Resolved>> {
        if name == "HEAD" {
            let facts = self.ask::<Facts>("").await?.ok_or_else(|| self.absent())?;
            return self.named(&format!("heads/{}", facts.default_branch)).await;
        }
        if let Some(full) = name.strip_prefix("refs/") {
            return self.named(full).await;
        }
        match self.named(&format!("heads/{name}")).await? {
            Some(branch) => Ok(Some(branch)),
            None => self.named(&format!("tags/{name}")).await,
        }
    }

    /// What a full reference stands for; it is given without its `refs/`.
    async fn named(&self, name: &str) -> PortResult<Option<Resolved>> {
        let parts: Vec<String> = name.split('/').map(encoded).collect();
        let found = self.ask::<Named>(&format!("/git/ref/{}", parts.join("/"))).await?;
        let Some(found) = found.filter(|found| found.name.strip_prefix("refs/") == Some(name)) else {
            return Ok(None);
        };
        let branch = name.strip_prefix("heads/").map(str::to_owned);
        let commit = self.peeled(found.object).await?;
        Ok(commit.map(|commit| Resolved { commit, branch }))
    }

    /// The commit that an object is, or that a tag is of.
    async fn peeled(&self, mut object: Object) -> PortResult<Option<String>> {
        for _ in 0..TAGS_LIMIT {
            match object.kind.as_str() {
                "commit" => return Ok(Some(object.sha.into_text())),
                "tag" => match self.ask::<Tag>(&format!("/git/tags/{}", object.sha.0)).await? {
                    Some(tag) => object = tag.object,
                    None => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The tree of this id, or of the commit of this id; `deep` is with everything below it.
    pub(super) async fn tree(&self, id: &str, deep: bool) -> PortResult<Option<Tree>> {
        let question = if deep { "?recursive=1" } else { "" };
        self.ask_up_to(&format!("/git/trees/{id}{question}"), TREE_LIMIT_BYTES).await
    }

    /// The text of a file that a tree has.
    pub(super) async fn text(&self, id: &Id, limit_bytes: usize) -> PortResult<String> {
        let found = self.bytes(&format!("/git/blobs/{}", id.0), RAW, limit_bytes).await?;
        let none = || away(&self.url, format!("GitHub does not give the file `{}` that it lists", id.0));
        Ok(String::from_utf8_lossy(&found.ok_or_else(none)?).into_owned())
    }

    /// The texts of some entries, by path.
    pub(super) async fn texts(
        &self,
        entries: Vec<&Entry>,
        limit_bytes: usize,
    ) -> PortResult<BTreeMap<String, String>> {
        let mut waiting = entries.into_iter();
        let (mut asking, mut texts) = (JoinSet::new(), BTreeMap::new());
        loop {
            while asking.len() < ABREAST {
                let Some(entry) = waiting.next() else { break };
                let (repository, path, id) = (self.clone(), entry.path.clone(), entry.sha.clone());
                asking.spawn(async move { (path, repository.text(&id, limit_bytes).await) });
            }
            match asking.join_next().await {
                None => return Ok(texts),
                Some(Ok((path, text))) => texts.insert(path, text?),
                Some(Err(broken)) => {
                    return Err(away(&self.url, format!("looking it up ended without an answer: {broken}")));
                }
            };
        }
    }

    /// Everything of a commit, if the repository is shown to us and not to everybody.
    pub(super) async fn snapshot(&self, commit: &str) -> PortResult<Option<Download>> {
        let facts = self.ask::<Facts>("").await?.ok_or_else(|| self.absent())?;
        if !facts.is_private {
            return Ok(None);
        }
        self.check_whole(commit).await?;
        let answer = self.open(&format!("/tarball/{commit}"), JSON, LIMIT).await?;
        // A short-lived address of another host; it is for nobody but us, and gets no token.
        let place = match (answer.status(), answer.location()) {
            (302, Some(place)) => place.to_owned(),
            _ => return Err(self.refused(answer, commit).await),
        };
        let call = Call { url: &place, headers: &[], body: None, bearer: None };
        let answer = self.shared.outbound.open(call, ARCHIVE_LIMIT).await;
        let answer = answer.map_err(|error| failed(&self.url, &error))?;
        match answer.status() {
            200 => Ok(Some(Download { url: Arc::clone(&self.url), answer })),
            _ => Err(self.refused(answer, commit).await),
        }
    }

    /// An archive lacks what the commit's attributes say, and its tests with it: a run of the rest could be green.
    async fn check_whole(&self, commit: &str) -> PortResult<()> {
        let Some(tree) = self.tree(commit, true).await? else {
            return Err(self.without(commit).await);
        };
        if tree.truncated {
            let reason = "it is private and has more files than GitHub lists; `fleetest run --remote --upload` sends it instead";
            return Err(denied(&self.url, reason.to_owned()));
        }
        let is_attributes = |entry: &&Entry| {
            entry.is_file() && matches!(entry.path.rsplit('/').next(), Some(".gitattributes"))
        };
        let attributes = tree.entries.iter().filter(is_attributes).collect();
        for (path, text) in self.texts(attributes, ANSWER_LIMIT_BYTES).await? {
            if text.contains("export-ignore") || text.contains("export-subst") {
                let reason = format!(
                    "it is private, and `{path}` leaves files out of archives or changes them (`export-ignore`, \
                     `export-subst`), so that its tests would not be those of the commit; \
                     `fleetest run --remote --upload` sends the commit instead"
                );
                return Err(denied(&self.url, reason));
            }
        }
        Ok(())
    }

    /// Why there is no archive.
    async fn refused(&self, answer: Answer, commit: &str) -> PortError {
        let reply = match answer.read(ANSWER_LIMIT_BYTES).await {
            Ok(reply) => reply,
            Err(error) => return failed(&self.url, &error),
        };
        match judge(&self.url, reply, self.shared.token.is_some()) {
            Ok(Said::Nothing | Said::NothingInside) => self.without(commit).await,
            Ok(Said::This(_)) => {
                away(&self.url, "GitHub answers with something else than an archive".to_owned())
            }
            Err(error) => error,
        }
    }

    /// Why there is no `subject`: the repository does not have it, or is not there for us itself.
    pub(super) async fn without(&self, subject: &str) -> PortError {
        if !self.seen.load(Ordering::Relaxed) {
            match self.ask::<Facts>("").await {
                Ok(Some(_)) => {}
                Ok(None) => return self.absent(),
                Err(error) => return error,
            }
        }
        PortError::NotFound { port: PORT, subject: subject.to_owned() }
    }

    fn absent(&self) -> PortError {
        let reason = match self.shared.token {
            Some(_) => "it is not there, or it is private and this installation's token does not reach it",
            None => "it is not there, or it is private and this installation has no token",
        };
        denied(&self.url, reason.to_owned())
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> PortResult<Option<T>> {
        self.ask_up_to(path, ANSWER_LIMIT_BYTES).await
    }

    async fn ask_up_to<T: DeserializeOwned>(&self, path: &str, limit_bytes: usize) -> PortResult<Option<T>> {
        let Some(body) = self.bytes(path, JSON, limit_bytes).await? else { return Ok(None) };
        let parsed = serde_json::from_slice(&body);
        parsed.map(Some).map_err(|error| failed(&self.url, &CallError::NotJson(error)))
    }

    async fn open(&self, path: &str, accept: &str, within: Duration) -> PortResult<Answer> {
        let url = format!("{}{path}", self.root);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [header("accept", accept), header("x-github-api-version", API_VERSION)];
        let bearer = self.shared.token.as_ref().map(Secret::reveal);
        let call = Call { url: &url, headers: &headers, body: None, bearer };
        self.shared.outbound.open(call, within).await.map_err(|error| failed(&self.url, &error))
    }

    async fn bytes(&self, path: &str, accept: &str, limit_bytes: usize) -> PortResult<Option<Vec<u8>>> {
        let answer = self.open(path, accept, LIMIT).await?;
        let reply = answer.read(limit_bytes).await.map_err(|error| failed(&self.url, &error))?;
        let said = judge(&self.url, reply, self.shared.token.is_some())?;
        if said != Said::Nothing {
            self.seen.store(true, Ordering::Relaxed);
        }
        Ok(match said {
            Said::This(body) => Some(body),
            Said::Nothing | Said::NothingInside => None,
        })
    }
}
