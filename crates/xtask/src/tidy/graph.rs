//! Dependency direction, read from Cargo's own metadata.
//!
//! `Facts` is the part of the metadata that the rules look at, so that the rules can be tested on small graphs.

use super::rules::{self, Layer};
use super::{Offence, licences};
use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A workspace crate with its direct and indirect dependencies.
#[derive(Debug, Default, Clone)]
struct Facts {
    name: String,
    manifest: String,
    /// Workspace crates, by whether only tests use them.
    ours: Vec<(String, bool)>,
    /// Foreign crates of production code.
    direct: BTreeSet<String>,
    /// Everything below production code.
    below: BTreeSet<String>,
}

/// Offences of the workspace at `root`.
pub(super) fn offences(root: &Path) -> Result<Vec<Offence>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .context("`cargo metadata --locked` failed; if Cargo.lock is out of date, run `cargo check` once")?;
    let mut found: Vec<Offence> = facts(&metadata).iter().flat_map(judge).collect();
    found.extend(licences::offences(root, &metadata)?);
    Ok(found)
}

fn facts(metadata: &Metadata) -> Vec<Facts> {
    let nodes: BTreeMap<&PackageId, &Node> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let names: BTreeMap<&PackageId, String> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let members: BTreeSet<&PackageId> = metadata.workspace_members.iter().collect();
    metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let mut facts = Facts {
                name: package.name.to_string(),
                manifest: package
                    .manifest_path
                    .strip_prefix(&metadata.workspace_root)
                    .unwrap_or(&package.manifest_path)
                    .to_string(),
                ..Facts::default()
            };
            for (id, kinds) in nodes.get(&package.id).into_iter().flat_map(|node| edges(node)) {
                let name = names.get(id).cloned().unwrap_or_default();
                let only_tests =
                    !kinds.contains(&DependencyKind::Normal) && !kinds.contains(&DependencyKind::Build);
                if members.contains(id) {
                    facts.ours.push((name, only_tests));
                } else if !only_tests {
                    facts.direct.insert(name);
                }
            }
            facts.below = below(&package.id, &nodes).iter().filter_map(|id| names.get(id).cloned()).collect();
            facts
        })
        .collect()
}

fn edges(node: &Node) -> Vec<(&PackageId, Vec<DependencyKind>)> {
    node.deps.iter().map(|dep| (&dep.pkg, dep.dep_kinds.iter().map(|info| info.kind).collect())).collect()
}

/// Every package that production code of `start` is built from.
fn below<'a>(start: &'a PackageId, nodes: &BTreeMap<&'a PackageId, &'a Node>) -> BTreeSet<&'a PackageId> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for (next, kinds) in nodes.get(id).into_iter().flat_map(|node| edges(node)) {
            if kinds.contains(&DependencyKind::Normal) && seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

fn judge(facts: &Facts) -> Vec<Offence> {
    let role = if facts.manifest.starts_with("functions/") { "function" } else { facts.name.as_str() };
    let Some(layer) = rules::LAYERS.iter().find(|layer| layer.name == role) else {
        let text = format!(
            "crate `{role}` has no place in the dependency direction; give it one in `tidy/rules.rs`"
        );
        return vec![Offence::new(&facts.manifest, 0, "crate-direction", text)];
    };
    let mut found: Vec<Offence> =
        facts.ours.iter().filter_map(|(name, tests)| direction(facts, layer, name, *tests)).collect();
    found.extend(facts.below.iter().filter(|name| layer.never_below.iter().any(|p| matches(p, name))).map(|name| {
        let text = format!(
            "`{name}` is somewhere below `{role}` (`cargo tree -p {role} -e normal -i {name}`); keep it in the crate that owns that concern"
        );
        Offence::new(&facts.manifest, 0, "forbidden-below", text)
    }));
    for name in &facts.direct {
        if role == "shared" && !rules::SHARED_MAY_USE.contains(&name.as_str()) {
            let text = format!(
                "`{name}` is not on the list of what the core may use; do the work in an adapter, or argue for it in `tidy/rules.rs`"
            );
            found.push(Offence::new(&facts.manifest, 0, "core-dependency", text));
        }
        if name == "anyhow" && !rules::ANYHOW_ONLY_IN.contains(&role) {
            let text = "libraries have typed errors; use `thiserror`";
            found.push(Offence::new(&facts.manifest, 0, "untyped-error", text));
        }
    }
    found
}

fn direction(facts: &Facts, layer: &Layer, name: &str, only_tests: bool) -> Option<Offence> {
    let allowed = layer.may_use.contains(&name) || (only_tests && layer.tests_may_use.contains(&name));
    if allowed {
        return None;
    }
    let text = if name == "testkit" {
        format!("`{}` uses `testkit` in production code; make it a dev-dependency", layer.name)
    } else {
        let list =
            if layer.may_use.is_empty() { "no other crate".to_owned() } else { layer.may_use.join(", ") };
        format!(
            "`{}` uses `{name}`, but may use {list}; put a port in `shared` and join them in the wiring",
            layer.name
        )
    };
    Some(Offence::new(&facts.manifest, 0, "crate-direction", text))
}

/// Whether a package name fits a pattern: a name, or a beginning followed by `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, manifest: &str) -> Facts {
        Facts { name: name.to_owned(), manifest: manifest.to_owned(), ..Facts::default() }
    }

    fn broken(facts: &Facts) -> Vec<&'static str> {
        judge(facts).into_iter().map(|offence| offence.rule).collect()
    }

    #[test]
    fn what_is_not_listed_is_forbidden() {
        let mut cli = facts("cli", "crates/cli/Cargo.toml");
        cli.ours = vec![("shared".to_owned(), false), ("runner".to_owned(), false)];
        assert!(broken(&cli).is_empty());
        cli.ours.push(("aws".to_owned(), false));
        assert_eq!(broken(&cli), ["crate-direction"]);
        assert_eq!(broken(&facts("types", "crates/types/Cargo.toml")), ["crate-direction"]);
        let mut function = facts("plan", "functions/plan/Cargo.toml");
        function.ours = vec![("aws".to_owned(), false)];
        assert!(broken(&function).is_empty());
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        let mut embedded = facts("embedded", "crates/embedded/Cargo.toml");
        embedded.ours = vec![("testkit".to_owned(), true)];
        assert!(broken(&embedded).is_empty());
        embedded.ours = vec![("testkit".to_owned(), false)];
        assert_eq!(broken(&embedded), ["crate-direction"]);
    }

    #[test]
    fn the_core_stays_pure_all_the_way_down() {
        let mut shared = facts("shared", "shared/Cargo.toml");
        shared.direct = ["serde".to_owned(), "rand".to_owned()].into();
        shared.below = ["tokio".to_owned(), "aws-config".to_owned(), "serde".to_owned()].into();
        assert_eq!(broken(&shared), ["forbidden-below", "forbidden-below", "core-dependency"]);
        let mut runner = facts("runner", "crates/runner/Cargo.toml");
        runner.direct = ["anyhow".to_owned()].into();
        assert_eq!(broken(&runner), ["untyped-error"]);
    }
}
