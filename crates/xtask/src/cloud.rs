//! `cargo xtask cloud`: the whole stack in a box, deployed from its own template.
//!
//! SAM builds the functions and deploys the template into an AWS emulator that runs the compiled functions; beside it
//! each task becomes a real process of the runner (`tests/cloud/box.py`). The scenarios are those of `tests/cloud`.

use crate::emulator::{self, Emulator};
use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the scenarios where everything is.
const STACK_VARIABLE: &str = "FLEETEST_STACK";
const STACK_NAME: &str = "fleetest-box";
const REGION: &str = "eu-central-1";
/// The emulator has no such image, and needs none.
const IMAGE: &str = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/fleetest/runner:box";

/// Nobody can fetch from there; what is there is what a scenario says.
const FORGE_HOST: &str = "git.invalid";
const FORGE_TOKEN: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

/// What there is on this machine.
struct Stack {
    /// Folder of SAM and cargo-lambda.
    programs: PathBuf,
    emulator: Emulator,
    forge: Forge,
}

/// Where the stack looks repositories up: a place that the scenario of repositories takes for itself.
struct Forge {
    port: u16,
    token_secret: String,
}

/// `cargo xtask cloud`.
pub(crate) fn command(only: &[String]) -> Result<()> {
    let (programs, python) = (toolbox::sam_programs()?, toolbox::box_python()?);
    toolbox::built()?;
    launch::check(sam(&programs, None)?.args(["validate", "--lint"]))?;
    let folder = ours();
    std::fs::create_dir_all(faults()).with_context(|| format!("could not make `{}`", folder.display()))?;
    let build = ["build", "--build-dir"];
    let mut build_all = sam(&programs, None)?;
    build_all.args(build).arg(folder.join("build"));
    build_all.args(["--parameter-overrides", "Architecture=x86_64", &format!("RunnerImage={IMAGE}")]);
    launch::check(&mut build_all)?;
    let [program, runner] =
        ["fleetest", "fleetest-runner"].map(|name| place::target().join("debug").join(name));
    let python_of_suites = toolbox::test_python()?;
    let suites = python_of_suites.parent().context("the interpreter of our tests lies in no folder")?;
    let arguments: [OsString; 3] = [runner.into(), faults().into(), suites.into()];
    let emulator =
        emulator::start_with(&python, &place::root().join("tests/cloud/box.py"), &arguments, "cloud.log")?;
    let forge = Forge { port: emulator::free_port()?, token_secret: secret(&emulator, FORGE_TOKEN)? };
    let stack = Stack { programs, emulator, forge };
    let api = stack.deploy(None)?.api_id()?;
    // Only now it is known where runners will find the API; a stack has to survive an update anyway.
    let link = format!("{}/_aws/execute-api/{api}/$default", stack.emulator.endpoint());
    let outputs = stack.deploy(Some(&link))?;
    let path = folder.join("stack.json");
    let told = serde_json::json!({
        "endpoint": stack.emulator.endpoint(),
        "region": REGION,
        "name": STACK_NAME,
        "url": link,
        "program": program,
        "faults": faults(),
        "forge": { "host": FORGE_HOST, "port": stack.forge.port, "token": FORGE_TOKEN },
        "resources": outputs.0,
    });
    std::fs::write(&path, told.to_string())
        .with_context(|| format!("could not write `{}`", path.display()))?;
    let mut tests = toolbox::test_runner().command();
    // Of the whole workspace, so that dependencies keep the features they were built with.
    tests.args(["--workspace", "--features", "functions/cloud", "--test", "stack"]).args(only);
    tests.env(STACK_VARIABLE, &path);
    tests.current_dir(place::root());
    let passed = launch::check(&mut tests);
    say::out(REAL);
    passed.context("a scenario failed; the emulator's log is `target/cloud.log`")
}

/// What a green end means, and what not.
const REAL: &str = "\
real:      the template, translated and deployed by SAM, and updated once; the nine compiled functions, each in its own process
           with the environment that the template gives it; the command line; the runner and pytest
