//! The contract of `Forge` on GitHub's API, and what is particular to it: who is called, with what, and what each answer
//! means for a run.

use super::receiver::loopback;
use notify::client::Outbound;
use notify::forge::{GithubForge, check_address};
use notify::guard::Allow;
use shared::domain::detect::Listing;
use shared::domain::secret::Secret;
use shared::domain::upload::is_gzip_or_tar;
use shared::ports::forge::{FILE_LIMIT_BYTES, Forge as _, Resolved};
use shared::ports::{PortError, PortResult};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use testkit::contract::forge::{FIRST, Known, SECOND};
use testkit::github::{Entry, FILE, FakeGithub, LINK, SUBMODULE, Trouble};

const NAME: &str = "acme/known";
const URL: &str = "https://github.com/acme/known.git";
const TOKEN: &str = "ghp_canary0123456789";

fn hosted<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn hosts(api: &str) -> BTreeMap<String, String> {
    ["github.com", "example.org"].map(|host| (host.to_owned(), api.to_owned())).into()
}

fn forge(github: &FakeGithub, token: Option<&str>) -> GithubForge {
    let outbound = Outbound::new(loopback()).unwrap();
    GithubForge::new(outbound, hosts(&github.url()), token.map(Secret::new))
}

fn known() -> (Known, FakeGithub) {
    let github = FakeGithub::new();
    let first = github.commit(NAME, FIRST, &["refs/heads/feature/x", "refs/tags/both"]);
    github.annotate(NAME, "v1", &first);
    let second = github.commit(NAME, SECOND, &["refs/heads/main", "refs/heads/both"]);
    let forge = Arc::new(forge(&github, None));
    (Known { forge, url: URL.to_owned(), first, second }, github)
}

testkit::forge_contract!(github_forge, hosted, known());

fn denied<T>(answer: PortResult<T>) -> String {
    match answer {
        Err(PortError::Denied { reason, .. }) => reason,
        other => panic!("it is not denied: {:?}", other.err()),
    }
}

fn away<T>(answer: PortResult<T>) -> String {
    match answer {
        Err(PortError::Unavailable { reason, .. }) => reason,
        other => panic!("it is not away: {:?}", other.err()),
    }
}

fn targets(github: &FakeGithub) -> Vec<String> {
    github.take_requests().into_iter().map(|request| request.target).collect()
}

#[tokio::test]
async fn each_answer_of_github_means_now_never_or_later() {
    let (known, github) = known();
    let resolve = async || known.forge.resolve(URL, "main").await;
    for (trouble, part) in [
        (Trouble::Moved, "renamed or moved"),
        (Trouble::Status(401), "answered 401: Something is the matter"),
        (Trouble::Status(403), "answered 403: Something is the matter"),
        (Trouble::Status(451), "answered 451"),
        (Trouble::Page, "is not GitHub's API"),
    ] {
        github.trouble(Some(trouble));
        let reason = denied(resolve().await);
        assert!(reason.contains(part), "{trouble:?}: {reason}");
    }
    for (trouble, part) in [
        (Trouble::RateLimited, "a token raises it to 5,000"),
        (Trouble::TooFast(60), "rate limit"),
        (Trouble::Status(500), "answered 500"),
        (Trouble::Status(503), "answered 503"),
        (Trouble::Status(408), "answered 408"),
    ] {
        github.trouble(Some(trouble));
        let reason = away(resolve().await);
        assert!(reason.contains(part), "{trouble:?}: {reason}");
        away(known.forge.file(URL, &known.second, "README").await);
        away(known.forge.listing(URL, &known.second).await);
    }
    github.trouble(None);
    assert_eq!(resolve().await.unwrap().commit, known.second);
}

#[tokio::test]
async fn what_cannot_be_reached_may_be_back_later_and_what_may_not_be_called_never_is() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = format!("http://{closed}");
    let forge = GithubForge::new(Outbound::new(loopback()).unwrap(), hosts(&api), None);
    assert!(away(forge.resolve(URL, "main").await).contains("could not be reached"));
    let guarded = GithubForge::new(Outbound::new(Allow::default()).unwrap(), hosts(&api), None);
    assert!(denied(guarded.resolve(URL, "main").await).contains("the call was not made"));
}

