//! What is allowed: the one table that a change of architecture has to edit.
//!
//! Anything that is not listed is forbidden.

/// A workspace crate and the workspace crates that its production code may use.
pub(super) struct Layer {
    /// Package name; `function` stands for every crate under `functions/`.
    pub(super) name: &'static str,
    /// Workspace crates it may depend on.
    pub(super) may_use: &'static [&'static str],
    /// Workspace crates that only its tests may use besides.
    pub(super) tests_may_use: &'static [&'static str],
    /// Packages (or, with a final `*`, families of packages) that must not occur anywhere below it.
    pub(super) never_below: &'static [&'static str],
}

/// What makes a crate impure: runtimes, sockets, stores, clouds.
const IMPURE: &[&str] = &["tokio", "hyper", "axum", "aws-*", "rusqlite", "ureq", "reqwest"];

/// Dependency direction.
pub(super) const LAYERS: &[Layer] = &[
    Layer { name: "shared", may_use: &[], tests_may_use: &[], never_below: IMPURE },
    Layer {
        name: "http-api",
        may_use: &["shared"],
        tests_may_use: &["testkit"],
        never_below: &["aws-*", "rusqlite", "ureq", "reqwest"],
    },
    Layer {
        name: "embedded",
        may_use: &["shared"],
        tests_may_use: &["testkit"],
        never_below: &["aws-*", "axum"],
    },
    Layer {
        name: "notify",
        may_use: &["shared"],
        tests_may_use: &["testkit"],
        never_below: &["aws-*", "rusqlite", "axum", "ureq"],
    },
    Layer {
        name: "aws",
        may_use: &["shared"],
        tests_may_use: &["testkit"],
        never_below: &["rusqlite", "axum"],
    },
    Layer {
        name: "runner",
        may_use: &["shared"],
        tests_may_use: &["testkit"],
        never_below: &["tokio", "hyper", "axum", "aws-*", "rusqlite", "reqwest"],
    },
    Layer {
        name: "cli",
        may_use: &["shared", "http-api", "embedded", "notify", "runner"],
        tests_may_use: &["testkit"],
        never_below: &["aws-*"],
    },
    Layer {
        name: "function",
        may_use: &["shared", "aws", "http-api", "notify"],
        tests_may_use: &["testkit"],
        never_below: &["rusqlite"],
    },
    Layer {
        name: "testkit",
        may_use: &["shared"],
        tests_may_use: &["cli", "embedded", "http-api", "notify", "runner"],
        never_below: &["aws-*", "rusqlite", "axum"],
    },
    Layer { name: "xtask", may_use: &["shared"], tests_may_use: &[], never_below: &["tokio", "hyper"] },
];

/// The only foreign crates that `shared` may name: small, pure, no I/O.
pub(super) const SHARED_MAY_USE: &[&str] = &[
    "async-trait",
    "base64",
    "croner",
    "flate2",
    "hex",
    "hmac",
    "jiff",
    "quick-junit",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "toml",
    "vte",
];

/// Crates in which error chains may be untyped: the programs, never a library.
pub(super) const ANYHOW_ONLY_IN: &[&str] = &["cli", "xtask", "function"];

/// A room inside `shared` and the rooms it may name.
pub(super) const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("wire", &["wire", "domain"]),
    ("ports", &["ports", "domain"]),
    ("service", &["service", "domain", "ports", "wire"]),
];

/// Standard modules that the core must not name.
pub(super) const IMPURE_STD: &[&str] = &["fs", "net", "process", "thread", "env"];

/// Words that say nothing and therefore may not name a file, module or type.
pub(super) const EMPTY_WORDS: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "data", "prelude", "imp",
];

/// Most lines of production code in a file.
pub(super) const FILE_LINES: usize = 400;
/// Most lines of a function's `main.rs`.
pub(super) const FUNCTION_MAIN_LINES: usize = 59;

/// Whether a path belongs to the workspace itself (not to an example or a fixture).
pub(super) fn is_house(path: &str) -> bool {
    ["shared/", "crates/", "functions/", "tests/"].iter().any(|room| path.starts_with(room))
        && !is_fixture(path)
}

/// Whether a path is a file that tests feed to the product.
pub(super) fn is_fixture(path: &str) -> bool {
    path.contains("/fixtures/") || path.contains("/snapshots/") || path.starts_with("examples/")
}

/// Names that others gave to their things and that are spelled otherwise.
pub(super) const FOREIGN_SPELLINGS: &[&str] = &["TransactionCanceledException"];