stood in:  GitHub, as strict as its documentation
emulated:  API Gateway, Lambda's scaling, SQS, DynamoDB, S3, EventBridge and its Scheduler, Secrets Manager (ministack)
stood in:  Fargate: a task is a local process, and what ECS tells of it is told by tests/cloud/box.py
not tried: IAM (every call is allowed), KMS, alarms, arm64, the runner's image";

/// The ARN of a new secret with this text.
fn secret(emulator: &Emulator, text: &str) -> Result<String> {
    let asked = serde_json::json!({ "Name": "github-token", "SecretString": text });
    let made = emulator.asked(REGION, ("secretsmanager", "CreateSecret"), &asked)?;
    let arn = made.get("ARN").and_then(Value::as_str);
    arn.map(str::to_owned).with_context(|| format!("the emulator made no secret: {made}"))
}

fn ours() -> PathBuf {
    place::target().join("cloud")
}

fn faults() -> PathBuf {
    ours().join("faults")
}

/// SAM, with its own tools first.
fn sam(bin: &Path, emulator: Option<&Emulator>) -> Result<Command> {
    let mut command = Command::new(bin.join("sam"));
    command.current_dir(place::root());
    command.env("PATH", toolbox::path_with(bin)?).env("SAM_CLI_TELEMETRY", "0");
    command.env("AWS_DEFAULT_REGION", REGION).env("AWS_REGION", REGION);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    if let Some(emulator) = emulator {
        command.env("AWS_ENDPOINT_URL", emulator.endpoint());
    }
    Ok(command)
}

/// The physical ids of the stack's resources, by their names in the template.
struct Resources(Value);

impl Resources {
    fn api_id(&self) -> Result<String> {
        let id = self.0.get("HttpApi").and_then(Value::as_str);
        id.map(str::to_owned).context("the stack has no `HttpApi`")
    }
}

impl Stack {
    /// Deploys the stack, or brings it up to date.
    fn deploy(&self, link: Option<&str>) -> Result<Resources> {
        let mut deploy = sam(&self.programs, Some(&self.emulator))?;
        deploy.args(["deploy", "--template-file"]).arg(ours().join("build").join("template.yaml"));
        deploy.args(["--stack-name", STACK_NAME, "--capabilities", "CAPABILITY_IAM", "--resolve-s3"]);
        deploy.args(["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--parameter-overrides"]);
        deploy.args(["Stage=dev", "Architecture=x86_64", &format!("RunnerImage={IMAGE}")]);
        deploy.arg(format!("EndpointUrl={}", self.emulator.endpoint()));
        deploy.arg(format!("GithubHost={FORGE_HOST}"));
        deploy.arg(format!("GithubApiUrl=http://127.0.0.1:{}", self.forge.port));
        deploy.arg(format!("GithubTokenSecret={}", self.forge.token_secret));
        // Callers of functions see a version; a parameter alone does not publish one.
        deploy.arg(format!("Release={}", if link.is_some() { "second" } else { "first" }));
        deploy.args(link.map(|link| format!("LinkUrl={link}")));
        launch::check(&mut deploy)?;
        let mut list = sam(&self.programs, Some(&self.emulator))?;
        list.args(["list", "resources", "--stack-name", STACK_NAME, "--output", "json"]);
        let text = launch::capture(&mut list)?;
        let all: Vec<Value> = serde_json::from_str(&text).context("`sam list resources` wrote no JSON")?;
        let named = all.iter().filter_map(|one| {
            let physical = one.get("PhysicalResourceId")?.clone();
            Some((one.get("LogicalResourceId")?.as_str()?.to_owned(), physical))
        });
        let resources = Value::Object(named.collect());
        if resources.as_object().is_none_or(serde_json::Map::is_empty) {
            bail!("the stack has no resources:\n{text}");
        }
        Ok(Resources(resources))
    }
}
