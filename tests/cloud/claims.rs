//! Many that want one thing in the same moment.

use crate::project::{Project, SUITE};
use crate::stack::{eventually, stack};
use serde_json::{Value, json};
use shared::domain::id::{JobNo, RunId, ShardAttempt};
use shared::service::token::TokenKey;
use shared::wire::link::LINK_VERSION;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

const RUNNERS: usize = 20;
const EACH_MINUTE: &str = "* * * * *";
const MINUTE_MS: u128 = 60_000;

/// The key of the runners' tokens, as its functions read it.
fn token_key() -> TokenKey {
    let reading = async {
        let client = stack().connection().secrets_manager();
        aws::secrets::key_text(&client, &stack().resources["TokenKey"]).await
    };
    let text = tokio::runtime::Runtime::new().unwrap().block_on(reading).unwrap();
    TokenKey::new(text.reveal().to_owned())
}

/// Does something in many threads at the same moment; what came of it.
fn at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let begin = |number| {
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                act(number)
            })
        };
        let threads: Vec<_> = (0..count).map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A session of the run's n-th shard that knows its only unit, a batch of its own.
fn session(key: &TokenKey, run: RunId, number: usize) -> String {
    let shard = u32::try_from(number).unwrap() + 1;
    let bootstrap = key.bootstrap(ShardAttempt { run, job: JobNo(1), shard, attempt: 1 });
    let nonce = format!("nonce{shard:08}");
    let ask =
        json!({"link_version": LINK_VERSION, "bootstrap_token": bootstrap, "boot_nonce": nonce, "slots": 1});
    let session = stack().link("", "POST", "session", &ask)["session_token"].as_str().unwrap().to_owned();
    stack().link(&session, "PUT", "manifest", &json!({"units": [{"key": "test_it.py"}], "setup_ms": 1}));
    session
}

#[test]
fn of_twenty_that_claim_a_batch_one_gets_it() {
    let suite = format!("{SUITE}shards = {RUNNERS}\n");
    let project = Project::with(&[("test_it.py", "def test_it():\n    pass\n"), ("fleetest.toml", &suite)]);
    let run = project.starts();
    // The test itself is the runners.
    let fault = stack().faults.join(&run);
    fs::write(&fault, "held").unwrap();
    eventually("every shard is launched", || {
        let shards = stack().find(&format!("/v1/runs/{run}/jobs/1/shards"))?;
        let launched =
            shards["items"].as_array()?.iter().filter(|shard| shard["status"] == "launching").count();
        (launched == RUNNERS).then_some(())
    });
    let (key, id) = (token_key(), run.parse().unwrap());
    let sessions = at_once(RUNNERS, |number| session(&key, id, number));
    let replies = at_once(RUNNERS, |number| {
        let ask = json!({"request_id": "1", "slot": 1, "finished": null});
        stack().link(&sessions[number], "POST", "lease", &ask)
    });
    let won: Vec<&Value> = replies.iter().filter(|reply| reply["reply"] == "batch").collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert_eq!(won[0]["entries"].as_array().unwrap().len(), 1, "{won:?}");
    project.types(&["cancel", &run]);
    at_once(RUNNERS, |number| {
        stack().link(&sessions[number], "POST", "finish", &json!({"end": {"end": "done"}}))
    });
    assert_eq!(stack().finished(&run)["verdict"], "cancelled");
    fs::remove_file(fault).unwrap();
}

fn runs_of_schedules(project: &Project) -> Vec<String> {
    let runs = stack().get(&format!("/v1/projects/{}/runs", project.id));
    let runs = runs["items"].as_array().unwrap().iter();
    runs.map(|run| run["trigger"]["of"].as_str().unwrap().to_owned()).collect()
}

fn minute() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() / MINUTE_MS
}

#[test]
fn a_fire_that_is_looked_at_many_times_starts_one_run() {
    let project = Project::with(&[]);
    let source = "https://git.invalid/acme/click.git";
    project.types(&["projects", "change", &project.id, "--repository", source]);
    for name in ["one", "two"] {
        project.types(&["schedules", "create", "--cron", EACH_MINUTE, name]);
    }
    let begin = minute();
    let mut runs = Vec::new();
    // The platform's own clock looks as well.
    eventually("both schedules have fired", || {
        let tick = json!({"tick": "schedule", "scheduled_time": "", "execution_id": ""});
        at_once(8, |_| stack().invoke("schedule", &tick));
        runs = runs_of_schedules(&project);
        (runs.iter().collect::<BTreeSet<_>>().len() == 2).then_some(())
    });
    let fires = usize::try_from(minute() - begin).unwrap();
    assert!(runs.len() <= 2 * fires, "{fires} fires, but {runs:?}");
}
