//! What `cargo metadata` says about the packages, and what only their manifests say.

use super::arguments::Arguments;
use super::{program, start_failed};
use crate::driver::{DriverError, JobContext};
use crate::exec::{Channel, Invocation, Stopper};
use serde::Deserialize;
use shared::domain::verdict::CauseCode;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Packages of the workspace.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
    #[serde(default)]
    workspace_members: Vec<String>,
    workspace_default_members: Option<Vec<String>>,
    workspace_root: PathBuf,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) authors: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) homepage: Option<String>,
    pub(super) license: Option<String>,
    pub(super) license_file: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) rust_version: Option<String>,
    pub(super) readme: Option<String>,
    pub(super) manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    #[serde(default)]
    doctest: bool,
}

impl Package {
    /// The directory in which its tests run.
    pub(super) fn dir(&self) -> &Path {
        self.manifest_path.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// What names exactly this package to cargo: another version of it may be among its own dependencies.
    pub(super) fn spec(&self) -> String {
        if self.id.contains('#') { self.id.clone() } else { format!("{}@{}", self.name, self.version) }
    }

    fn has_doc_tests(&self) -> bool {
        let lib = |target: &Target| {
            target.kind.iter().any(|kind| matches!(kind.as_str(), "lib" | "rlib" | "proc-macro"))
        };
        self.targets.iter().any(|target| target.doctest && lib(target))
    }

    /// Targets with `harness = false`, as `(kind, name)`; cargo tells this nowhere but in the manifest.
    pub(super) fn without_harness(&self) -> BTreeSet<(&'static str, String)> {
        let text = std::fs::read_to_string(&self.manifest_path).unwrap_or_default();
        let manifest: toml::Table = text.parse().unwrap_or_default();
        let mut found = BTreeSet::new();
        for kind in ["lib", "bin", "test", "bench", "example"] {
            let tables = match manifest.get(kind) {
                Some(toml::Value::Array(tables)) => tables.iter().collect(),
                Some(table) => vec![table],
                None => Vec::new(),
            };
            for table in tables {
                if table.get("harness").and_then(toml::Value::as_bool) == Some(false) {
                    let name = table.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                    found.insert((kind, if kind == "lib" { String::new() } else { name.to_owned() }));
                }
            }
        }
        found
    }
}

impl Metadata {
    /// Packages whose doc tests `cargo test` would run with these arguments, in order.
    pub(super) fn doc_packages(&self, root: &Path, arguments: &Arguments) -> Vec<&Package> {
        let named = arguments.named_packages(&["-p", "--package"]);
        let excluded = arguments.named_packages(&["--exclude"]);
        let plain = |spec: &str| spec.split('@').next().unwrap_or(spec).to_owned();
        let named: Vec<String> = named.into_iter().map(plain).collect();
        let members = self.chosen_members(root, arguments);
        self.packages
            .iter()
            .filter(|package| package.has_doc_tests())
            .filter(|package| {
                if named.is_empty() { members.contains(&package.id) } else { named.contains(&package.name) }
            })
            .filter(|package| !excluded.contains(&package.name.as_str()))
            .collect()
    }

    fn chosen_members(&self, root: &Path, arguments: &Arguments) -> Vec<String> {
        if arguments.whole_workspace() {
            return self.workspace_members.clone();
        }
        let start = match arguments.build_value("--manifest-path") {
            Some(path) => root.join(path).parent().map(Path::to_path_buf).unwrap_or_default(),
            None => root.to_path_buf(),
        };
        let start = start.canonicalize().unwrap_or(start);
        let here = start.ancestors().find(|dir| dir.join("Cargo.toml").is_file()).unwrap_or(&start);
        let inside = self.packages.iter().find(|package| package.dir() == here);
        match inside {
            Some(package) if here != self.workspace_root => vec![package.id.clone()],
            _ => self.workspace_default_members.clone().unwrap_or_else(|| self.workspace_members.clone()),
        }
    }
}

/// Asks cargo.
pub(super) fn load(
    ctx: &JobContext,
    arguments: &Arguments,
    stopper: &Stopper,
) -> Result<Metadata, DriverError> {
    let mut json = Vec::new();
    let mut args = vec!["metadata", "--format-version", "1", "--no-deps"];
    if let Some(path) = arguments.build_value("--manifest-path") {
        args.extend(["--manifest-path", path]);
    }
    let finished = Invocation::new(program(ctx), &ctx.root)
        .args(args)
        .env(&ctx.env)
        .run_watched(stopper, &mut |channel, bytes| {
            if channel == Channel::Stdout {
                json.extend_from_slice(bytes);
            }
        })
        .map_err(|error| start_failed(&error))?;
    let broken = |message: &str, detail: String| DriverError::broken(CauseCode::SetupFailed, message, detail);
    if !finished.is_success() {
        return Err(broken("cargo cannot read the project's manifest", finished.stderr.text()));
    }
    serde_json::from_slice(&json)
        .map_err(|error| broken("cannot understand `cargo metadata`", error.to_string()))
}