#[tokio::test]
async fn a_repository_that_is_not_shown_to_us_is_told_from_a_name_that_it_does_not_have() {
    let (known, github) = known();
    github.take_token(TOKEN);
    let with_token = forge(&github, Some(TOKEN));
    let missing = "https://github.com/acme/missing";
    assert!(denied(known.forge.resolve(missing, "main").await).contains("has no token"));
    assert!(denied(with_token.resolve(missing, "main").await).contains("does not reach it"));
    github.hide(NAME);
    for reference in ["main", "HEAD", &known.second] {
        assert!(denied(known.forge.resolve(URL, reference).await).contains("private"), "{reference}");
    }
    assert!(denied(known.forge.file(URL, &known.second, "README").await).contains("private"));
    assert!(denied(known.forge.listing(URL, &known.second).await).contains("private"));
    assert_eq!(with_token.resolve(URL, "HEAD").await.unwrap().commit, known.second);
    let wrong = forge(&github, Some("ghp_other")).resolve(URL, "main").await;
    assert!(denied(wrong).contains("wrong or has expired"));
}

#[tokio::test]
async fn the_repository_itself_is_asked_for_once_and_only_if_nothing_was_found() {
    let (known, github) = known();
    known.forge.resolve(URL, "main").await.unwrap();
    assert_eq!(targets(&github), ["/repos/acme/known/git/ref/heads/main"]);
    known.forge.resolve(URL, "nope").await.unwrap_err();
    let root = "/repos/acme/known";
    let asked = [format!("{root}/git/ref/heads/nope"), format!("{root}/git/ref/tags/nope"), root.to_owned()];
    assert_eq!(targets(&github), asked);
    known.forge.resolve(URL, "HEAD").await.unwrap();
    assert_eq!(targets(&github), [root.to_owned(), format!("{root}/git/ref/heads/main")]);
    known.forge.resolve("https://github.com/acme/missing", "HEAD").await.unwrap_err();
    assert_eq!(targets(&github), ["/repos/acme/missing"]);
}

#[tokio::test]
async fn an_empty_repository_has_no_branch_and_is_there() {
    let (known, github) = known();
    github.create("acme/empty");
    for reference in ["main", "HEAD", &"1".repeat(40)] {
        let found = known.forge.resolve("https://github.com/acme/empty", reference).await;
        let is_missing = matches!(&found, Err(PortError::NotFound { subject, .. }) if subject == reference);
        assert!(is_missing, "{reference}: {found:?}");
    }
}

#[tokio::test]
async fn names_with_odd_letters_and_tags_of_tags_are_found() {
    let (known, github) = known();
    let third = github.commit(NAME, &[("x", "three")], &["refs/heads/fix/#7+a_b.c", "refs/pull/7/head"]);
    let tag = github.annotate(NAME, "inner", &third);
    github.annotate(NAME, "outer", &tag);
    for (reference, branch) in [
        ("fix/#7+a_b.c", Some("fix/#7+a_b.c")),
        ("refs/heads/fix/#7+a_b.c", Some("fix/#7+a_b.c")),
        ("refs/pull/7/head", None),
        ("outer", None),
    ] {
        let expected = Resolved { commit: third.clone(), branch: branch.map(str::to_owned) };
        assert_eq!(known.forge.resolve(URL, reference).await.unwrap(), expected, "{reference}");
    }
}

#[tokio::test]
async fn the_token_goes_to_the_api_as_a_bearer_and_nowhere_else() {
    let (known, github) = known();
    github.take_token(TOKEN);
    let forge = forge(&github, Some(TOKEN));
    for url in [URL, "git@github.com:acme/known.git", "ssh://git@github.com/acme/known"] {
        forge.resolve(url, "v1").await.unwrap();
    }
    forge.file(URL, &known.second, "a/b/Cargo.toml").await.unwrap();
    forge.listing(URL, &known.second).await.unwrap();
    for request in github.take_requests() {
        assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!(request.header("x-github-api-version"), "2022-11-28");
        assert!(request.header("user-agent").starts_with("fleetest/"));
        assert_eq!(request.method, "GET");
        let others = request.headers.iter().filter(|(name, _)| *name != "authorization");
        let said: String = others.map(|(_, value)| value.as_str()).chain([request.target.as_str()]).collect();
        assert!(!said.contains(TOKEN), "{request:?}");
    }
    assert!(!format!("{forge:?}").contains(TOKEN), "{forge:?}");
    known.forge.resolve(URL, "main").await.unwrap();
    assert_eq!(github.take_requests()[0].header("authorization"), "");
}

