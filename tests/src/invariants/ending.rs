//! What must hold once a run is over: the verdict against the truth, the report against the results, nothing
//! left running.

use super::tally::{CaseTally, Tally};
use super::{Checker, Found, JobPicture, ensure};
use crate::contract::block_on;
use crate::world::truth::{Behaviour, Collection, SuiteTruth, UnitTruth};
use shared::domain::case::CaseId;
use shared::domain::id::{JobNo, RunId, ShardAttempt, digest_hex};
use shared::domain::outcome::{Counts, Outcome};
use shared::domain::queue::Stopped;
use shared::domain::report::RunSummary;
use shared::domain::run::{Job, JobStatus};
use shared::domain::statistics::SuiteHead;
use shared::domain::verdict::{CauseCode, Verdict};
use shared::ports::{Blobs as _, Key, Store as _};
use shared::service::entries::job_folder;
use shared::service::logs::LogHead;
use shared::service::report::summary_key;
use std::collections::{BTreeMap, BTreeSet};

/// So many cases of a job are tried again, however much of it fails.
const RETRIES_SURE: u64 = 25;

/// What a job came to, for comparing two histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Its verdict.
    pub verdict: Option<Verdict>,
    /// Its counts.
    pub counts: Counts,
    /// Final outcome of each case.
    pub cases: BTreeMap<CaseId, Outcome>,
}

impl Checker {
    /// What each job of the run came to.
    #[must_use]
    pub fn ends(&self, run: RunId) -> Vec<JobEnd> {
        let of_run = self.jobs.iter().filter(|((id, _), _)| *id == run);
        let end = |(_, picture): (&(RunId, JobNo), &JobPicture)| JobEnd {
            verdict: picture.job.as_ref().and_then(|job| job.judgement.as_ref()).map(|j| j.verdict),
            counts: picture.queue.as_ref().map(|queue| queue.counts).unwrap_or_default(),
            cases: picture.tally.cases.iter().map(|(case, tally)| (case.clone(), last(tally))).collect(),
        };
        of_run.map(end).collect()
    }

    /// Judges a run that is over.
    pub fn ended(&self, run: RunId) {
        for ((id, no), picture) in &self.jobs {
            if *id != run {
                continue;
            }
            if let Err(what) = self.job_ended(picture) {
                self.hub.violation(format!("job {no} at its end: {what}"));
            }
        }
        if let Err(what) = self.summary_fits(run) {
            self.hub.violation(format!("the report: {what}"));
        }
        if let Err(what) = self.logs_are_prefixes(run) {
            self.hub.violation(format!("the logs: {what}"));
        }
    }

    /// No compute outlives its run, no launch is without a plan, no lease is open, no run is learned from twice.
    pub fn at_rest(&self) {
        for document in self.store.snapshot() {
            let head = document.key.partition.starts_with("history#") && document.key.sort.ends_with("#head");
            let learned = if head { serde_json::from_str(&document.body).ok() } else { None };
            if learned.is_some_and(|head: SuiteHead| head.run_no as usize > self.runs.len()) {
                self.hub.violation(format!("{} was learned more often than run", document.key));
            }
        }
        for id in self.fleet.living() {
            self.hub.violation(format!("runner {id} outlives its run"));
        }
        for id in self.fleet.launched() {
            let planned = self.jobs.get(&(id.run, id.job)).and_then(|picture| picture.job.as_ref());
            let fits = planned.is_some_and(|job| id.shard <= job.shards && id.attempt <= self.launch_limit);
            if !fits {
                self.hub.violation(format!("runner {id} was never planned"));
            }
        }
        for ((_, no), picture) in &self.jobs {
            let open = picture.queue.as_ref().map_or(0, |queue| queue.open_leases);
            let live = picture.shards.values().filter(|shard| !shard.over()).count();
            if open > 0 || live > 0 {
                self.hub.violation(format!("job {no} is over with {open} leases and {live} live shards"));
            }
        }
    }

    fn job_ended(&self, picture: &JobPicture) -> Found {
        let job = picture.job.as_ref().ok_or("no document")?;
        picture.check()?;
        ensure(job.status == JobStatus::Finished, || "it is not over".to_owned())?;
        let judgement = job.judgement.as_ref().ok_or("no verdict")?;
        self.reread(picture)?;
        let Some(queue) = &picture.queue else {
            return ensure(judgement.verdict != Verdict::Passed, || "green without a manifest".to_owned());
        };
        ensure(queue.open_leases == 0, || "a lease is open".to_owned())?;
        let code = judgement.cause.as_ref().map(|cause| cause.code);
        ensure(code != Some(CauseCode::Incomplete), || {
            format!("it contradicts itself: {:?}", judgement.cause)
        })?;
        let whole = queue.drained();
        let trusted = whole
            && matches!(judgement.verdict, Verdict::Passed | Verdict::Failed)
            && queue.stopped != Some(Stopped::FailFast);
        ensure(judgement.verdict != Verdict::Passed || whole, || "green before the end".to_owned())?;
        if whole {
            let counts = picture.tally.counts();
            ensure(counts == queue.counts, || {
                format!("results say {counts:?}, counters {:?}", queue.counts)
            })?;
        }
        let suite = self.floor.suites.iter().find(|suite| suite.name == job.spec.suite.name);
        let suite = suite.ok_or("an unknown suite")?;
        self.no_case_is_invented(suite, &picture.tally)?;
        self.cases_are_true(job, suite, picture, trusted)?;
        self.verdict_is_true(judgement.verdict, code, &picture.tally, whole)
    }

