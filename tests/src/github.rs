//! A strict GitHub for the calls that look a repository up, on HTTP, written from the documentation of its REST API.
//!
//! Repositories are described by tests; their ids look like ids and are none of git's. What GitHub refuses is refused: a
//! call without a `User-Agent`, a token that is none, an unknown version of the API, everything but a `GET`. A private
//! repository is not there for whoever has no token.

#![expect(clippy::panic, reason = "a test without its server must not pass")]

mod objects;

use crate::http::{Request, Response, Server};
use crate::memory::lock;
use objects::Repository;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub use objects::{Entry, FILE, LINK, SUBMODULE};

/// The only version of the API that is known here.
const API_VERSION: &str = "2022-11-28";
/// How a file is asked for as it is.
const RAW: &str = "application/vnd.github.raw+json";
/// How everything else may be asked for.
const JSON: [&str; 3] = ["application/vnd.github+json", "application/json", "*/*"];

/// What every call is answered with instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The requests of this hour are used up.
    RateLimited,
    /// Too many requests in a short time; to be left alone for so many seconds.
    TooFast(u64),
    /// The repository has another name now.
    Moved,
    /// A status with a complaint that says nothing.
    Status(u16),
    /// A page for people.
    Page,
    /// The beginning of what was promised.
    BreaksOff,
}

/// What GitHub is like.
#[derive(Debug, Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    token: Option<String>,
    trouble: Option<Trouble>,
    trouble_of_archives: Option<Trouble>,
    truncated: bool,
    requests: Vec<Request>,
}

/// The fake.
#[derive(Debug)]
pub struct FakeGithub {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Default for FakeGithub {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeGithub {
    /// GitHub without repositories.
    #[must_use]
    pub fn new() -> Self {
        Self::at(0)
    }

    /// The same at this port of loopback, for those who were told of it before.
    #[must_use]
    pub fn at(port: u16) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let inside = Arc::clone(&state);
        let server = Server::start_at(port, Arc::new(move |request| answer(&mut lock(&inside), request)));
        let server = server.unwrap_or_else(|error| panic!("no server on loopback: {error}"));
        Self { server, state }
    }

    /// The base of its API.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    fn on<T>(&self, repository: &str, work: impl FnOnce(&mut Repository) -> T) -> T {
        work(lock(&self.state).repositories.entry(repository.to_owned()).or_default())
    }

    /// Makes a repository, as in `acme/click`, with nothing in it.
    pub fn create(&self, repository: &str) {
        self.on(repository, |_| {});
    }

    /// Shows a repository to those with a token only.
    pub fn hide(&self, repository: &str) {
        self.on(repository, |repository| repository.is_private = true);
    }

    /// Adds a commit with these files and lets full references (`refs/heads/main`) stand for it; returns its id.
    pub fn commit(&self, repository: &str, files: &[(&str, &str)], references: &[&str]) -> String {
        let entries: Vec<Entry> = files.iter().map(|(path, text)| Entry::new(FILE, path, text)).collect();
        self.commit_entries(repository, &entries, references)
    }

    /// The same with entries of any kind.
    pub fn commit_entries(&self, repository: &str, entries: &[Entry], references: &[&str]) -> String {
        self.on(repository, |repository| repository.commit(entries, references))
    }

    /// Adds an annotated tag of a commit, or of another tag, and its reference; returns its id.
    pub fn annotate(&self, repository: &str, name: &str, of: &str) -> String {
        self.on(repository, |repository| repository.annotate(name, of))
    }

    /// Takes this token and no other.
    pub fn take_token(&self, token: &str) {
        lock(&self.state).token = Some(token.to_owned());
    }

    /// From now on, answers everything with a trouble, or nothing any more.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        lock(&self.state).trouble = trouble;
    }

    /// From now on, answers calls for archives with a trouble, or nothing any more.
    pub fn trouble_archives(&self, trouble: Option<Trouble>) {
        lock(&self.state).trouble_of_archives = trouble;
    }

    /// Lists trees not to their end.
    pub fn truncate(&self) {
        lock(&self.state).truncated = true;
    }

    /// What was asked, as it came; not again.
    #[must_use]
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

