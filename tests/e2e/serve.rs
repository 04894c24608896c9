//! `fleetest serve` through its public door: started, used, stopped, killed, backed up.
//!
//! `FLEETEST_SERVE_KILLS` is the number of kills under load, `FLEETEST_CHAOS_FIRST` the number that the moments are
//! drawn from.

use crate::chaos::Draw;
use crate::instance::{Instance, Server, repository};
use crate::stage::{Stage, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Four tests that pass and take a while each.
const GREEN: &str =
    "import time, pytest\n\n@pytest.mark.parametrize('n', range(4))\ndef test_n(n):\n    time.sleep(0.03)\n";
const GREEN_CONFIG: &str = "[suite.unit]\nframework = \"pytest\"\nslots = 1\n";
/// Three cases in a report, one of which fails.
const RED: &str = "cat > out.xml <<'X'\n<testsuite name=\"s\"><testcase classname=\"c\" name=\"a\"/><testcase classname=\"c\" name=\"b\"/><testcase classname=\"c\" name=\"z\"><failure message=\"no\"/></testcase></testsuite>\nX\nexit 1\n";
const RED_CONFIG: &str = "[suite.check]\nframework = \"command\"\ncommand = \"sh run.sh\"\nresults = [\"out.xml\"]\nslots = 1\nretries = 0\n";

fn number(name: &str, few: u64) -> u64 {
    let found = std::env::vars().find(|(key, _)| key == name).map(|(_, value)| value);
    found.map_or(few, |value| {
        value.parse().unwrap_or_else(|_| panic!("`{name}` is `{value}`, which is no number"))
    })
}

fn green(stage: &Stage) -> PathBuf {
    repository(stage, "green", &[("test_green.py", GREEN)])
}

/// The projects `green` and `red`.
fn projects(stage: &Stage, server: &Server) {
    server.project("green", &green(stage), GREEN_CONFIG, &json!({}));
    server.project("red", &repository(stage, "red", &[("run.sh", RED)]), RED_CONFIG, &json!({}));
}

/// That a run of one of these projects ended as it must.
fn assert_right(shown: &Value) {
    let counts = &shown["counts"];
    let told = |name: &str| counts[name].as_u64().unwrap();
    let all = (told("planned"), told("passed"), told("failed"), told("flaky"), told("outstanding"));
    match shown["project"].as_str().unwrap() {
        "green" => assert_eq!((&shown["verdict"], all), (&json!("passed"), (4, 4, 0, 0, 0)), "{shown}"),
        "red" => assert_eq!((&shown["verdict"], all), (&json!("failed"), (3, 2, 1, 0, 0)), "{shown}"),
        other => panic!("whose run is this: {other}"),
    }
}

#[test]
fn the_first_start_prints_a_key_and_what_was_made_stays() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    let printed = fs::read_to_string(&server.stdout).unwrap();
    assert!(printed.starts_with("fl_") && printed.lines().count() == 2, "{printed}");
    assert!(printed.contains(&format!("FLEETEST_URL={}", server.url)), "{printed}");
    projects(&stage, &server);
    let runs = [server.run("green", &json!({})), server.run("red", &json!({}))];
    for run in &runs {
        assert_right(&server.finished(run));
    }
    let (code, said, took) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("unfinished runs that the next start goes on with: 0"), "{said}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let server = instance.start();
    assert_eq!(fs::read_to_string(&server.stdout).unwrap(), "", "a key is shown once");
    for run in &runs {
        assert_right(&server.get(&format!("/v1/runs/{run}")));
    }
    server.stop();
    stage.assert_deserted();
}

#[test]
fn a_folder_is_served_once_and_a_lost_key_can_be_replaced() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    let second =
        stage.command(&["serve", "--listen=127.0.0.1:0", "--data"]).arg(&instance.dir).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains(&format!("process {}", server.pid())), "{told}");
    server.stop();
    let server = instance.start_with(&["--new-admin-key"]);
    assert!(fs::read_to_string(&server.stdout).unwrap().starts_with("fl_"));
    server.get("/v1/projects");
}

#[test]
fn without_leave_no_repository_of_the_machine_is_read() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start_with(&["--slots=1"]);
    let body = json!({ "id": "green", "repository": green(&stage), "config": GREEN_CONFIG });
    // Refused at once or by the runner: what matters is that nothing is read.
    if server.try_call("POST", "/v1/projects", Some(&body)).unwrap().0 < 300 {
        let shown = server.finished(&server.run("green", &json!({})));
        assert_eq!(
            (&shown["verdict"], &shown["cause"]["code"]),
            (&json!("errored"), &json!("source_failed"))
        );
    }
}

#[test]
fn a_newer_run_of_a_branch_cancels_the_older_and_priority_goes_first() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start_with(&["--allow-local-sources", "--slots=1"]);
    let slow = repository(
        &stage,
        "slow",
        &[("test_slow.py", "import time\ndef test_slow():\n    time.sleep(600)\n")],
    );
    server.project("slow", &slow, GREEN_CONFIG, &json!({ "supersede": true }));
    projects(&stage, &server);
    let old = server.run("slow", &json!({ "branch": "main" }));
    assert!(eventually(Duration::from_secs(60), || {
        server.get(&format!("/v1/runs/{old}"))["status"] == "running"
    }));
    let late = server.run("green", &json!({}));
    let urgent = server.run("red", &json!({ "priority": 5 }));
    // What is not planned yet would leave the slot to the last one.
    for waiting in [&late, &urgent] {
        assert!(eventually(Duration::from_secs(60), || {
            server.get(&format!("/v1/runs/{waiting}"))["status"] == "running"
        }));
    }
    let new = server.run("slow", &json!({ "branch": "main", "priority": -5 }));
    let shown = server.finished(&old);
    assert_eq!((&shown["verdict"], &shown["cause"]["code"]), (&json!("cancelled"), &json!("superseded")));
    assert!(shown["cause"]["message"].as_str().unwrap().contains(&new), "{shown}");
    let (late, urgent) = (server.finished(&late), server.finished(&urgent));
    assert_right(&late);
    assert_right(&urgent);
    assert!(urgent["started_at"].as_str() < late["started_at"].as_str(), "{urgent} {late}");
    server.post(&format!("/v1/runs/{new}/cancel"), &json!({}));
    assert_eq!(server.finished(&new)["verdict"], "cancelled");
}

