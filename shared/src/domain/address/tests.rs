//! Tables of what is taken and what is refused.

use super::*;
use proptest::prelude::*;

#[test]
fn plain_https_and_ssh_addresses_are_taken() {
    for (text, transport) in [
        ("https://example.org/a/b.git", Transport::Https),
        ("HTTPS://Example.org:8443/a", Transport::Https),
        ("https://example.org/~user/a%20b?x=1", Transport::Https),
        ("ssh://git@example.org/a/b.git", Transport::Ssh),
        ("ssh://example.org:2222/a", Transport::Ssh),
        ("git@example.org:a/b.git", Transport::Ssh),
        ("deploy-bot@example.org:a.git", Transport::Ssh),
    ] {
        assert_eq!(Remote::parse(text).map(|remote| remote.transport()), Ok(transport), "{text}");
        assert!(Remote::is_meant_by(text), "{text}");
    }
}

#[test]
fn an_address_is_told_apart() {
    for (text, host, port, path) in [
        ("https://Example.org:8443/a/b.git", "example.org", Some(8443), "a/b.git"),
        ("https://example.org/~user/a%20b?x=1", "example.org", None, "~user/a%20b?x=1"),
        ("ssh://git@example.org:22/a/b", "example.org", Some(22), "a/b"),
        ("git@Example.org:a/b.git", "example.org", None, "a/b.git"),
        ("git@example.org:/a", "example.org", None, "/a"),
    ] {
        let remote = Remote::parse(text).unwrap();
        assert_eq!((remote.host(), remote.port(), remote.path()), (host, port, path), "{text}");
    }
}

const REFUSED: [&str; 67] = [
    "",
    " ",
    "-oProxyCommand=touch /tmp/x",
    "--upload-pack=touch x",
    "-u",
    "ext::sh -c touch% x",
    "EXT::sh",
    "Ext::sh",
    "fd::17",
    "https::https://example.org/a",
    "file:///etc",
    "FILE:///etc",
    "file:/etc",
    "file://localhost/etc",
    "git://example.org/a",
    "http://example.org/a",
    "HTTP://example.org/a",
    "ftp://example.org/a",
    "rsync://example.org/a",
    "transport://example.org/a",
    "javascript:alert(1)",
    "/etc/passwd",
    "./a",
    "../a",
    "a",
    "a/b",
    "c:\\repo",
    "example.org:a/b",
    "host:path",
    "https://",
    "https:///a",
    "https://example.org",
    "https://example.org/",
    "https://user@example.org/a",
    "https://user:secret@example.org/a",
    "https://:secret@example.org/a",
    "https://@example.org/a",
    "https://-oProxyCommand=x/a",
    "https://exa mple.org/a",
    "https://example.org/a\nb",
    "https://example.org/a\tb",
    "https://example.org/a\0b",
    "https://example.org/\u{202e}a",
    "https://exämple.org/a",
    "https://example.org:port/a",
    "https://example.org:99999/a",
    "https://example.org:+1/a",
    "https://example.org:/a",
    "https://example.org\\@evil.org/a",
    "https://example.org/a;touch x",
    "https://example.org/a;touch",
    "https://example.org/$(id)",
    "https://example.org/`id`",
    "https://[::1]/a",
    "ssh://-oProxyCommand=x/a",
    "ssh://git:secret@example.org/a",
    "ssh://git@-oProxyCommand=x/a",
    "ssh://-git@example.org/a",
    "ssh://git@example.org",
    "ssh://git@/a",
    "git@-oProxyCommand=x:a",
    "-git@example.org:a",
    "git@example.org:-a",
    "git@example.org:",
    "git@example.org://a",
    "git@exa/mple.org:a",
    "git@a@b:c d",
];

#[test]
fn everything_else_is_refused() {
    for text in REFUSED {
        assert!(Remote::parse(text).is_err(), "`{text}` was taken");
    }
    assert!(Remote::parse(&format!("https://example.org/{}", "a".repeat(3000))).is_err());
}

#[test]
fn a_refusal_never_repeats_a_password_or_a_control_character() {
    let message = Remote::parse("https://user:hunter2@example.org/a").unwrap_err().to_string();
    assert!(!message.contains("hunter2") && message.contains("https://…@example.org/a"), "{message}");
    let message = Remote::parse("https://example.org/\u{1b}[2J").unwrap_err().to_string();
    assert!(!message.contains('\u{1b}'));
}

#[test]
fn paths_are_not_mistaken_for_remotes() {
    for text in [".", "/srv/git/a.git", "a/b:c", "./a:b", "project"] {
        assert!(!Remote::is_meant_by(text), "{text}");
    }
    for text in ["ext::sh", "file:///a", "host:path"] {
        assert!(Remote::is_meant_by(text), "{text}");
    }
}

#[test]
fn names_and_commits_are_taken() {
    for text in
        ["main", "HEAD", "v1.2.3", "feature/a-b_c", "refs/heads/main", "refs/pull/1/head", "fix#12", "c++"]
    {
        let reference = Reference::parse(text).unwrap();
        assert!(!reference.is_commit(), "{text}");
    }
    let commit = "0123456789abcdef0123456789abcdef01234567";
    assert!(Reference::parse(commit).unwrap().is_commit());
    assert!(Reference::parse("0123abc").unwrap().may_be_short_commit());
}

#[test]
fn expressions_and_options_are_refused() {
    for text in [
        "",
        "-",
        "--upload-pack=x",
        "-n",
        "a..b",
        "a...b",
        "main@{1}",
        "@",
        "@{u}",
        "main~1",
        "main^",
        "main:path",
        ":/fix",
        "a b",
        "a\nb",
        "a\0b",
        "a\\b",
        "a*",
        "a?",
        "a[b",
        "/main",
        "main/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "ä",
        "+main",
        "+refs/heads/*:refs/heads/*",
    ] {
        assert!(Reference::parse(text).is_err(), "`{text}` was taken");
    }
    assert!(Reference::parse(&"a".repeat(256)).is_err());
}

proptest! {
    #[test]
    fn what_is_taken_is_harmless(text in "[ -~]{0,30}|(https|ssh|ext|file|git)(://|::|:)[ -~]{0,30}") {
        if let Ok(remote) = Remote::parse(&text) {
            prop_assert!(!text.starts_with('-') && !text.contains("::") && !text.contains(' '));
            prop_assert!(remote.transport() == Transport::Ssh || text.to_lowercase().starts_with("https://"));
        }
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert!(!reference.as_str().starts_with('-') && !text.contains([':', '@', '^', '~', ' ']));
        }
    }
}
