//! Builds the tests and reads from cargo's messages what it built.

use super::arguments::Arguments;
use super::{program, start_failed};
use crate::driver::{DriverError, JobContext};
use crate::exec::{CaptureLimit, Channel, Finished, Invocation, Stopper};
use crate::sanitise::Sanitiser;
use serde::Deserialize;
use shared::domain::verdict::CauseCode;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A message longer than this is no message of cargo.
const MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// What was built.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) tests: Vec<Artifact>,
    /// Program files by package id and name, for `CARGO_BIN_EXE_*`.
    pub(super) programs: BTreeMap<String, Vec<(String, PathBuf)>>,
    /// Build scripts' results by package id.
    pub(super) scripts: BTreeMap<String, Script>,
}

/// A test binary.
#[derive(Debug, Clone)]
pub(super) struct Artifact {
    pub(super) package_id: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) executable: PathBuf,
}

/// What a build script said.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Script {
    #[serde(default)]
    pub(super) linked_paths: Vec<String>,
    #[serde(default)]
    pub(super) env: Vec<(String, String)>,
    pub(super) out_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        package_id: String,
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    },
    BuildScriptExecuted {
        package_id: String,
        #[serde(flatten)]
        script: Script,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Build {
    fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            Ok(Message::CompilerArtifact { package_id, target, profile, executable: Some(executable) }) => {
                let kind = target.kind.into_iter().next().unwrap_or_default();
                if profile.test {
                    self.tests.push(Artifact { package_id, kind, name: target.name, executable });
                } else if kind == "bin" {
                    self.programs.entry(package_id).or_default().push((target.name, executable));
                }
            }
            Ok(Message::BuildScriptExecuted { package_id, script }) => {
                self.scripts.insert(package_id, script);
            }
            // Anything a build tool prints between the messages is of no interest.
            Ok(Message::CompilerArtifact { .. } | Message::Other) | Err(_) => {}
        }
    }
}

/// Builds; a failed build is the job's cause, with the compiler's message.
pub(super) fn run(ctx: &JobContext, arguments: &Arguments, stopper: &Stopper) -> Result<Build, DriverError> {
    let mut build = Build::default();
    let mut partial = Vec::new();
    let mut sanitiser = Sanitiser::new();
    let finished = Invocation::new(program(ctx), &ctx.root)
        .args(["test", "--no-run", "--message-format", "json-render-diagnostics"])
        .args(arguments.for_build())
        .env(&ctx.env)
        .time_limit(Duration::from_millis(ctx.job.suite.timeout_ms))
        .keep(CaptureLimit { head_bytes: 0, tail_bytes: 48 * 1024 })
        .run_watched(stopper, &mut |channel, bytes| match channel {
            Channel::Stdout => take_lines(&mut partial, bytes, &mut |line| build.line(line)),
            Channel::Stderr => {
                let text = sanitiser.push(bytes);
                if !text.is_empty() {
                    (ctx.log)("build", &text);
                }
            }
        })
        .map_err(|error| start_failed(&error))?;
    build.line(&partial);
    if finished.is_success() { Ok(build) } else { Err(failed(ctx, &finished)) }
}

fn take_lines(partial: &mut Vec<u8>, bytes: &[u8], each: &mut dyn FnMut(&[u8])) {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        if partial.len() < MESSAGE_LIMIT_BYTES {
            partial.extend_from_slice(part);
        }
        if part.ends_with(b"\n") {
            each(partial);
            partial.clear();
        }
    }
}

fn failed(ctx: &JobContext, finished: &Finished) -> DriverError {
    let text = finished.stderr.text();
    let first = text.lines().position(|line| line.starts_with("error"));
    let detail = first.map_or(text.clone(), |first| text.lines().skip(first).collect::<Vec<_>>().join("\n"));
    let message = if finished.timed_out {
        format!("the build took longer than {} ms and was stopped", ctx.job.suite.timeout_ms)
    } else {
        match detail.lines().next().filter(|line| line.starts_with("error")) {
            Some(line) => format!("the build failed: {line}"),
            None => format!("the build failed: cargo ended with {}", finished.ending),
        }
    };
    let detail = crate::exec::cut_text(&detail, 16 * 1024);
    DriverError::broken(CauseCode::SetupFailed, message, detail)
}
