//! Runs by reference: the functions that plan ask GitHub, which is a fake on this machine.

use crate::cloud::{accept_sample_run, apart, calm, cloud, project, sample};
use crate::rights::keeps_to_its_role;
use functions::batch::Batch;
use functions::cloud::{Cloud, Tokens};
use functions::repositories::with_repositories;
use functions::start::Function as _;
use functions::tick::Sweep;
use serde_json::json;
use shared::domain::id::RunId;
use shared::domain::run::{Run, RunStatus};
use shared::domain::spec::{RunSpec, Source};
use shared::domain::verdict::CauseCode;
use shared::ports::{PortError, Topic};
use shared::service::submit::resolved_key;
use testkit::emulator;
use testkit::github::{FakeGithub, Trouble};

const NAME: &str = "acme/click";
const CONFIG: &str = "[suite.unit]\nframework = \"command\"\ncommand = \"true\"\n";
const TOKEN: &str = "ghp_canary0123456789";

/// GitHub with the repository of the samples, and the commit of its branch `main`.
fn github() -> (FakeGithub, String) {
    let github = FakeGithub::new();
    let files = [("fleetest.toml", CONFIG), ("README", "one")];
    let commit = github.commit(NAME, &files, &["refs/heads/main"]);
    (github, commit)
}

/// A cloud that plans, and asks this GitHub.
async fn planning(github: &FakeGithub, token_secret: Option<String>) -> Cloud {
    let mut config = cloud().await.config;
    config.github.api_url = github.url();
    config.github.token_secret = token_secret;
    with_repositories(Cloud::open(config, Tokens::Used).await.unwrap())
}

/// The name of a new secret with this text.
async fn secret(text: &str) -> String {
    let name = emulator::unique("github-token");
    let client = crate::stage::connection().secrets_manager();
    client.create_secret().name(&name).secret_string(text).send().await.unwrap();
    name
}

/// The run of the samples, after the function that plans was told of it.
async fn planned(cloud: &Cloud) -> Run {
    let run = accept_sample_run(cloud).await;
    let function = Batch::new(cloud.clone(), Topic::Plan);
    let answer = function.call(sample("plan/one-wake"), calm()).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    cloud.services.run(run).await.unwrap().value
}

#[tokio::test]
async fn a_run_of_a_branch_is_planned_from_its_commit() {
    let (github, commit) = github();
    let cloud = Box::pin(planning(&github, None)).await;
    let run = planned(&cloud).await;
    assert_eq!((run.status, run.jobs), (RunStatus::Running, 1), "{run:?}");
    assert_eq!(run.origin.commit, Some(commit));
    assert_eq!((run.origin.branch.as_deref(), run.origin.suites), (Some("main"), vec!["unit".to_owned()]));
    assert!(run.cancel.is_none(), "{:?}", run.cancel);
    assert!(github.take_requests().iter().all(|request| request.header("authorization").is_empty()));
}

#[tokio::test]
async fn the_sweep_plans_what_no_message_told_of() {
    let (github, commit) = github();
    let cloud = Box::pin(planning(&github, None)).await;
    let run = accept_sample_run(&cloud).await;
    // There is no cluster here, so it gets no further than that.
    Sweep(cloud.clone()).call(sample("sweep/tick"), calm()).await.unwrap();
    let run = cloud.services.run(run).await.unwrap().value;
    assert_eq!((run.jobs, run.origin.commit), (1, Some(commit)));
}

#[tokio::test]
async fn a_private_repository_is_looked_up_with_the_token_of_the_secret() {
    let (github, commit) = github();
    github.take_token(TOKEN);
    github.hide(NAME);
    let secret = secret(&format!("{TOKEN}\n")).await;
    let cloud = Box::pin(planning(&github, Some(secret))).await;
    let run = planned(&cloud).await;
    assert_eq!((run.status, run.origin.commit), (RunStatus::Running, Some(commit)));
    let (archives, asked): (Vec<_>, Vec<_>) =
        github.take_requests().into_iter().partition(|one| one.target.starts_with("/codeload/"));
    let bearer = format!("Bearer {TOKEN}");
    assert!(!asked.is_empty() && asked.iter().all(|one| one.header("authorization") == bearer));
    // Runners get no credential; they get what came with it.
    let Source::Snapshot(archive) = load_spec(&cloud, run.id).await else {
        panic!("runners cannot fetch it")
    };
    assert!((archives.len(), archive.gzip) == (1, true), "{archive:?}");
    let bytes = cloud.services.blobs.fetch(&archive.blob, None).await.unwrap();
    assert_eq!(u64::try_from(bytes.len()).unwrap(), archive.size_bytes);
}