    fn verdict_is_true(
        &self,
        verdict: Verdict,
        code: Option<CauseCode>,
        tally: &Tally,
        whole: bool,
    ) -> Found {
        let red = tally.cases.values().filter(|case| last(case).is_failure()).count();
        let ran = tally.cases.values().any(|case| last(case) != Outcome::Skipped);
        match verdict {
            Verdict::Passed => ensure(red == 0 && ran, || format!("green with {red} failures, ran: {ran}")),
            Verdict::Failed => ensure(red > 0, || "red without a failure".to_owned()),
            Verdict::TimedOut | Verdict::Cancelled => Ok(()),
            Verdict::Errored => {
                let empty = code == Some(CauseCode::NoTests);
                ensure(!empty || (whole && !ran), || "no tests, it says".to_owned())
            }
        }
    }

    fn no_case_is_invented(&self, suite: &SuiteTruth, tally: &Tally) -> Found {
        let mut units: BTreeMap<&str, BTreeSet<&CaseId>> = BTreeMap::new();
        for unit in &suite.units {
            units.entry(&unit.key).or_default().extend(unit.cases.iter().map(|truth| &truth.id));
        }
        for (case, found) in &tally.cases {
            let unit = found.unit.as_str();
            let real = units.get(unit).ok_or_else(|| format!("case `{case}` of unknown unit"))?;
            let stands_for_unit = case.0 == unit;
            ensure(real.contains(case) || stands_for_unit, || format!("case `{case}` does not exist"))?;
        }
        Ok(())
    }

    /// Each case that exists has an outcome that the truth allows; of a whole job, none is missing.
    fn cases_are_true(&self, job: &Job, suite: &SuiteTruth, picture: &JobPicture, whole: bool) -> Found {
        let tally = &picture.tally;
        // A job in which very much fails stops trying again.
        let spent = picture.queue.as_ref().is_some_and(|queue| queue.retried >= RETRIES_SURE);
        let retries = if spent { None } else { Some(job.spec.suite.retries) };
        let id = ShardAttempt { run: job.run, job: job.no, shard: 1, attempt: 1 };
        for unit in &suite.units {
            let deaths = self.fleet.deaths_under(&id, &unit.key);
            let unit_crashed = tally
                .cases
                .get(&CaseId(unit.key.clone()))
                .is_some_and(|case| case.attempts.contains(&Outcome::Crashed));
            if unit_crashed {
                let may = unit.collection == Collection::Dies || deaths >= 2;
                ensure(may, || format!("unit `{}` is said to crash", unit.key))?;
            }
            if unit.collection == Collection::Works {
                for truth in &unit.cases {
                    let Some(found) = tally.cases.get(&truth.id) else {
                        let may_miss = !whole || unit_crashed || truth.behaviour == Behaviour::Vanishes;
                        ensure(may_miss, || format!("case `{}` is missing", truth.id))?;
                        continue;
                    };
                    case_is_true(truth.behaviour, found, retries, whole, deaths)
                        .map_err(|what| format!("case `{}` ({:?}): {what}", truth.id, truth.behaviour))?;
                }
            } else if whole {
                ensure(answers_for_itself(unit, tally), || format!("unit `{}` is missing", unit.key))?;
            }
        }
        Ok(())
    }

    /// What is stored still says what was accepted when it was accepted.
    fn reread(&self, picture: &JobPicture) -> Found {
        let mut leases: Vec<_> = picture.leases.values().collect();
        leases.sort_by_key(|lease| lease.epoch);
        let mut results = 0;
        for lease in leases {
            for part in 0..lease.next_part {
                let events = self.chunk(lease, part)?;
                results += events
                    .iter()
                    .filter(|event| matches!(event, shared::domain::unit::UnitEvent::Case { .. }))
                    .count();
            }
            results += lease.verdicts.len();
        }
        let accepted: usize = picture.tally.cases.values().map(|case| case.attempts.len()).sum();
        ensure(results == accepted, || format!("{results} results are stored, {accepted} were accepted"))
    }

