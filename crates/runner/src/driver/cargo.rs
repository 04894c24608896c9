//! The `cargo` driver: builds the tests once, lists them, and runs each in a process of its own.
//!
//! A unit is a test binary with its listed cases, or the doc tests of one package. Case ids are
//! `package::target::test`, the target being `lib`, `bin/NAME`, `test/NAME`, `bench/NAME`, `example/NAME` or `doc`. It owns no
//! notion of retries. Invariant: a test passes only if its process exited with 0 and said that the test ran.

mod arguments;
mod binary;
mod build;
mod config;
mod doc;
mod environment;
mod listing;
mod metadata;
mod slot;

use super::{Driver, DriverError, JobContext, Slot};
use crate::exec::{ExecError, Stopper};
use arguments::Arguments;
use binary::TestBinary;
use build::Build;
use metadata::{Metadata, Package};
use shared::domain::case::CaseId;
use shared::domain::unit::DiscoveredUnit;
use shared::domain::verdict::CauseCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a unit key stands for.
#[derive(Debug)]
enum Unit {
    Binary(TestBinary),
    /// Doc tests of the package.
    Doc {
        /// What names the package to cargo.
        spec: String,
    },
}

type Units = Arc<BTreeMap<String, Unit>>;

/// Runs a `cargo` suite.
#[derive(Debug)]
pub struct CargoDriver {
    ctx: JobContext,
    stopper: Stopper,
    arguments: Arc<Arguments>,
    units: Mutex<Units>,
}

impl CargoDriver {
    /// A driver for the job.
    #[must_use]
    pub fn new(ctx: JobContext) -> Self {
        let arguments = Arc::new(Arguments::parse(&ctx.job.suite.args));
        Self { ctx, stopper: Stopper::new(), arguments, units: Mutex::default() }
    }
}

impl CargoDriver {
    /// Asks for the packages while the build runs: each costs a start of cargo.
    fn ask_and_build(&self) -> Result<(Metadata, Option<Build>), DriverError> {
        let (ctx, arguments, stopper) = (&self.ctx, &*self.arguments, &self.stopper);
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| metadata::load(ctx, arguments, stopper));
            let build = arguments.wants_binaries().then(|| build::run(ctx, arguments, stopper)).transpose();
            let crashed = || DriverError::broken(CauseCode::Internal, "the metadata thread panicked", "");
            // Without a manifest both fail; what `cargo metadata` says is clearer.
            let metadata = asked.join().map_err(|_panic| crashed())??;
            Ok((metadata, build?))
        })
    }
}

impl Driver for CargoDriver {
    fn discover(&self) -> Result<Vec<DiscoveredUnit>, DriverError> {
        let (metadata, build) = self.ask_and_build()?;
        let mut found: Vec<(String, Unit)> = Vec::new();
        if let Some(build) = build {
            let binaries = binary::all(&self.ctx, &build, &metadata, &self.stopper)?;
            let binaries = listing::list_all(&self.ctx, &self.arguments, binaries, &self.stopper)?;
            let filled = binaries.into_iter().filter(|binary| !binary.cases.is_empty());
            found.extend(filled.map(|binary| (binary.key.clone(), Unit::Binary(binary))));
        }
        if self.arguments.wants_doc_tests() {
            let packages = metadata.doc_packages(&self.ctx.root, &self.arguments);
            let unit =
                |package: &Package| (format!("{}::doc", package.name), Unit::Doc { spec: package.spec() });
            found.extend(packages.into_iter().map(unit));
        }
        let units = found.iter().map(|(key, unit)| discovered(key, unit)).collect();
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found.into_iter().collect());
        Ok(units)
    }

    fn open_slot(&self, slot: u32) -> Result<Box<dyn Slot>, DriverError> {
        let units = Arc::clone(&self.units.lock().unwrap_or_else(PoisonError::into_inner));
        let arguments = Arc::clone(&self.arguments);
        Ok(Box::new(slot::CargoSlot::new(self.ctx.clone(), arguments, units, self.stopper.clone(), slot)))
    }

    fn stop(&self) {
        self.stopper.stop();
    }
}

fn discovered(key: &str, unit: &Unit) -> DiscoveredUnit {
    let cases = match unit {
        Unit::Binary(binary) => Some(binary.cases.iter().map(|test| binary.case_id(test)).collect()),
        Unit::Doc { .. } => None,
    };
    let divisible = cases.as_ref().is_some_and(|cases: &Vec<CaseId>| cases.len() > 1);
    DiscoveredUnit { key: key.to_owned(), cases, divisible, size_bytes: 0 }
}

/// The command name of cargo; a job may name another one.
fn program(ctx: &JobContext) -> &str {
    ctx.env.get("CARGO").map_or("cargo", String::as_str)
}

/// A failed start of cargo or rustc as the job's cause.
fn start_failed(error: &ExecError) -> DriverError {
    match error {
        ExecError::Stopped => DriverError::Stopped,
        ExecError::Start { .. } => DriverError::broken(
            CauseCode::FrameworkMissing,
            format!("{}: install Rust's toolchain, or put it into PATH", error.sentence()),
            "",
        ),
        ExecError::Lost { .. } => DriverError::broken(CauseCode::SetupFailed, error.sentence(), ""),
    }
}
