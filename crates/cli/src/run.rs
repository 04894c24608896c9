//! `fleetest run`, apart from executing it: what must hold before, what is shown during, what is said after.
//!
//! [`prepare`] finds everything that can be found wrong before a test runs; [`conduct`] shows a run while it is
//! executed and then its end. Whatever happens in between, the state folder's lock is held by [`Prepared`].

use crate::args::duration::Human;
use crate::args::reports::{JsonTarget, ReportPaths};
use crate::args::{Colour, RunArgs};
use crate::ci::github::{GitHub, Muted, Told};
use crate::config::Config;
use crate::engine::{Finished, RunOrder};
use crate::exit::{Exit, Problem};
use crate::interrupt::StopFlag;
use crate::line::{Ink, Line, Tone, clean};
use crate::lock::{Lock, Owner};
use crate::progress::Progress;
use crate::progress::terminal::{Display, Mode, write_lines, write_plain};
use crate::project::Target;
use crate::project::state::{State, cannot_write};
use crate::summary::rerun::Rerun;
use crate::summary::{Detail, Ending, render, told_sentence};
use shared::domain::case::CaseId;
use shared::domain::id::JobNo;
use shared::domain::time::Timestamp;
use shared::domain::verdict::CauseCode;
use shared::ports::Notice;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

/// A run for which everything is at hand.
#[derive(Debug)]
pub struct Prepared {
    /// What is tested.
    pub target: Target,
    /// Where state lives.
    pub state: State,
    /// Reports to write, with absolute paths.
    pub reports: ReportPaths,
    /// What the user should know before it starts.
    pub notes: Vec<String>,
    /// When it was asked for.
    pub started_at: Timestamp,
    _lock: Option<Lock>,
}

/// Checks the arguments against the world, and takes hold of the state folder.
///
/// # Errors
/// Whatever can be found wrong before a test runs.
pub fn prepare(args: &RunArgs, config: &Config, now: Timestamp) -> Result<Prepared, Problem> {
    let target = Target::resolve(&args.target, args.reference.as_deref(), &config.here)?;
    let reports = reports(args, &config.here)?;
    let state = State::open(&target, !args.no_history, config)?;
    let mut notes: Vec<String> = state.note().map(str::to_owned).into_iter().collect();
    let owner = Owner { pid: std::process::id(), started_at: now };
    let lock = if state.is_kept() { Some(Lock::take(state.dir(), owner)?) } else { None };
    if let Some(killed) = lock.as_ref().and_then(Lock::killed_owner) {
        notes.push(format!(
            "the run before (process {}, {} ago) was killed before it could finish; this one starts clean",
            killed.pid,
            Human(now.since_ms(killed.started_at))
        ));
    }
    if args.failed && !state.is_kept() {
        return Err(Problem::could_not_run("`--failed` needs the history of this project, and none is kept")
            .hint(notes.first().cloned().unwrap_or_default()));
    }
    Ok(Prepared { target, state, reports, notes, started_at: now, _lock: lock })
}

/// The wanted reports with absolute paths, each to be written to a place of its own that can be there.
pub(crate) fn reports(args: &RunArgs, here: &Path) -> Result<ReportPaths, Problem> {
    let absolute = |path: &Option<_>| path.as_ref().map(|path: &std::path::PathBuf| here.join(path));
    let reports = ReportPaths {
        junit: absolute(&args.junit),
        json: args.json.as_ref().map(|json| match json {
            JsonTarget::Stdout => JsonTarget::Stdout,
            JsonTarget::File(path) => JsonTarget::File(here.join(path)),
        }),
        ctrf: absolute(&args.ctrf),
        html: absolute(&args.html),
    };
    let files = reports.files();
    for (place, (kind, path)) in files.iter().enumerate() {
        if let Some((other, _)) = files.iter().take(place).find(|(_, other)| other == path) {
            return Err(Problem::usage(format!(
                "`--{other}` and `--{kind}` name the same file `{}`",
                path.display()
            )));
        }
        if path.is_dir() || path.file_name().is_none() {
            return Err(Problem::usage(format!("`--{kind} {}` is a directory", path.display()))
                .hint("name a file to be written"));
        }
        // A missing folder is better made now than missed after an hour of tests.
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| cannot_write(parent, error))?;
        }
    }
    Ok(reports)
}

/// How the terminal is written to.
#[must_use]
pub fn display(args: &RunArgs, config: &Config) -> Display {
    let mode = match (args.quiet, std::io::stderr().is_terminal() && !config.dumb_terminal) {
        (true, _) => Mode::Silent,
        (false, true) => Mode::Live,
        (false, false) => Mode::Log,
    };
    Display { mode, ink: ink(args.color, config), now: wall_clock }
}

/// The colours and symbols that stderr can show.
#[must_use]
pub fn ink(colour: Colour, config: &Config) -> Ink {
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
    };
    Ink { colour, ascii: config.ascii_only }
}

