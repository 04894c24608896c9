//! Command lines as invocations.

use super::Invocation;
use crate::driver::JobContext;

/// A command line as an invocation: `sh -c LINE` in the job's directory and environment.
pub(crate) fn shell(ctx: &JobContext, line: &str) -> Invocation {
    Invocation::new("sh", &ctx.root).args(["-c", line]).env(&ctx.env)
}
