//! A test binary: its key, its cases and how one of them is started.

use super::build::{Artifact, Build};
use super::environment;
use super::metadata::{Metadata, Package};
use super::start_failed;
use crate::driver::{DriverError, JobContext};
use crate::exec::{Channel, Invocation, Stopper};
use shared::domain::case::CaseId;
use shared::domain::verdict::CauseCode;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The case of a binary without a harness.
const WHOLE: &str = "main";

/// A test as the harness lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) ignored: bool,
}

/// A test binary of the workspace.
#[derive(Debug)]
pub(super) struct TestBinary {
    /// `package::target`, also the class of its cases.
    pub(super) key: String,
    pub(super) cases: Vec<Test>,
    /// Whether it understands the harness's options; if not, it is one case.
    pub(super) has_harness: bool,
    start: Invocation,
}

impl TestBinary {
    fn new(
        ctx: &JobContext,
        artifact: &Artifact,
        package: &Package,
        (build, libraries): (&Build, &[PathBuf]),
    ) -> Self {
        let (kind, name) = match artifact.kind.as_str() {
            kind @ ("bin" | "test" | "bench" | "example") => (kind, artifact.name.as_str()),
            _ => ("lib", ""),
        };
        let target = if kind == "lib" { kind.to_owned() } else { format!("{kind}/{name}") };
        let has_harness = !package.without_harness().iter().any(|(k, n)| *k == kind && n == name);
        let whole = Test { name: WHOLE.to_owned(), ignored: false };
        let start = Invocation::new(&artifact.executable, package.dir())
            .env(&ctx.env)
            .env(environment::of(artifact, package, build, libraries))
            .merged();
        let cases = if has_harness { Vec::new() } else { vec![whole] };
        Self { key: format!("{}::{target}", package.name), cases, has_harness, start }
    }

    pub(super) fn case_id(&self, test: &Test) -> CaseId {
        CaseId(format!("{}::{}", self.key, test.name))
    }

    /// The process that runs one test.
    pub(super) fn invocation(&self, test: &Test) -> Invocation {
        if !self.has_harness {
            return self.start.clone();
        }
        let ignored = test.ignored.then_some("--ignored");
        self.start.clone().args(["--exact", test.name.as_str(), "--nocapture"]).args(ignored)
    }

    /// The process that lists tests.
    pub(super) fn listing(&self, args: &[String]) -> Invocation {
        self.start.clone().args(["--list", "--format", "terse"]).args(args)
    }
}

/// All test binaries of a build, in order of their keys.
pub(super) fn all(
    ctx: &JobContext,
    build: &Build,
    metadata: &Metadata,
    stopper: &Stopper,
) -> Result<Vec<TestBinary>, DriverError> {
    let dynamic = build.tests.iter().any(|test| matches!(test.kind.as_str(), "proc-macro" | "dylib"));
    let libraries = if dynamic { toolchain_libraries(ctx, stopper)? } else { Vec::new() };
    let mut binaries = Vec::new();
    for artifact in &build.tests {
        let package = metadata.packages.iter().find(|package| package.id == artifact.package_id);
        let package = package.ok_or_else(|| {
            let message = format!("cargo built a test of the unknown package `{}`", artifact.package_id);
            DriverError::broken(CauseCode::DiscoveryFailed, message, "")
        })?;
        binaries.push(TestBinary::new(ctx, artifact, package, (build, &libraries)));
    }
    binaries.sort_by(|a, b| a.key.cmp(&b.key));
    let keys: BTreeSet<&str> = binaries.iter().map(|binary| binary.key.as_str()).collect();
    if keys.len() < binaries.len() {
        let message = "two test binaries have the same package and target name";
        return Err(DriverError::broken(CauseCode::DiscoveryFailed, message, ""));
    }
    Ok(binaries)
}

/// Where the standard library's dynamic form is: procedural macros are linked to it.
fn toolchain_libraries(ctx: &JobContext, stopper: &Stopper) -> Result<Vec<PathBuf>, DriverError> {
    let mut text = Vec::new();
    let finished = Invocation::new("rustc", &ctx.root)
        .args(["--print", "target-libdir"])
        .env(&ctx.env)
        .run_watched(stopper, &mut |channel, bytes| {
            if channel == Channel::Stdout {
                text.extend_from_slice(bytes);
            }
        })
        .map_err(|error| start_failed(&error))?;
    let path = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(if finished.is_success() && !path.is_empty() { vec![PathBuf::from(path)] } else { Vec::new() })
}