/// The time by this machine's clock.
#[must_use]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What [`conduct`] shows and asks besides the order itself.
#[derive(Debug)]
pub struct Conduct<'a> {
    /// The arguments.
    pub args: &'a RunArgs,
    /// What was prepared.
    pub prepared: &'a Prepared,
    /// The terminal.
    pub display: Display,
    /// Names of the run's jobs, as far as they are known.
    pub jobs: BTreeMap<JobNo, String>,
    /// The filter expression that matches exactly one case.
    pub filter_of: fn(&CaseId) -> String,
    /// Asks the run to stop.
    pub stop: StopFlag,
    /// GitHub Actions, if this is one of its jobs.
    pub github: Option<&'a GitHub>,
}

/// Executes the order, shows it while it runs, says how it ended.
///
/// # Errors
/// That of `execute`: there is no judged run.
pub fn conduct<E>(conduct: &Conduct<'_>, order: RunOrder, execute: E) -> anyhow::Result<Exit>
where
    E: FnOnce(RunOrder, Sender<Notice>, StopFlag) -> anyhow::Result<Finished>,
{
    let ink = conduct.display.ink;
    if !conduct.args.quiet {
        write_lines(ink, &note_lines(&conduct.prepared.notes));
    }
    let suites = order.spec.suites.len();
    let (sender, receiver) = channel();
    let progress = Progress::new(conduct.prepared.started_at, conduct.jobs.clone());
    let (display, stop) = (conduct.display, &conduct.stop);
    let closing = sender.clone();
    let muted = Muted::begin(conduct.github);
    let finished = std::thread::scope(|scope| {
        scope.spawn(move || display.watch(progress, &receiver, stop));
        let finished = execute(order, sender, stop.clone());
        // Whatever still holds a sender, the display ends with the execution; a display that is gone is no fault.
        drop(closing.send(Notice::Finished));
        finished
    })?;
    write_lines(ink, &note_lines(&finished.notes));
    write_lines(ink, &ending(conduct, &finished, suites));
    drop(muted);
    tell_github(conduct, &finished);
    Ok(Exit::of(&finished.summary.judgement))
}

/// Writes the job's summary and prints the annotations, in a job of GitHub Actions.
fn tell_github(conduct: &Conduct<'_>, finished: &Finished) {
    let Some(github) = conduct.github else { return };
    let summary = &finished.summary;
    let judged = &summary.judgement;
    let told = Told {
        verdict: judged.verdict.as_str().to_owned(),
        run: summary.run.to_string(),
        sentence: told_sentence(summary),
        cause: judged.cause.as_ref().filter(|c| c.code != CauseCode::TestsFailed).map(|c| c.message.clone()),
        failed: finished.failed.clone(),
        failed_total: summary.counts.failures(),
        rerun: None,
        root: match &conduct.prepared.target {
            Target::Directory(path) => Some(path.clone()),
            Target::Repository(_) => None,
        },
    };
    match github.tell(&told) {
        Ok(annotations) => annotations.iter().for_each(|line| write_plain(line)),
        Err(error) => write_plain(&format!("note: the summary of the job cannot be written: {error}")),
    }
}

/// Notes, each on a line of its own.
#[must_use]
pub fn note_lines(notes: &[String]) -> Vec<Line> {
    let line = |note: &String| Line::new().with(Tone::Warn, "note: ").plain(clean(note));
    notes.iter().map(line).collect()
}

fn ending(conduct: &Conduct<'_>, finished: &Finished, suites: usize) -> Vec<Line> {
    let args = conduct.args;
    let rerun = Rerun {
        target: match &conduct.prepared.target {
            Target::Directory(_) => args.target.clone(),
            repository @ Target::Repository(_) => repository.display(),
        },
        reference: args.reference.clone(),
        suites: args.suites.clone(),
        name_suite: suites > 1,
        history: conduct.prepared.state.is_kept(),
        filter_of: conduct.filter_of,
    };
    let detail = match (args.quiet, args.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Verbose,
        _ => Detail::Normal,
    };
    let width = (conduct.display.mode == Mode::Live || std::io::stderr().is_terminal())
        .then(|| usize::from(console::Term::stderr().size().1));
    render(&Ending {
        summary: &finished.summary,
        highlights: &finished.highlights,
        rerun: &rerun,
        reports: &finished.reports,
        detail,
        width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::summary::Highlights;
    use clap::Parser as _;
    use shared::domain::id::{ProjectId, RunId};
    use shared::domain::outcome::Counts;
    use shared::domain::report::RunSummary;
    use shared::domain::spec::{RunSpec, Source};
    use shared::domain::verdict::{Cause, Judgement};

    fn args(text: &[&str]) -> RunArgs {
        let cli = Cli::try_parse_from(["fleetest", "run"].iter().chain(text)).unwrap();
        let Command::Run(run) = cli.command else { panic!("not a run") };
        *run
    }

    fn config(here: &Path) -> Config {
        Config { here: here.to_owned(), scratch: std::env::temp_dir(), ..Config::default() }
    }

    #[test]
    fn two_runs_in_one_project_do_not_meet() {
        let project = tempfile::tempdir().unwrap();
        let config = config(project.path());
        let first = prepare(&args(&[]), &config, Timestamp(1)).unwrap();
        let problem = prepare(&args(&[]), &config, Timestamp(2)).unwrap_err();
        assert!(problem.to_string().contains(&format!("process {}", std::process::id())), "{problem}");
        assert!(prepare(&args(&["--no-history"]), &config, Timestamp(2)).is_ok(), "it may run beside");
        drop(first);
        let again = prepare(&args(&[]), &config, Timestamp(3)).unwrap();
        assert_eq!(again.notes, Vec::<String>::new());
    }

    #[test]
    fn a_killed_run_is_mentioned_by_the_next() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join(".fleetest")).unwrap();
        std::fs::write(project.path().join(".fleetest/lock"), r#"{"pid":77,"started_at":1000}"#).unwrap();
        let prepared = prepare(&args(&[]), &config(project.path()), Timestamp(61_000)).unwrap();
        assert_eq!(
            prepared.notes,
            [
                "the run before (process 77, 1m 00s ago) was killed before it could finish; this one starts clean"
            ]
        );
    }

    #[test]
    fn report_places_are_checked_before_the_tests() {
        let project = tempfile::tempdir().unwrap();
        let config = config(project.path());
        let refused = |flags: &[&str]| {
            let problem = prepare(&args(flags), &config, Timestamp(0)).unwrap_err();
            (
                problem.exit().code(),
                problem.to_string().replace(&project.path().display().to_string(), "HERE"),
            )
        };
        assert_eq!(refused(&["--html", "."]), (2, "`--html HERE/.` is a directory".to_owned()));
        assert_eq!(
            refused(&["--junit=x", "--json=x"]),
            (2, "`--junit` and `--json` name the same file `HERE/x`".to_owned())
        );
        std::fs::write(project.path().join("file"), "").unwrap();
        assert_eq!(refused(&["--ctrf=file/x"]).0, 3);
        let prepared =
            prepare(&args(&["--junit=out/deep/x.xml", "--json=-"]), &config, Timestamp(0)).unwrap();
        assert!(project.path().join("out/deep").is_dir());
        assert_eq!(prepared.reports.json, Some(JsonTarget::Stdout));
    }

    fn order(prepared: &Prepared) -> RunOrder {
        let spec = RunSpec {
            project: prepared.target.project(),
            source: Source::Directory { path: prepared.target.display() },
            commit: None,
            branch: None,
            suites: Vec::new(),
            fail_fast: None,
            filter: None,
            chosen: Vec::new(),
            timeout_ms: 1,
        };
        let state_dir = prepared.state.dir().to_owned();
        RunOrder { spec, slots: None, state_dir, keep_history: true, reports: ReportPaths::default() }
    }

    fn finished(judgement: Judgement) -> Finished {
        let summary = RunSummary {
            run: RunId(1),
            project: ProjectId("x".to_owned()),
            commit: None,
            branch: None,
            judgement,
            counts: Counts::default(),
            queued_at: Timestamp(0),
            finished_at: Timestamp(1),
            version: "0".to_owned(),
            jobs: Vec::new(),
        };
        Finished {
            summary,
            highlights: Highlights::default(),
            reports: Vec::new(),
            notes: Vec::new(),
            failed: Vec::new(),
        }
    }

    #[test]
    fn a_run_ends_with_its_execution_and_in_its_code() {
        let project = tempfile::tempdir().unwrap();
        let config = config(project.path());
        let args = args(&["--quiet"]);
        let prepared = prepare(&args, &config, Timestamp(0)).unwrap();
        let stop = StopFlag::default();
        let shown = Conduct {
            args: &args,
            prepared: &prepared,
            display: display(&args, &config),
            jobs: BTreeMap::new(),
            filter_of: |case| case.to_string(),
            stop: stop.clone(),
            github: None,
        };
        let mut kept = None;
        let cancelled = Judgement::because(Cause::new(CauseCode::CancelledByUser, "cancelled"));
        let exit = conduct(&shown, order(&prepared), |_, sender, flag| {
            kept = Some(sender);
            flag.raise();
            Ok(finished(cancelled))
        });
        assert_eq!(exit.unwrap(), Exit::Cancelled);
        assert!(stop.is_raised() && kept.is_some(), "a sender that stays alive does not keep the display");
        let failed = conduct(&shown, order(&prepared), |_, _, _| Err(anyhow::anyhow!("no store")));
        assert_eq!(failed.unwrap_err().to_string(), "no store");
    }

    #[test]
    fn a_bad_target_leaves_no_trace() {
        let project = tempfile::tempdir().unwrap();
        assert!(prepare(&args(&["gone", "--junit=out/x"]), &config(project.path()), Timestamp(0)).is_err());
        assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), 0);
    }
}
