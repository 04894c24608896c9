//! What a run's reports say, read as a foreign program would read them and checked against each other.

use quick_xml::events::{BytesStart, Event};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The JSON report.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    schema: String,
    pub(crate) run: Run,
    pub(crate) jobs: Vec<Job>,
    pub(crate) cases: Vec<Case>,
    complete: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) verdict: String,
    pub(crate) commit: Option<String>,
    pub(crate) cause: Option<Cause>,
    exit_code: i32,
    pub(crate) counts: Counts,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cause {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct Counts {
    pub(crate) planned: u64,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) errored: u64,
    pub(crate) skipped: u64,
    pub(crate) timed_out: u64,
    pub(crate) crashed: u64,
    pub(crate) outstanding: u64,
    pub(crate) flaky: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Job {
    job: u32,
    pub(crate) name: String,
    pub(crate) verdict: String,
    pub(crate) cause: Option<Cause>,
    pub(crate) counts: Counts,
    pub(crate) launches: u32,
    pub(crate) not_run_units: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    job: u32,
    pub(crate) id: String,
    class: String,
    name: String,
    pub(crate) outcome: String,
    pub(crate) flaky: Option<String>,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) attempt: u32,
    pub(crate) outcome: String,
    pub(crate) shard: Option<u32>,
    pub(crate) slot: u32,
    pub(crate) alone: bool,
    pub(crate) started_at: String,
    pub(crate) failure: Option<Failure>,
    pub(crate) output: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl Account {
    /// Reads the reports of a folder, if there are any.
    pub(crate) fn read(folder: &Path, code: i32, stderr: &str) -> Option<Self> {
        let json = fs::read(folder.join("report.json")).ok()?;
        let junit = fs::read_to_string(folder.join("junit.xml")).ok()?;
        let account = Self::parse(&json);
        assert_eq!(account.run.exit_code, code, "the report knows the exit code\n{stderr}");
        account.check_junit(&junit);
        Some(account)
    }

    /// Parses a JSON report and checks what holds in each.
    pub(crate) fn parse(json: &[u8]) -> Self {
        let account: Self = serde_json::from_slice(json).expect("the report is JSON of the documented form");
        assert_eq!((account.schema.as_str(), account.complete), ("fleetest.report/1", true));
        for job in &account.jobs {
            job.counts.check(&account.cases_of(&job.name));
        }
        account.run.counts.check(&account.cases.iter().collect::<Vec<_>>());
        let mut ids: Vec<(u32, &str)> =
            account.cases.iter().map(|case| (case.job, case.id.as_str())).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "no case is listed twice");
        for judged in account
            .jobs
            .iter()
            .map(|job| (&job.verdict, &job.cause))
            .chain([(&account.run.verdict, &account.run.cause)])
        {
            assert_eq!(judged.0 == "passed", judged.1.is_none(), "a cause unless passed: {judged:?}");
        }
        if account.run.verdict == "passed" {
            assert!(account.run.counts.passed > 0, "green needs a test that passed");
        }
        account.check_attempts();
        account
    }

    fn check_attempts(&self) {
        for case in &self.cases {
            let last = case.attempts.last().expect("each case has an attempt");
            assert_eq!(last.outcome, case.outcome, "{}", case.id);
            let numbers: Vec<u32> = case.attempts.iter().map(|attempt| attempt.attempt).collect();
            assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>(), "{}", case.id);
            let was_red =
                case.attempts.iter().any(|attempt| !matches!(attempt.outcome.as_str(), "passed" | "skipped"));
            assert_eq!(case.flaky.is_some(), case.outcome == "passed" && was_red, "{}", case.id);
        }
    }

    /// The same cases with the same outcomes are in the JUnit report; besides them only errors of whole jobs.
    fn check_junit(&self, xml: &str) {
        let mut listed = junit(xml);
        for case in &self.cases {
            let key = (self.job_name(case.job), case.class.clone(), case.name.clone());
            let found =
                listed.get_mut(&key).and_then(Vec::pop).unwrap_or_else(|| panic!("{key:?} is not in\n{xml}"));
            let expected = match case.outcome.as_str() {
                "passed" => "passed",
                "skipped" => "skipped",
                "failed" => "failure",
                _ => "error",
            };
            assert_eq!(found, expected, "{key:?}");
        }
        let broken =
            self.jobs.iter().any(|job| job.cause.as_ref().is_some_and(|cause| cause.code != "tests_failed"));
        for (key, rest) in listed.into_iter().filter(|(_, rest)| !rest.is_empty()) {
            assert!(broken && rest.iter().all(|kind| kind == "error"), "{key:?} is {rest:?} only in JUnit");
        }
        if self.run.verdict != "passed" {
            assert!(xml.contains("<failure") || xml.contains("<error"), "a red run is red in JUnit\n{xml}");
        }
    }

    fn job_name(&self, job: u32) -> String {
        self.jobs.iter().find(|known| known.job == job).expect("the case's job is listed").name.clone()
    }

    /// The job of this name.
    pub(crate) fn job(&self, name: &str) -> &Job {
        self.jobs.iter().find(|job| job.name == name).unwrap_or_else(|| panic!("no job `{name}`"))
    }

    /// The cases of a job.
    pub(crate) fn cases_of(&self, job: &str) -> Vec<&Case> {
        self.cases.iter().filter(|case| self.job_name(case.job) == job).collect()
    }

    /// The case with this id, of the only job that has it.
    pub(crate) fn case(&self, id: &str) -> &Case {
        let mut found = self.cases.iter().filter(|case| case.id == id);
        let case = found.next().unwrap_or_else(|| panic!("no case `{id}` in {:?}", self.ids()));
        assert!(found.next().is_none(), "`{id}` is in two jobs");
        case
    }

    /// Ids of all cases, sorted.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.cases.iter().map(|case| case.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// Code of the run's cause.
    pub(crate) fn code(&self) -> &str {
        self.run.cause.as_ref().map_or("", |cause| cause.code.as_str())
    }
}

