//! A server of a stage: started on any free port, spoken to over HTTP, killed and started again.

use crate::stage::{Stage, eventually, python};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that any answer, start or run may take; only a hang comes near.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is known of an instance while it is down.
pub(crate) struct Instance<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) dir: PathBuf,
    key: Option<String>,
    starts: u32,
}

/// An instance that is up.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) key: String,
    agent: ureq::Agent,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

impl<'a> Instance<'a> {
    pub(crate) fn new(stage: &'a Stage) -> Self {
        Self { stage, dir: stage.beside("instance"), key: None, starts: 0 }
    }

    /// Another folder that knows the same keys.
    pub(crate) fn at(&self, dir: PathBuf) -> Self {
        Self { stage: self.stage, dir, key: self.key.clone(), starts: 1_000 }
    }

    pub(crate) fn start(&mut self) -> Server {
        self.start_with(&["--allow-local-sources", "--slots=2"])
    }

    /// Starts it and waits until it says where it is.
    pub(crate) fn start_with(&mut self, args: &[&str]) -> Server {
        self.start_at("127.0.0.1:0", args)
    }

    /// The same on this address.
    pub(crate) fn start_at(&mut self, address: &str, args: &[&str]) -> Server {
        self.starts += 1;
        let place = |name: &str| self.stage.beside(&format!("serve-{}.{name}", self.starts));
        let (stdout, stderr) = (place("out"), place("err"));
        // Tests ask more often than people do.
        let mut command = self.stage.command(&["serve", "--rate-limit=0", "--listen", address]);
        command.arg("--data").arg(&self.dir).args(args);
        let child = command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&stdout).unwrap())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(&stderr).unwrap();
        let url = || Some(said().split_once("serves ")?.1.split_once(' ')?.0.to_owned());
        assert!(eventually(PATIENCE, || url().is_some()), "it does not start\n{}", said());
        let printed = fs::read_to_string(&stdout).unwrap();
        let key = printed.lines().next().map(str::to_owned).or_else(|| self.key.clone());
        self.key.clone_from(&key);
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = ureq::Agent::new_with_config(config.timeout_global(Some(PATIENCE)).build());
        Server {
            child,
            url: url().unwrap(),
            key: key.expect("no key was ever printed"),
            agent,
            stdout,
            stderr,
        }
    }
}

impl Server {
    /// Status and body of a call; `None` if the server went away under it.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let (url, bearer) = (format!("{}{path}", self.url), format!("Bearer {}", self.key));
        let answered = match body {
            Some(body) => self
                .agent
                .post(url)
                .header("authorization", bearer)
                .header("content-type", "application/json")
                .send(body.to_string()),
            None => {
                assert_eq!(method, "GET");
                self.agent.get(url).header("authorization", bearer).call()
            }
        };
        let mut response = answered.ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        Some((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_call("GET", path, None).expect("it does not answer");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_call("POST", path, Some(body)).expect("it does not answer");
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Registers a project whose tests are in a repository of this machine.
    pub(crate) fn project(&self, id: &str, repository: &Path, config: &str, settings: &Value) {
        let body = json!({
            "id": id, "repository": repository, "config": config, "settings": settings,
        });
        self.post("/v1/projects", &body);
    }

    /// Starts a run; its id.
    pub(crate) fn run(&self, project: &str, body: &Value) -> String {
        id_of(&self.post(&format!("/v1/projects/{project}/runs"), body))
    }

    /// The run once it is over.
    pub(crate) fn finished(&self, run: &str) -> Value {
        let mut shown = Value::Null;
        let over = eventually(PATIENCE, || {
            shown = self.get(&format!("/v1/runs/{run}"));
            shown["status"] == "finished"
        });
        assert!(over, "it does not end: {shown}\n{}", fs::read_to_string(&self.stderr).unwrap());
        shown
    }

    /// Ids of all runs of a project.
    pub(crate) fn runs(&self, project: &str) -> Vec<String> {
        let mut ids = Vec::new();
        let mut path = format!("/v1/projects/{project}/runs?limit=100");
        loop {
            let page = self.get(&path);
            ids.extend(page["items"].as_array().unwrap().iter().map(id_of));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/projects/{project}/runs?limit=100&cursor={cursor}"),
                None => return ids,
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits for that; its exit code, what it said, and how long that took.
    pub(crate) fn stop(mut self) -> (Option<i32>, String, Duration) {
        let asked = Instant::now();
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let mut status = None;
        assert!(eventually(PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        }));
        (status.unwrap().code(), self.said(), asked.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failed test must not leave it behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The id of something.
pub(crate) fn id_of(shown: &Value) -> String {
    shown["id"].as_str().unwrap().to_owned()
}

/// A repository of a stage with these files in one commit.
pub(crate) fn repository(stage: &Stage, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = stage.beside(name);
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let git = |args: &[&str]| {
        let identity =
            ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
        let status = Command::new("git").current_dir(&root).args(identity).args(args).status().unwrap();
        assert!(status.success(), "git {args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "all"]);
    assert!(python().exists());
    root
}