fn sent(status: u16, body: &Value) -> Response {
    let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
    Response { headers, ..Response::new(status, body.to_string()) }
}

fn refused(status: u16, message: &str) -> Response {
    sent(status, &json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }))
}

/// A form of an answer that the documentation has and this fake has not.
fn unacceptable() -> Response {
    refused(415, "Unsupported 'Accept' header")
}

fn with_header(mut response: Response, name: &str, value: &str) -> Response {
    response.headers.push((name.to_owned(), value.to_owned()));
    response
}

impl Trouble {
    fn answer(self) -> Response {
        match self {
            Self::RateLimited => {
                let message = "API rate limit exceeded for 203.0.113.7. (But here's the good news: Authenticated \
                               requests get a higher rate limit.)";
                let refused = with_header(refused(403, message), "x-ratelimit-limit", "60");
                let refused = with_header(refused, "x-ratelimit-remaining", "0");
                with_header(refused, "x-ratelimit-reset", "1767225600")
            }
            Self::TooFast(seconds) => {
                let refused = refused(429, "You have exceeded a secondary rate limit.");
                with_header(refused, "retry-after", &seconds.to_string())
            }
            Self::Moved => {
                let place = "https://api.github.com/repositories/1296269";
                with_header(refused(301, "Moved Permanently"), "location", place)
            }
            Self::Status(status) => refused(status, "Something is the matter"),
            Self::Page => Response::new(200, "<html>Sign in</html>"),
            Self::BreaksOff => with_header(Response::new(200, "\u{1f}"), "content-length", "2"),
        }
    }
}

fn answer(state: &mut State, request: Request) -> Response {
    let answer = state.answer(&request).unwrap_or_else(|refused| refused);
    state.requests.push(request);
    answer
}

impl State {
    fn answer(&self, request: &Request) -> Result<Response, Response> {
        if request.header("user-agent").is_empty() {
            let message = "Request forbidden by administrative rules. Please make sure your request has a \
                           User-Agent header.";
            return Err(refused(403, message));
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble.answer());
        }
        if let Some(target) = request.target.strip_prefix("/codeload/") {
            return self.hand_out(request, target);
        }
        let is_known = self.is_known(request.header("authorization"))?;
        if !["", API_VERSION].contains(&request.header("x-github-api-version")) {
            return Err(refused(400, "The API version is not supported."));
        }
        if request.method != "GET" {
            return Err(refused(405, "Method Not Allowed"));
        }
        self.look(request, is_known)
    }

    /// What is there at the request's target.
    fn look(&self, request: &Request, is_known: bool) -> Result<Response, Response> {
        let none = || refused(404, "Not Found");
        let (path, query) = request.target.split_once('?').unwrap_or((request.target.as_str(), ""));
        let parts: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some((["repos", owner, name], rest)) = parts.split_first_chunk::<3>() else {
            return Err(none());
        };
        let full_name = format!("{owner}/{name}");
        let repository = self.repositories.get(&full_name).filter(|one| is_known || !one.is_private);
        let repository = repository.ok_or_else(none)?;
        if !rest.is_empty() && repository.is_empty() {
            return Err(refused(409, "Git Repository is empty."));
        }
        if let ["tarball", commit] = rest {
            let ticket = repository.ticket(commit).ok_or_else(none)?;
            let host = request.header("host");
            let place = format!("http://{host}/codeload/{full_name}/legacy.tar.gz/{commit}?token={ticket}");
            return Ok(with_header(Response::new(302, ""), "location", &place));
        }
        if let ["git", "blobs", id] = rest {
            let bytes = repository.blob(id).ok_or_else(none)?;
            let is_raw = request.header("accept") == RAW;
            return if is_raw { Ok(Response::new(200, bytes)) } else { Err(unacceptable()) };
        }
        if !JSON.contains(&request.header("accept")) {
            return Err(unacceptable());
        }
        let found = match rest {
            [] => Some(repository.facts(&full_name)),
            ["git", "ref", name @ ..] => repository.reference(&name.join("/")),
            ["git", "commits", id] => repository.shown_commit(id),
            ["git", "tags", id] => repository.shown_tag(id),
            // Any value is a yes.
            ["git", "trees", id] => {
                repository.shown_tree(id, query.split('&').any(is_recursive), self.truncated)
            }
            _ => None,
        };
        found.map(|found| sent(200, &found)).ok_or_else(none)
    }

    /// The other host, which hands out archives to whoever has the ticket, and knows no tokens.
    fn hand_out(&self, request: &Request, target: &str) -> Result<Response, Response> {
        if !request.header("authorization").is_empty() {
            return Err(Response::new(400, "a token of the API was sent to another host"));
        }
        if let Some(trouble) = self.trouble_of_archives {
            return Err(trouble.answer());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let found = path.split_once("/legacy.tar.gz/").and_then(|(full_name, commit)| {
            let repository = self.repositories.get(full_name)?;
            let ticket = repository.ticket(commit)?;
            (query == format!("token={ticket}")).then(|| repository.archive(full_name, commit)).flatten()
        });
        let archive = found.ok_or_else(|| Response::new(404, "Not Found"))?;
        Ok(with_header(Response::new(200, archive), "content-type", "application/x-gzip"))
    }

    /// Whether the caller has a token; one that is wrong is refused.
    fn is_known(&self, authorization: &str) -> Result<bool, Response> {
        match (authorization, &self.token) {
            ("", _) => Ok(false),
            (given, Some(token)) if *given == format!("Bearer {token}") => Ok(true),
            _ => Err(refused(401, "Bad credentials")),
        }
    }
}

