//! Asks the test binaries for their tests, several at a time.

use super::arguments::{Arguments, Ignored};
use super::binary::{Test, TestBinary};
use crate::driver::{DriverError, JobContext};
use crate::exec::{ExecError, Invocation, Stopper};
use shared::domain::verdict::CauseCode;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// A list longer than this is no list.
const LIST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Fills in the cases of every binary with a harness.
pub(super) fn list_all(
    ctx: &JobContext,
    arguments: &Arguments,
    binaries: Vec<TestBinary>,
    stopper: &Stopper,
) -> Result<Vec<TestBinary>, DriverError> {
    let waiting = Mutex::new(binaries.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut done = Vec::new();
        while let Some(mut binary) = next() {
            if binary.has_harness {
                binary.cases = list(ctx, arguments, &binary, stopper)?;
            }
            done.push(binary);
        }
        Ok(done)
    };
    let mut listed = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..ctx.slots.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let crashed = || DriverError::broken(CauseCode::Internal, "a listing thread panicked", "");
            listed.extend(worker.join().map_err(|_panic| crashed())??);
        }
        Ok::<(), DriverError>(())
    })?;
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(listed)
}

fn list(
    ctx: &JobContext,
    arguments: &Arguments,
    binary: &TestBinary,
    stopper: &Stopper,
) -> Result<Vec<Test>, DriverError> {
    let limit = Duration::from_millis(ctx.job.suite.case_timeout_ms);
    let names = |invocation: Invocation| names(&invocation.time_limit(limit), &binary.key, stopper);
    let all = names(binary.listing(&arguments.harness))?;
    let ignored: BTreeSet<String> =
        names(binary.listing(&arguments.harness).args(["--ignored"]))?.into_iter().collect();
    let tests = all.into_iter().map(|name| Test { ignored: ignored.contains(&name), name });
    let wanted = |test: &Test| arguments.ignored != Ignored::Only || test.ignored;
    Ok(tests.filter(wanted).collect())
}

fn names(invocation: &Invocation, key: &str, stopper: &Stopper) -> Result<Vec<String>, DriverError> {
    let mut text = Vec::new();
    let finished = invocation.run_watched(stopper, &mut |_channel, bytes| {
        if text.len() < LIST_LIMIT_BYTES {
            text.extend_from_slice(bytes);
        }
    });
    let broken = |why: String, detail: String| {
        let message = format!("cannot list the tests of `{key}`: {why}");
        DriverError::broken(CauseCode::DiscoveryFailed, message, detail)
    };
    match finished {
        Ok(finished) if finished.is_success() => Ok(parse(&String::from_utf8_lossy(&text))),
        Ok(finished) => Err(broken(format!("it ended with {}", finished.ending), finished.stdout.text())),
        Err(ExecError::Stopped) => Err(DriverError::Stopped),
        Err(error) => Err(broken(error.sentence(), String::new())),
    }
}

/// Names of the terse list; benchmarks are run as tests, as `cargo test` does.
fn parse(text: &str) -> Vec<String> {
    let name = |line: &str| {
        line.strip_suffix(": test").or_else(|| line.strip_suffix(": benchmark")).map(str::to_owned)
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_terse_list() {
        assert_eq!(parse("a::b: test\nnoise\nc: benchmark\n"), ["a::b", "c"]);
    }
}
