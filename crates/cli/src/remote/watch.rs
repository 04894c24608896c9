//! Watching a run until it is over: polling with `ETag`s, through restarts of the server.
//!
//! The run goes on by itself; watching only looks. So it may end at any time and be taken up again.

use super::Session;
use super::client::Client;
use super::client::refusal::ClientError;
use super::client::route::Route;
use super::console::Console;
use super::view::run::{FAILURES_SHOWN, ending, exit_of, failures, progress};
use crate::exit::{Exit, Problem};
use crate::interrupt::{self, StopFlag};
use crate::line::{Line, Tone, clean};
use crate::progress::terminal::{leave, new_bar};
use http_api::api::wire::{CancelBody, CaseShown, JobShown, Page, RunShown};
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::{Duration, Instant};
use ureq::http::Method;

/// First and longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(2));
/// How often a wish to stop is looked for.
const SLICE: Duration = Duration::from_millis(50);
/// A log gets a line about progress this often, if there is any.
const LOG_EVERY: Duration = Duration::from_secs(5);
/// A call of a watch gives up soon: the next look comes anyway.
const CALL_PATIENCE: Duration = Duration::from_secs(2);
/// How long a server may be away.
const AWAY_LIMIT: Duration = Duration::from_secs(600);

/// What a wish to stop means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// Stop watching.
    Detach,
    /// Stop the run, and watch its end.
    Cancel,
}

/// How a watch went.
#[derive(Debug)]
pub enum Watched {
    /// The run is over.
    Over(Box<Over>),
    /// The user looks away.
    Detached,
}

/// A run that is over.
#[derive(Debug)]
pub struct Over {
    /// The run.
    pub run: RunShown,
    /// Its jobs.
    pub jobs: Vec<JobShown>,
    /// Some of its failed cases.
    pub failed: Vec<CaseShown>,
    /// The run as the server wrote it.
    pub document: Value,
}

impl Session<'_, '_> {
    /// Watches a run to its end, and ends with its exit code; Ctrl-C only stops watching.
    ///
    /// # Errors
    /// There is no such run, or the server is away for too long.
    pub fn watch(&mut self, run: &str, json: bool) -> Result<Exit, Problem> {
        let stop = listen()?;
        let client = Client::new(&self.config.remote)?.with_patience(CALL_PATIENCE);
        match watch(&client, self.console, run, OnStop::Detach, &stop)? {
            Watched::Detached => Ok(detached(self.console, run)),
            Watched::Over(over) => {
                if json {
                    self.console.document(&over.document);
                }
                Ok(exit_of(&over.run))
            }
        }
    }
}

/// Says how to come back.
pub fn detached(console: &mut Console<'_>, run: &str) -> Exit {
    let again = format!("fleetest watch {run}");
    console.chat(&[Line::new().plain("the run goes on; watch it again: ").with(Tone::Accent, clean(&again))]);
    Exit::Cancelled
}

/// A flag that the first Ctrl-C raises.
///
/// # Errors
/// Signals cannot be listened for.
pub fn listen() -> Result<StopFlag, Problem> {
    let stop = StopFlag::default();
    interrupt::listen(stop.clone(), leave)
        .map_err(|error| Problem::could_not_run("signals cannot be listened for").because(error))?;
    Ok(stop)
}

/// Watches a run until it is over or the user wishes to stop, and shows its end.
///
/// # Errors
/// There is no such run, or the server is away for too long.
pub fn watch(
    client: &Client,
    console: &mut Console<'_>,
    run: &str,
    on_stop: OnStop,
    stop: &StopFlag,
) -> Result<Watched, Problem> {
    let mut screen = Screen::new(console);
    let mut view = View::new(client, run);
    let mut pause = PAUSES.0;
    let mut cancelled = false;
    loop {
        let changed = view.look(&mut screen)?;
        if view.is_over() {
            break;
        }
        screen.show(&view);
        pause = if changed { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        if !wait(pause, stop, cancelled) {
            continue;
        }
        match on_stop {
            OnStop::Detach => {
                return Ok(Watched::Detached);
            }
            OnStop::Cancel => {
                cancelled = true;
                cancel(client, run, &mut screen);
            }
        }
    }
    drop(screen);
    let over = view.into_over()?;
    let now = (console.now)();
    console.chat(&ending(&over.run, &over.jobs, &over.failed, now));
    Ok(Watched::Over(Box::new(over)))
}

/// Waits; answers whether the user wishes to stop and was not heard before.
fn wait(pause: Duration, stop: &StopFlag, heard: bool) -> bool {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if stop.is_raised() && !heard {
            return true;
        }
        std::thread::sleep(SLICE.min(end.saturating_duration_since(Instant::now())));
    }
    stop.is_raised() && !heard
}

fn cancel(client: &Client, run: &str, screen: &mut Screen<'_, '_>) {
    let body = CancelBody { reason: Some("interrupted at the terminal".to_owned()) };
    let text = match client.send(&Method::POST, &Route::new(&["v1", "runs", run, "cancel"]), &body) {
        Ok(_) => "cancelling: waiting for what is running to end (a second Ctrl-C leaves at once)".to_owned(),
        Err(problem) => format!("the run could not be cancelled: {problem}"),
    };
    screen.say(&Line::new().with(Tone::Warn, text));
}

/// A resource that is asked for again and again.
#[derive(Debug)]
struct Polled<T> {
    route: Route,
    etag: Option<String>,
    value: Option<(Value, T)>,
}