#[test]
fn a_server_that_is_stopped_at_work_goes_on_with_the_next_start() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    projects(&stage, &server);
    let mut runs: Vec<String> = (0..4).map(|_| server.run("green", &json!({}))).collect();
    runs.push(server.run("red", &json!({})));
    assert!(eventually(Duration::from_secs(60), || {
        runs.iter().any(|run| !server.get(&format!("/v1/runs/{run}"))["started_at"].is_null())
            || server.get(&format!("/v1/runs/{}", runs[0]))["status"] == "running"
    }));
    let (code, said, took) = server.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    stage.assert_deserted();
    let server = instance.start();
    for run in &runs {
        assert_right(&server.finished(run));
    }
    server.stop();
    stage.assert_deserted();
}

#[test]
fn asked_twice_it_ends_at_once() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    // A connection whose request never ends would be waited for.
    let mut open = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let key = &server.key;
    let head = format!("POST /v1/projects HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
    let body = "content-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    open.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let pid = Pid::from_raw(server.pid().cast_signed());
    assert!(eventually(Duration::from_secs(30), || server.try_call("GET", "/v1/projects", None).is_some()));
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(eventually(Duration::from_secs(30), || server.said().contains("stopping")));
    // The first signal's echo is not a second wish.
    let first = Instant::now();
    assert!(eventually(Duration::from_secs(30), || first.elapsed() > Duration::from_millis(300)));
    let (code, _, took) = server.stop();
    assert_eq!(code, Some(5));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn whatever_was_accepted_survives_any_number_of_kills() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    projects(&stage, &server);
    drop(server);
    let first = number("FLEETEST_CHAOS_FIRST", 0);
    let mut draw = Draw(first);
    let mut accepted = Vec::new();
    for _ in 0..number("FLEETEST_SERVE_KILLS", 10) {
        let server = instance.start();
        let until = Instant::now() + Duration::from_millis(draw.below(1_200));
        let pid = Pid::from_raw(server.pid().cast_signed());
        thread::scope(|scope| {
            scope.spawn(move || {
                // The moment is what is drawn; nothing waits for it.
                thread::sleep(until.saturating_duration_since(Instant::now()));
                kill(pid, Signal::SIGKILL).unwrap();
            });
            // Requests go on until one meets its end, at most a few: the runs have to be worked off.
            for round in 0..3 {
                let project = if round % 2 == 0 { "green" } else { "red" };
                let path = format!("/v1/projects/{project}/runs");
                match server.try_call("POST", &path, Some(&json!({ "branch": "main" }))) {
                    Some((202, run)) => accepted.push(run["id"].as_str().unwrap().to_owned()),
                    Some((status, body)) => panic!("{status} {body}"),
                    None => break,
                }
            }
        });
        server.kill();
    }
    let server = instance.start();
    let listed: BTreeSet<String> = ["green", "red"].iter().flat_map(|project| server.runs(project)).collect();
    for run in &accepted {
        assert!(listed.contains(run), "{run} was accepted and is lost");
    }
    for run in &listed {
        assert_right(&server.finished(run));
    }
    assert!(accepted.len() >= 5, "only {} were accepted", accepted.len());
    server.stop();
    stage.assert_deserted();
}

#[test]
fn a_backup_taken_at_work_is_whole() {
    let stage = Stage::new();
    let mut instance = Instance::new(&stage);
    let server = instance.start();
    projects(&stage, &server);
    let done = server.run("red", &json!({}));
    assert_right(&server.finished(&done));
    let mut runs: Vec<String> = (0..4).map(|_| server.run("green", &json!({}))).collect();
    runs.push(done);
    let file = stage.beside("backup.tar");
    let keep =
        |file: &PathBuf| stage.command(&["backup", "--data"]).arg(&instance.dir).arg(file).output().unwrap();
    let kept = keep(&file);
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    assert_eq!(keep(&file).status.code(), Some(2), "nothing is replaced");
    assert_eq!(keep(&PathBuf::from("nowhere/x.tar")).status.code(), Some(3));
    let after = server.run("green", &json!({}));
    server.kill();

    let copy = stage.beside("copy");
    let restore =
        |to: &PathBuf| stage.command(&["restore"]).arg(&file).arg("--data").arg(to).output().unwrap();
    let restored = restore(&copy);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(restore(&copy).status.code(), Some(2), "only an empty folder is filled");
    let server = instance.at(copy).start();
    for run in &runs {
        assert_right(&server.finished(run));
    }
    assert_eq!(server.try_call("GET", &format!("/v1/runs/{after}"), None).unwrap().0, 404);
    server.stop();
    stage.assert_deserted();
}

#[test]
fn hundreds_of_idle_connections_are_in_nobodys_way() {
    let stage = Stage::new();
    let server = Instance::new(&stage).start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    };
    let mut idle: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(&address).unwrap()).collect();
    idle.iter_mut().for_each(ask);
    projects(&stage, &server);
    assert_right(&server.finished(&server.run("red", &json!({}))));
    for stream in &mut idle {
        stream.set_nonblocking(true).unwrap();
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
        stream.set_nonblocking(false).unwrap();
    }
    idle.iter_mut().for_each(ask);
}