impl Counts {
    /// They add up, and to what is listed: what was announced and did not end stands there as `not_run`.
    fn check(self, cases: &[&Case]) {
        assert_eq!(self.settled() + self.outstanding, self.planned, "{self:?}");
        let (open, ended): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_open());
        assert_eq!((ended.len() as u64, open.len() as u64), (self.settled(), self.outstanding), "{self:?}");
        let with = |outcome: &str| ended.iter().filter(|case| case.outcome == outcome).count() as u64;
        assert_eq!(
            [self.passed, self.failed, self.errored, self.skipped, self.timed_out, self.crashed],
            ["passed", "failed", "errored", "skipped", "timed_out", "crashed"].map(with)
        );
        let flaky = ended.iter().filter(|case| case.flaky.is_some()).count() as u64;
        assert_eq!(self.flaky, flaky);
    }

    fn settled(self) -> u64 {
        self.passed + self.failed + self.errored + self.skipped + self.timed_out + self.crashed
    }
}

impl Case {
    /// Whether the run ended before it had a result.
    pub(crate) fn is_open(&self) -> bool {
        let last = self.attempts.last().and_then(|last| last.failure.as_ref());
        last.is_some_and(|failure| failure.kind == "not_run")
    }

    /// The failure of its last attempt.
    pub(crate) fn failure(&self) -> &Failure {
        self.attempts.last().and_then(|last| last.failure.as_ref()).expect("a red case says why")
    }
}

type Listed = BTreeMap<(String, String, String), Vec<String>>;

/// Job, class and name → what it came to.
fn junit(xml: &str) -> Listed {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut listed = Listed::new();
    let mut job = String::new();
    let mut open: Option<((String, String, String), String)> = None;
    loop {
        let event = reader.read_event().expect("JUnit is well-formed XML");
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds carry no outcome")]
        match event {
            Event::Eof => return listed,
            Event::Start(tag) => match tag.name().as_ref() {
                "testcase" => open = Some((key(&job, &tag), "passed".to_owned())),
                other => mark(&mut open, other),
            },
            Event::Empty(tag) => match tag.name().as_ref() {
                "testcase" => listed.entry(key(&job, &tag)).or_default().push("passed".to_owned()),
                "property" if open.is_none() && attribute(&tag, "name") == "job" => {
                    job = attribute(&tag, "value");
                }
                other => mark(&mut open, other),
            },
            Event::End(tag) if tag.name().as_ref() == "testcase" => {
                let (key, outcome) = open.take().expect("a case was opened");
                listed.entry(key).or_default().push(outcome);
            }
            _ => {}
        }
    }
}

fn mark(open: &mut Option<((String, String, String), String)>, tag: &str) {
    if let (Some((_, outcome)), "failure" | "error" | "skipped") = (open, tag) {
        *outcome = tag.to_owned();
    }
}

fn key(job: &str, tag: &BytesStart<'_>) -> (String, String, String) {
    (job.to_owned(), attribute(tag, "classname"), attribute(tag, "name"))
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> String {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name);
    let raw = found.map(|found| found.value.into_owned()).unwrap_or_default();
    quick_xml::escape::unescape(&raw).unwrap().into_owned()
}