#[tokio::test]
async fn what_is_asked_of_aws_for_a_private_repository_the_role_of_the_planner_allows() {
    let (github, _) = github();
    github.take_token(TOKEN);
    github.hide(NAME);
    let secret = secret(TOKEN).await;
    let cloud = Box::pin(planning(&github, Some(secret))).await;
    accept_sample_run(&cloud).await;
    let own = with_repositories(apart(&cloud, Tokens::Unused).await);
    let answer = Batch::new(own.clone(), Topic::Plan).call(sample("plan/one-wake"), calm()).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    let sent = own.connection.counts().so_far();
    assert!(sent.contains_key(&("S3".to_owned(), "DeleteObject".to_owned())), "pieces were joined: {sent:?}");
    keeps_to_its_role("plan", &own);
}

async fn load_spec(cloud: &Cloud, run: RunId) -> Source {
    let spec = cloud.services.blobs.fetch(&resolved_key(run), None).await.unwrap();
    serde_json::from_slice::<RunSpec>(&spec).unwrap().source
}

#[tokio::test]
async fn a_public_repository_is_left_to_the_runners_also_with_a_token() {
    let (github, commit) = github();
    github.take_token(TOKEN);
    let secret = secret(TOKEN).await;
    let cloud = Box::pin(planning(&github, Some(secret))).await;
    let run = planned(&cloud).await;
    let url = project(&cloud).await.repository.unwrap();
    assert_eq!(load_spec(&cloud, run.id).await, Source::Git { url, commit });
}

#[tokio::test]
async fn a_run_without_the_token_that_it_needs_says_so_and_names_no_secret() {
    let (github, _) = github();
    let missing = emulator::unique("no-such-secret");
    let broken = secret("two words").await;
    for name in [missing, broken] {
        let cloud = Box::pin(planning(&github, Some(name.clone()))).await;
        let cause = planned(&cloud).await.cancel.unwrap();
        assert_eq!(cause.code, CauseCode::SourceFailed);
        assert!(cause.message.contains("token") && !cause.message.contains(&name), "{}", cause.message);
    }
    assert!(github.take_requests().is_empty());
}

#[tokio::test]
async fn a_run_waits_while_github_is_away_and_ends_if_there_is_no_such_branch() {
    let github = FakeGithub::new();
    github.commit(NAME, &[("README", "one")], &["refs/heads/other"]);
    github.trouble(Some(Trouble::RateLimited));
    let cloud = Box::pin(planning(&github, None)).await;
    let waiting = planned(&cloud).await;
    assert_eq!((waiting.status, waiting.origin.commit), (RunStatus::Queued, None));
    github.trouble(None);
    let cloud = Box::pin(planning(&github, None)).await;
    let cause = planned(&cloud).await.cancel.unwrap();
    assert!(cause.message.contains("there is no branch, tag or commit `main`"), "{}", cause.message);
}

#[tokio::test]
async fn every_function_says_of_an_address_what_those_that_plan_say() {
    let (github, _) = github();
    let planning = Box::pin(planning(&github, None)).await;
    let other = Box::pin(cloud()).await;
    let told = |cloud: &Cloud, url: &str| match cloud.services.forge.check(url) {
        Ok(()) => "yes".to_owned(),
        Err(PortError::Denied { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
    };
    for url in ["https://github.com/acme/x", "git@github.com:acme/x.git"] {
        assert_eq!((told(&planning, url).as_str(), told(&other, url).as_str()), ("yes", "yes"), "{url}");
    }
    for url in ["https://gitlab.com/acme/x", "https://github.com/acme", "file:///etc"] {
        assert_eq!(told(&planning, url), told(&other, url), "{url}");
        assert_ne!(told(&other, url), "yes", "{url}");
    }
    let url = project(&other).await.repository.unwrap();
    let elsewhere = other.services.forge.resolve(&url, "main").await;
    assert!(matches!(elsewhere, Err(PortError::Denied { .. })), "{elsewhere:?}");
}