#[tokio::test]
async fn a_commit_that_runners_cannot_fetch_comes_as_an_archive_from_a_host_that_gets_no_token() {
    let (known, github) = known();
    github.take_token(TOKEN);
    let with_token = forge(&github, Some(TOKEN));
    assert!(with_token.sees_private() && !known.forge.sees_private());
    // Without a token nobody is asked; of a public repository the runners get it themselves.
    assert!(known.forge.snapshot(URL, &known.second).await.unwrap().is_none());
    assert!(targets(&github).is_empty());
    assert!(with_token.snapshot(URL, &known.second).await.unwrap().is_none());
    assert_eq!(targets(&github), ["/repos/acme/known"]);
    github.hide(NAME);
    let mut snapshot = with_token.snapshot(URL, &known.second).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    while let Some(more) = snapshot.next().await.unwrap() {
        bytes.extend(more);
    }
    assert_eq!(is_gzip_or_tar(&bytes), Some(true));
    let requests = github.take_requests();
    let told: Vec<_> = requests.iter().map(|one| one.header("authorization").is_empty()).collect();
    assert_eq!(told, [false, false, false, true], "the archive's host is told nothing: {requests:?}");
    assert_eq!(requests[2].target, format!("/repos/acme/known/tarball/{}", known.second));
}

#[tokio::test]
async fn a_commit_whose_archive_would_lack_tests_is_refused() {
    let (_known, github) = known();
    github.take_token(TOKEN);
    github.hide(NAME);
    let forge = forge(&github, Some(TOKEN));
    for (attributes, is_whole) in [
        ("*.png binary\n", true),
        ("/tests/slow export-ignore\n", false),
        ("version.py export-subst\n", false),
    ] {
        let files = [("a/.gitattributes", attributes), ("tests/slow/test_a.py", "")];
        let commit = github.commit(NAME, &files, &[]);
        match forge.snapshot(URL, &commit).await {
            Ok(found) => assert!(is_whole && found.is_some(), "{attributes}"),
            refused => {
                let reason = denied(refused);
                assert!(
                    !is_whole && reason.contains("a/.gitattributes") && reason.contains("--upload"),
                    "{reason}"
                );
            }
        }
    }
    github.truncate();
    let commit = github.commit(NAME, &[("a", ""), ("b", "")], &[]);
    assert!(denied(forge.snapshot(URL, &commit).await).contains("more files"));
}

