//! What every `Forge` must do with one small repository.

#![expect(clippy::unwrap_used, reason = "a failed contract panics")]

use shared::domain::detect::detect;
use shared::ports::PortError;
use shared::ports::forge::Forge;
use std::fmt;
use std::sync::Arc;

/// Files of the first commit: path and text.
pub const FIRST: &[(&str, &str)] = &[("README", "one")];
/// Files of the second commit.
pub const SECOND: &[(&str, &str)] = &[
    (".hidden/test_a.py", ""),
    ("Cargo.toml", "[package]\nname = \"x\"\n"),
    ("README", "two"),
    ("a b/:(x)", "strange"),
    ("a/b/Cargo.toml", "deep"),
    ("fleetest.toml", "timeout = \"5m\"\n"),
    ("node_modules/y/Cargo.toml", ""),
    ("sub/pytest.ini", "[pytest]\n"),
];

/// An adapter and what it knows.
///
/// A repository whose first commit has [`FIRST`] and the second, on top, [`SECOND`].
/// Branches: `main` (the default one) and `both` at the second, `feature/x` at the first. Tags: `v1` (annotated) and
/// `both` at the first.
pub struct Known {
    /// The adapter.
    pub forge: Arc<dyn Forge>,
    /// Address of the repository.
    pub url: String,
    /// Id of the first commit.
    pub first: String,
    /// Id of the second commit.
    pub second: String,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Each kind of name stands for its commit, and a branch is told by its name.
pub async fn names_and_commits_are_resolved(known: &Known) {
    let (first, second) = (known.first.as_str(), known.second.as_str());
    for (reference, commit, branch) in [
        ("main", second, Some("main")),
        ("HEAD", second, Some("main")),
        ("refs/heads/main", second, Some("main")),
        ("feature/x", first, Some("feature/x")),
        ("v1", first, None),
        ("refs/tags/v1", first, None),
        (first, first, None),
        (second, second, None),
    ] {
        let resolved = known.forge.resolve(&known.url, reference).await.unwrap();
        assert_eq!((resolved.commit.as_str(), resolved.branch.as_deref()), (commit, branch), "{reference}");
    }
}

/// A tag cannot take the place of a branch.
pub async fn a_branch_comes_before_a_tag_of_its_name(known: &Known) {
    let resolved = known.forge.resolve(&known.url, "both").await.unwrap();
    assert_eq!((resolved.commit, resolved.branch.as_deref()), (known.second.clone(), Some("both")));
}

/// What the repository does not have is named.
pub async fn what_is_not_there_is_not_found(known: &Known) {
    for reference in ["nope", "x", "refs/heads/v1", "mai", &"0".repeat(40)] {
        let found = known.forge.resolve(&known.url, reference).await;
        assert!(
            matches!(&found, Err(PortError::NotFound { subject, .. }) if subject == reference),
            "{found:?}"
        );
    }
}

/// A text belongs to its commit, whatever was looked up before.
pub async fn files_are_those_of_their_commit(known: &Known) {
    let file = async |commit: &str, path: &str| known.forge.file(&known.url, commit, path).await.unwrap();
    assert_eq!(file(&known.second, "README").await.as_deref(), Some("two"));
    assert_eq!(file(&known.first, "README").await.as_deref(), Some("one"));
    assert_eq!(file(&known.second, "a b/:(x)").await.as_deref(), Some("strange"));
    for path in ["fleetest.toml", "sub", "README/x", "*", "../README"] {
        assert_eq!(file(&known.first, path).await, None, "{path}");
    }
    assert_eq!(file(&known.second, "sub").await, None);
}

/// Hidden and built folders are left out, manifests near the root come with their text.
pub async fn a_listing_is_what_detection_needs(known: &Known) {
    let listing = known.forge.listing(&known.url, &known.second).await.unwrap();
    let files = ["Cargo.toml", "README", "a b/:(x)", "a/b/Cargo.toml", "fleetest.toml", "sub/pytest.ini"];
    assert_eq!(listing.files, files);
    let manifests: Vec<&str> = listing.manifests.keys().map(String::as_str).collect();
    assert_eq!((manifests, listing.truncated), (vec!["Cargo.toml", "sub/pytest.ini"], false));
    let text = listing.manifests.get("Cargo.toml").map(String::as_str);
    assert_eq!(text, Some("[package]\nname = \"x\"\n"));
    assert_eq!(detect(&listing.files, &listing.manifests).unwrap().len(), 2);
}

/// Addresses that could run a program or read this machine, and references that are expressions, are refused.
pub async fn what_is_dangerous_is_denied(known: &Known) {
    for url in [
        "ext::sh -c touch% x",
        "-oProxyCommand=x",
        "--upload-pack=x",
        "file:///etc",
        "http://example.org/a",
        "https://user:secret@example.org/a",
        "https://example.org/a\nb",
        "relative/path",
        "",
    ] {
        let denied = |result: Result<(), PortError>| {
            assert!(matches!(result, Err(PortError::Denied { .. })), "{url:?}: {result:?}");
        };
        denied(known.forge.check(url));
        denied(known.forge.resolve(url, "main").await.map(drop));
        denied(known.forge.file(url, &known.first, "README").await.map(drop));
        denied(known.forge.listing(url, &known.first).await.map(drop));
    }
    for reference in ["", "-x", "--upload-pack=x", "a..b", "main~1", "main:README", "a b", "+main"] {
        let found = known.forge.resolve(&known.url, reference).await;
        assert!(matches!(found, Err(PortError::Denied { .. })), "{reference:?}: {found:?}");
    }
    known.forge.check(&known.url).unwrap();
    known.forge.check("https://example.org/a/b.git").unwrap();
}