    fn summary_fits(&self, run: RunId) -> Found {
        let document = self.runs.get(&run).ok_or("no run")?;
        let bytes = block_on(self.blobs.fetch(&summary_key(run), None)).map_err(|error| error.to_string())?;
        let summary: RunSummary = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        ensure(document.judgement.as_ref() == Some(&summary.judgement), || {
            format!("it says {:?}, the run says {:?}", summary.judgement, document.judgement)
        })?;
        ensure(document.finished_at == Some(summary.finished_at), || {
            format!("it ended {:?} and {:?}", document.finished_at, summary.finished_at)
        })?;
        let mut counts = Counts::default();
        for ((id, _), picture) in &self.jobs {
            if let Some(queue) = picture.queue.as_ref().filter(|_| *id == run) {
                counts.add(&queue.counts);
            }
        }
        ensure(summary.counts == counts, || format!("it counts {:?}, the jobs {counts:?}", summary.counts))
    }

    fn logs_are_prefixes(&self, run: RunId) -> Found {
        let partition = format!("run#{run}");
        for document in self.store.snapshot() {
            let Key { partition: place, sort } = &document.key;
            let Some(rest) = sort.strip_prefix("log#").filter(|_| *place == partition) else { continue };
            let (job, name) = rest.split_once('#').ok_or("a log without a name")?;
            let head: LogHead = serde_json::from_str(&document.body).map_err(|error| error.to_string())?;
            let no = JobNo(job.parse().ok().ok_or("a log without a job")?);
            let folder = format!("{}/logs/{name}/", job_folder(run, no));
            let mut length = 0;
            for piece in block_on(self.blobs.list(&folder)).map_err(|error| error.to_string())? {
                let offset: u64 = piece
                    .strip_prefix(&folder)
                    .and_then(|file| file.strip_suffix(".log"))
                    .and_then(|digits| digits.parse().ok())
                    .ok_or("a piece without an offset")?;
                if offset >= head.length {
                    break;
                }
                ensure(offset == length, || format!("a gap in {name} at {length}"))?;
                let bytes = block_on(self.blobs.fetch(&piece, None)).map_err(|error| error.to_string())?;
                length += bytes.len() as u64;
            }
            ensure(length == head.length, || format!("{name} has {length} of {} bytes", head.length))?;
        }
        Ok(())
    }

    /// Everything stored, for comparing.
    #[must_use]
    pub fn everything(&self) -> (Vec<String>, Vec<String>) {
        let documents = self.store.snapshot();
        let documents = documents.iter().map(|d| format!("{} {} {}", d.key, d.version, d.body)).collect();
        let keys = block_on(self.blobs.list("")).unwrap_or_default();
        let blobs = keys
            .iter()
            .map(|key| {
                format!("{key} {}", digest_hex(&block_on(self.blobs.fetch(key, None)).unwrap_or_default()))
            })
            .collect();
        (documents, blobs)
    }

    /// Whether the store still finds work in its index of open runs.
    #[must_use]
    pub fn open_runs(&self) -> usize {
        block_on(self.store.query_index("open_runs", "~", 100)).map_or(0, |keys| keys.len())
    }
}

fn last(case: &CaseTally) -> Outcome {
    case.attempts.last().copied().unwrap_or(Outcome::Errored)
}

/// A unit that cannot be collected is told of by name, or by the cases that were listed for it.
fn answers_for_itself(unit: &UnitTruth, tally: &Tally) -> bool {
    let by_name = tally.cases.get(&CaseId(unit.key.clone())).is_some_and(|case| last(case).is_failure());
    let listed = || {
        unit.cases.iter().any(|case| tally.cases.get(&case.id).is_some_and(|found| last(found).is_failure()))
    };
    by_name || listed() || unit.cases.is_empty()
}

/// Whether a case may have come to this. `deaths`: how often a runner died while it worked on the case's unit.
fn case_is_true(
    truth: Behaviour,
    found: &CaseTally,
    retries: Option<u32>,
    whole: bool,
    deaths: u32,
) -> Found {
    let outcome = last(found);
    let attempts = u32::try_from(found.attempts.len()).unwrap_or(u32::MAX);
    for (number, outcome) in (1..).zip(&found.attempts) {
        let own = truth.outcome(number) == Some(*outcome);
        let crashed = *outcome == Outcome::Crashed && (truth.outcome(number).is_none() || deaths >= 2);
        ensure(own || crashed, || format!("attempt {number} came to {outcome}"))?;
    }
    let Some(retries) = retries.filter(|_| whole && !(outcome == Outcome::Crashed && deaths >= 2)) else {
        return Ok(());
    };
    let due = match truth {
        Behaviour::Passes | Behaviour::Skipped => 1,
        Behaviour::Fails | Behaviour::TimesOut => retries + 1,
        Behaviour::Flaky(failures) => failures.min(retries) + 1,
        Behaviour::Crashes => retries.max(1) + 1,
        Behaviour::KillsProcess | Behaviour::KillsRunner | Behaviour::Freezes => 1,
        Behaviour::Vanishes => return Ok(()),
    };
    ensure(attempts == due, || format!("{attempts} attempts, {due} were due: {:?}", found.attempts))
}