#[tokio::test]
async fn an_archive_that_does_not_come_is_asked_for_again_or_never() {
    let (known, github) = known();
    github.take_token(TOKEN);
    github.hide(NAME);
    let forge = forge(&github, Some(TOKEN));
    let snapshot = async |commit: &str| forge.snapshot(URL, commit).await.map(|found| found.is_some());
    let unknown = "1".repeat(40);
    let missing = snapshot(&unknown).await;
    assert!(
        matches!(&missing, Err(PortError::NotFound { subject, .. }) if *subject == unknown),
        "{missing:?}"
    );
    denied(snapshot("main").await);
    for trouble in [Trouble::Status(503), Trouble::TooFast(60)] {
        github.trouble_archives(Some(trouble));
        away(snapshot(&known.second).await);
    }
    github.trouble_archives(Some(Trouble::Moved));
    denied(snapshot(&known.second).await);
    github.trouble_archives(Some(Trouble::BreaksOff));
    let mut begun = forge.snapshot(URL, &known.second).await.unwrap().unwrap();
    let end = loop {
        match begun.next().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    away(end);
}

#[tokio::test]
async fn nothing_is_asked_about_addresses_of_others_and_about_paths_that_name_no_file() {
    let (known, github) = known();
    for url in [
        "https://gitlab.com/acme/known",
        "https://github.com:8443/acme/known",
        "https://github.com/acme",
        "https://127.0.0.1/acme/known",
        "https://github.com/acme/known/../../other",
    ] {
        let reason = denied(known.forge.check(url));
        assert!(reason.contains("--upload"), "{url}: {reason}");
        assert_eq!(reason, denied(check_address(&hosts(""), url)), "{url}");
        denied(known.forge.resolve(url, "main").await);
        denied(known.forge.file(url, &known.second, "README").await);
        denied(known.forge.listing(url, &known.second).await);
    }
    for path in ["", ".", "../README", "/README", "a//b", "a/../README"] {
        assert_eq!(known.forge.file(URL, &known.second, path).await.unwrap(), None, "{path}");
    }
    for commit in ["main", "HEAD", "../x", "0123456"] {
        denied(known.forge.file(URL, commit, "README").await);
        denied(known.forge.listing(URL, commit).await);
    }
    assert!(targets(&github).is_empty());
}

#[tokio::test]
async fn links_and_repositories_inside_are_no_files() {
    let (known, github) = known();
    let entries = [
        Entry::new(FILE, "dir/file", "text"),
        Entry::new(LINK, "link", "/etc/passwd"),
        Entry::new(LINK, "Cargo.toml", "dir/file"),
        Entry::new(SUBMODULE, "inner", ""),
        Entry::new(FILE, "latin", b"caf\xe9"),
    ];
    let commit = github.commit_entries(NAME, &entries, &["refs/heads/odd"]);
    for path in ["link", "inner", "inner/x", "link/x", "Cargo.toml"] {
        assert_eq!(known.forge.file(URL, &commit, path).await.unwrap(), None, "{path}");
    }
    let latin = known.forge.file(URL, &commit, "latin").await.unwrap();
    assert_eq!(latin.as_deref(), Some("caf\u{fffd}"));
    let listing = known.forge.listing(URL, &commit).await.unwrap();
    let files = ["dir/file", "latin"].map(str::to_owned).to_vec();
    assert_eq!(listing, Listing { files, ..Listing::default() });
}

#[tokio::test]
async fn a_large_file_is_refused_and_a_large_manifest_left_out() {
    let (known, github) = known();
    let large = "#".repeat(FILE_LIMIT_BYTES + 1);
    let fits = "#".repeat(FILE_LIMIT_BYTES);
    let files =
        [("fleetest.toml", large.as_str()), ("tox.ini", large.as_str()), ("setup.cfg", fits.as_str())];
    let commit = github.commit(NAME, &files, &[]);
    assert!(denied(known.forge.file(URL, &commit, "fleetest.toml").await).contains("larger than"));
    let read = known.forge.file(URL, &commit, "setup.cfg").await.unwrap();
    assert_eq!(read.map(|text| text.len()), Some(FILE_LIMIT_BYTES));
    let listing = known.forge.listing(URL, &commit).await.unwrap();
    let manifests: Vec<&str> = listing.manifests.keys().map(String::as_str).collect();
    assert_eq!((manifests, listing.files.len(), listing.truncated), (vec!["setup.cfg"], 3, true));
}

#[tokio::test]
async fn a_tree_larger_than_other_answers_is_read_and_one_cut_short_says_so() {
    let (known, github) = known();
    let paths: Vec<String> = (0..9_000).map(|n| format!("src/{n:05}-{}.py", "x".repeat(80))).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
    let commit = github.commit(NAME, &files, &[]);
    let listing = known.forge.listing(URL, &commit).await.unwrap();
    assert_eq!((listing.files.len(), listing.truncated), (paths.len(), false));
    github.truncate();
    assert!(known.forge.listing(URL, &commit).await.unwrap().truncated);
    assert!(denied(known.forge.file(URL, &commit, "src/99999.py").await).contains("more entries"));
}

#[tokio::test]
async fn of_many_manifests_those_of_the_root_are_read_first() {
    let (known, github) = known();
    let mut paths: Vec<String> = (0..80).map(|n| format!("a{n:02}/Cargo.toml")).collect();
    paths.extend(["tox.ini", "pyproject.toml"].map(str::to_owned));
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), path.as_str())).collect();
    let commit = github.commit(NAME, &files, &[]);
    targets(&github);
    let listing = known.forge.listing(URL, &commit).await.unwrap();
    assert_eq!((listing.files.len(), listing.manifests.len(), listing.truncated), (82, 64, true));
    assert_eq!(targets(&github).len(), 65);
    for path in ["tox.ini", "pyproject.toml", "a00/Cargo.toml"] {
        assert_eq!(listing.manifests[path], path);
    }
}