impl<T: DeserializeOwned> Polled<T> {
    fn new(route: Route) -> Self {
        Self { route, etag: None, value: None }
    }

    /// Looks again; answers whether something is new.
    fn look(&mut self, client: &Client) -> Result<bool, Missed> {
        let reply = client.try_get(&self.route, self.etag.as_deref()).map_err(Missed::Call)?;
        if reply.status == 304 && self.value.is_some() {
            return Ok(false);
        }
        let document: Value = reply.read().map_err(Missed::Answer)?;
        let value = super::typed(&document).map_err(Missed::Answer)?;
        self.etag = reply.header("etag").map(str::to_owned);
        let changed = self.value.as_ref().is_none_or(|(known, _)| *known != document);
        self.value = Some((document, value));
        Ok(changed)
    }
}

/// Why a look saw nothing.
#[derive(Debug)]
enum Missed {
    Call(ClientError),
    Answer(Problem),
}

/// What is known of the run.
#[derive(Debug)]
struct View<'a> {
    client: &'a Client,
    run: Polled<RunShown>,
    jobs: Polled<Page<JobShown>>,
    id: String,
    seen_at: Instant,
}

impl<'a> View<'a> {
    fn new(client: &'a Client, id: &str) -> Self {
        let run = Polled::new(Route::new(&["v1", "runs", id]));
        let jobs = Polled::new(Route::new(&["v1", "runs", id, "jobs"]).with("limit", Some(200)));
        Self { client, run, jobs, id: id.to_owned(), seen_at: Instant::now() }
    }

    /// Looks again; a server that is away is waited for, once the run was seen.
    fn look(&mut self, screen: &mut Screen<'_, '_>) -> Result<bool, Problem> {
        let looked =
            self.run.look(self.client).and_then(|changed| Ok(self.jobs.look(self.client)? || changed));
        match looked {
            Ok(changed) => {
                self.seen_at = Instant::now();
                screen.back();
                Ok(changed)
            }
            Err(Missed::Call(error))
                if error.is_passing() && self.run.value.is_some() && self.seen_at.elapsed() < AWAY_LIMIT =>
            {
                screen.away(&error);
                Ok(false)
            }
            Err(Missed::Call(error)) => Err(Problem::from(error)),
            Err(Missed::Answer(problem)) => Err(problem),
        }
    }

    /// Over, and seen so together with its jobs.
    fn is_over(&self) -> bool {
        self.run.value.as_ref().is_some_and(|(_, run)| run.status == "finished") && self.jobs.value.is_some()
    }

    fn jobs(&self) -> &[JobShown] {
        self.jobs.value.as_ref().map_or(&[], |(_, jobs)| jobs.items.as_slice())
    }

    fn into_over(self) -> Result<Over, Problem> {
        let jobs = self.jobs().to_vec();
        let Some((document, run)) = self.run.value else {
            return Err(Problem::could_not_run("the run was never seen"));
        };
        let failed = failed_cases(self.client, &self.id, &run, FAILURES_SHOWN);
        Ok(Over { run, jobs, failed, document })
    }
}

/// Some of the cases that failed. They only illustrate the verdict, so a server that cannot list them is no error.
#[must_use]
pub fn failed_cases(client: &Client, id: &str, run: &RunShown, limit: usize) -> Vec<CaseShown> {
    if run.counts.as_ref().is_none_or(|counts| failures(counts) == 0) {
        return Vec::new();
    }
    let route = Route::new(&["v1", "runs", id, "cases"]).with("outcome", Some("failures"));
    let listed = super::gather(client, &route, limit);
    listed
        .and_then(|document| super::typed::<Page<CaseShown>>(&document))
        .map(|listed| listed.items)
        .unwrap_or_default()
}

/// Where progress is shown.
struct Screen<'s, 'c> {
    console: &'s mut Console<'c>,
    bar: Option<ProgressBar>,
    said: String,
    said_at: Option<Instant>,
    away: bool,
}

impl<'s, 'c> Screen<'s, 'c> {
    fn new(console: &'s mut Console<'c>) -> Self {
        let bar = console.live.then(new_bar);
        Self { console, bar, said: String::new(), said_at: None, away: false }
    }

    fn show(&mut self, view: &View<'_>) {
        let Some((_, run)) = view.run.value.as_ref().filter(|_| !self.console.quiet) else { return };
        let line = progress(run, view.jobs(), (self.console.now)());
        if let Some(bar) = &self.bar {
            let columns = usize::from(console::Term::stderr().size().1).saturating_sub(1);
            bar.set_message(self.console.chat_ink().paint(&line.fit(columns)));
            bar.tick();
            return;
        }
        let text = line.text();
        let is_due = self.said_at.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if is_due && !self.away && text != self.said {
            self.said = text;
            self.said_at = Some(Instant::now());
            self.console.chat(&[line]);
        }
    }

    fn say(&mut self, line: &Line) {
        match &self.bar {
            Some(bar) => bar.println(self.console.chat_ink().paint(line)),
            None => self.console.chat(std::slice::from_ref(line)),
        }
    }

    fn away(&mut self, error: &ClientError) {
        if !self.away {
            self.away = true;
            self.say(&Line::new().with(Tone::Warn, format!("  {error}; the run goes on, trying again")));
        }
    }

    fn back(&mut self) {
        if self.away {
            self.away = false;
            self.say(&Line::new().plain("  the server is back"));
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen<'_, '_> {
    fn drop(&mut self) {
        self.close();
    }
}
