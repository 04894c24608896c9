//! The environment that `cargo test` gives to a test process.

use super::build::{Artifact, Build};
use super::config;
use super::metadata::Package;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables of one test binary.
pub(super) fn of(
    artifact: &Artifact,
    package: &Package,
    build: &Build,
    libraries: &[PathBuf],
) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
    let script = build.scripts.get(&artifact.package_id);
    if let Some(script) = script {
        env.extend(script.env.iter().map(|(name, value)| (name.into(), value.into())));
        env.extend(script.out_dir.iter().map(|dir| ("OUT_DIR".into(), dir.into())));
    }
    for (name, value) in package_variables(package) {
        env.insert(name.into(), value.into());
    }
    env.insert("CARGO_MANIFEST_DIR".into(), package.dir().into());
    env.insert("CARGO_MANIFEST_PATH".into(), package.manifest_path.clone().into());
    if matches!(artifact.kind.as_str(), "test" | "bench") {
        for (name, path) in build.programs.get(&artifact.package_id).into_iter().flatten() {
            env.insert(format!("CARGO_BIN_EXE_{name}").into(), path.into());
        }
    }
    if let Ok(paths) = std::env::join_paths(library_path(artifact, build, libraries)) {
        env.insert(config::LIBRARY_PATH.into(), paths);
    }
    env
}

fn package_variables(package: &Package) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (numbers, pre) = version_parts(&package.version);
    let number = |index: usize| numbers.get(index).map_or_else(String::new, |part| (*part).to_owned());
    vec![
        ("CARGO_PKG_NAME", package.name.clone()),
        ("CARGO_PKG_VERSION", package.version.clone()),
        ("CARGO_PKG_VERSION_MAJOR", number(0)),
        ("CARGO_PKG_VERSION_MINOR", number(1)),
        ("CARGO_PKG_VERSION_PATCH", number(2)),
        ("CARGO_PKG_VERSION_PRE", pre.to_owned()),
        ("CARGO_PKG_AUTHORS", package.authors.join(":")),
        ("CARGO_PKG_DESCRIPTION", text(&package.description)),
        ("CARGO_PKG_HOMEPAGE", text(&package.homepage)),
        ("CARGO_PKG_LICENSE", text(&package.license)),
        ("CARGO_PKG_LICENSE_FILE", text(&package.license_file)),
        ("CARGO_PKG_REPOSITORY", text(&package.repository)),
        ("CARGO_PKG_RUST_VERSION", text(&package.rust_version)),
        ("CARGO_PKG_README", text(&package.readme)),
    ]
}

/// The numbers of a version and its pre-release part.
fn version_parts(version: &str) -> (Vec<&str>, &str) {
    let version = version.split('+').next().unwrap_or(version);
    let (numbers, pre) = version.split_once('-').unwrap_or((version, ""));
    (numbers.split('.').collect(), pre)
}

/// Where cargo lets the loader look: libraries that build scripts linked, the build's own directories, the
/// toolchain's, then what was there before.
fn library_path(artifact: &Artifact, build: &Build, libraries: &[PathBuf]) -> Vec<PathBuf> {
    let deps = artifact.executable.parent().unwrap_or_else(|| Path::new("/"));
    let profile = deps.parent().unwrap_or(deps);
    let target = profile.parent().unwrap_or(profile);
    let linked = build.scripts.values().flat_map(|script| &script.linked_paths);
    let linked =
        linked.map(|path| PathBuf::from(path.split_once('=').map_or(path.as_str(), |(_, path)| path)));
    let mut paths: Vec<PathBuf> = linked.filter(|path| path.starts_with(target)).collect();
    paths.extend([deps.to_path_buf(), profile.to_path_buf()]);
    paths.extend(libraries.iter().cloned());
    paths.extend(config::inherited_library_path());
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_apart() {
        assert_eq!(version_parts("1.2.3"), (vec!["1", "2", "3"], ""));
        assert_eq!(version_parts("1.2.3-rc.1+build"), (vec!["1", "2", "3"], "rc.1"));
    }
}
