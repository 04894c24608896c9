//! Remote commands as a user types them: the built program, pointed at a server by its environment.

use crate::instance::Server;
use crate::stage::{PATIENCE, Stage, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Variables by which the machine that runs these tests may look like a CI job.
const CI_VARIABLES: [&str; 19] = [
    "GITHUB_ACTIONS",
    "GITHUB_SHA",
    "GITHUB_REF",
    "GITHUB_HEAD_REF",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_EVENT_PATH",
    "GITHUB_WORKSPACE",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "TF_BUILD",
    "BITBUCKET_BUILD_NUMBER",
    "CI",
    "DRONE",
    "TRAVIS",
    "TEAMCITY_VERSION",
    "JENKINS_URL",
    "FLEETEST_PROJECT",
    "FLEETEST_TOKEN",
];

/// A shell in the project's directory.
pub(crate) struct Shell<'a> {
    stage: &'a Stage,
    variables: Vec<(String, String)>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command at work.
pub(crate) struct Working {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(stage: &'a Stage, server: &Server) -> Self {
        Self::at(stage, &server.url, &server.key)
    }

    pub(crate) fn at(stage: &'a Stage, url: &str, key: &str) -> Self {
        Self { stage, variables: Vec::new() }.with("FLEETEST_URL", url).with("FLEETEST_TOKEN", key)
    }

    /// With another variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A program with the variables of this shell.
    fn equipped(&self, mut command: Command) -> Command {
        CI_VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Types a command and waits for its end.
    pub(crate) fn types(&self, args: &[&str]) -> Said {
        self.starts(args).ends()
    }

    /// The same with this on stdin.
    pub(crate) fn pipes(&self, input: &str, args: &[&str]) -> Said {
        self.spawns(self.stage.command(args), Some(input)).ends()
    }

    pub(crate) fn starts(&self, args: &[&str]) -> Working {
        self.spawns(self.stage.command(args), None)
    }

    /// Runs a script of bash in this directory.
    pub(crate) fn runs(&self, script: &str, dir: &Path) -> Working {
        let mut command = Command::new("bash");
        self.stage.surround(&mut command);
        command.current_dir(dir).args(["-c", script]);
        self.spawns(command, None)
    }

    fn spawns(&self, command: Command, input: Option<&str>) -> Working {
        let number = fs::read_dir(self.stage.beside("")).unwrap().count();
        let place = |name: &str| self.stage.beside(&format!("command-{number}.{name}"));
        let (out, err) = (place("out"), place("err"));
        let mut child = self
            .equipped(command)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap())
            .spawn()
            .unwrap();
        if let Some(input) = input {
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        }
        Working { child, out, err }
    }

    /// Types a command that must end well; what it printed.
    pub(crate) fn gets(&self, args: &[&str]) -> String {
        let said = self.types(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.out
    }

    /// Types a command with `--json`; stdout must be one document and nothing else, and nothing may be coloured.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.types(&[args, &["--json"]].concat());
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said.json()
    }
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        let document = serde_json::from_str(&self.out);
        document.unwrap_or_else(|error| panic!("stdout is no document: {error}\n{self:?}"))
    }

    /// That it ended so, and that stderr has all of this.
    pub(crate) fn ended(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "exit code\n{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing in\n{}", self.err);
        }
        self
    }

    /// That stdout has all of this.
    pub(crate) fn shows(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.out.contains(part), "`{part}` is missing in\n{}", self.out);
        }
        self
    }
}

impl Working {
    /// Waits until stdout and stderr together contain this.
    pub(crate) fn until_it_says(&mut self, text: &str) {
        let heard = || fs::read_to_string(&self.out).unwrap() + &fs::read_to_string(&self.err).unwrap();
        assert!(eventually(PATIENCE, || heard().contains(text)), "`{text}` never came\n{}", heard());
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
    }

    pub(crate) fn ends(mut self) -> Said {
        let mut status = None;
        let ended = eventually(PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if !ended {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        let text = |path: &PathBuf| String::from_utf8(fs::read(path).unwrap()).unwrap();
        let (out, err) = (text(&self.out), text(&self.err));
        let code = status.and_then(|status| status.code());
        let said = Said { code: code.unwrap_or(-1), out, err };
        assert!(ended && said.code >= 0, "it did not end by itself\n{said:#?}");
        assert!(
            !said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'),
            "no terminal, no colours\n{said:#?}"
        );
        assert!(!said.err.contains("fault of fleetest") && !said.err.contains("panicked"), "{said:#?}");
        said
    }
}