fn is_recursive(pair: &str) -> bool {
    pair.split('=').next() == Some("recursive")
}

/// A part of a path, as text.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::forward;

    const AGENT: (&str, &str) = ("user-agent", "x");
    const PLAIN: (&str, &str) = ("accept", "*/*");

    fn ask(github: &FakeGithub, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, target) = (method.to_owned(), target.to_owned());
        let request = Request { method, target, headers, body: Vec::new() };
        forward(&github.url(), &request).unwrap().status
    }

    #[test]
    fn what_github_refuses_is_refused_here() {
        let github = FakeGithub::new();
        github.take_token("t");
        github.create("o/empty");
        let commit = github.commit("o/r", &[("a/b", "x")], &["refs/heads/a#b"]);
        let tree = format!("/repos/o/r/git/trees/{commit}?recursive=1");
        let tree = tree.as_str();
        for (method, target, headers, status) in [
            ("GET", tree, vec![AGENT, PLAIN], 200),
            ("GET", tree, vec![AGENT, PLAIN, ("authorization", "Bearer t")], 200),
            ("GET", tree, vec![AGENT, PLAIN, ("x-github-api-version", "2022-11-28")], 200),
            ("GET", "/repos/o/r/git/ref/heads/a%23b", vec![AGENT, PLAIN], 200),
            ("GET", tree, vec![PLAIN], 403),
            ("GET", tree, vec![AGENT, PLAIN, ("authorization", "Bearer other")], 401),
            ("GET", tree, vec![AGENT, PLAIN, ("x-github-api-version", "2020-01-01")], 400),
            ("GET", tree, vec![AGENT, ("accept", RAW)], 415),
            ("POST", tree, vec![AGENT, PLAIN], 405),
            ("GET", "/repos/o/none", vec![AGENT, PLAIN], 404),
            ("GET", "/repos/o/r/git/ref/heads/a", vec![AGENT, PLAIN], 404),
            ("GET", "/repos/o/empty/git/ref/heads/main", vec![AGENT, PLAIN], 409),
            ("GET", "/user", vec![AGENT, PLAIN], 404),
        ] {
            assert_eq!(ask(&github, method, target, &headers), status, "{method} {target} {headers:?}");
        }
        assert_eq!(github.take_requests().len(), 13);
    }
}
