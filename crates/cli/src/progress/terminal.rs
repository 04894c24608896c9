//! The thin part that touches the terminal: takes notices, keeps the display up to date, goes away at the end.
//!
//! On a terminal the status is redrawn at most eight times a second, whatever arrives; elsewhere there is at most
//! one progress line each five seconds. Everything goes to stderr, and a stderr that is gone ends nothing.

use super::{Happening, Progress, view};
use crate::interrupt::StopFlag;
use crate::line::{Ink, Line, Tone};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::domain::time::Timestamp;
use shared::ports::Notice;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How much is shown while the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bar that is redrawn, failures above it.
    Live,
    /// Lines for a log.
    Log,
    /// Nothing.
    Silent,
}

/// How the display behaves.
#[derive(Debug, Clone, Copy)]
pub struct Display {
    /// How much is shown.
    pub mode: Mode,
    /// Colours and symbols.
    pub ink: Ink,
    /// Tells the time.
    pub now: fn() -> Timestamp,
}

const FRAME: Duration = Duration::from_millis(125);
/// A run that is over sooner never shows a bar.
const CURTAIN: Duration = Duration::from_millis(300);
const LOG_EVERY_MS: u64 = 5_000;
/// Without news a log gets a sign of life this often.
const LOG_IDLE_MS: u64 = 60_000;
/// So many lines scroll by while the run goes on; the rest is counted, and listed in the reports.
const HAPPENINGS_SHOWN: usize = 50;
/// Width if the terminal does not tell.
const FALLBACK_COLUMNS: u16 = 80;

impl Display {
    /// Shows the run until it is over or nobody sends notices any more; gives back what is known at the end.
    pub fn watch(self, mut progress: Progress, notices: &Receiver<Notice>, stop: &StopFlag) -> Progress {
        let mut screen = Screen::new(self);
        let mut open = true;
        while open && !progress.is_over() {
            let mut happenings = Vec::new();
            open = self.fold_for_a_frame(&mut progress, notices, &mut happenings);
            screen.frame(&progress, happenings, stop.is_raised());
        }
        screen.close();
        progress
    }

    /// Folds what arrives within one frame; answers whether more can come.
    fn fold_for_a_frame(
        self,
        progress: &mut Progress,
        notices: &Receiver<Notice>,
        happenings: &mut Vec<Happening>,
    ) -> bool {
        let deadline = Instant::now() + FRAME;
        while !progress.is_over() {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return true;
            }
            match notices.recv_timeout(patience) {
                Ok(notice) => happenings.extend(progress.fold(notice, (self.now)())),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }
}

struct Screen {
    display: Display,
    bar: Option<ProgressBar>,
    opened_at: Instant,
    shown: usize,
    log_due: LogSchedule,
    stop_told: bool,
}

impl Screen {
    fn new(display: Display) -> Self {
        Self {
            display,
            bar: None,
            opened_at: Instant::now(),
            shown: 0,
            log_due: LogSchedule::new((display.now)()),
            stop_told: false,
        }
    }

    fn frame(&mut self, progress: &Progress, happenings: Vec<Happening>, stopping: bool) {
        let now = (self.display.now)();
        match self.display.mode {
            Mode::Silent => {}
            Mode::Live => self.live_frame(progress, happenings, now, stopping),
            Mode::Log => self.log_frame(progress, happenings, now, stopping),
        }
    }

    fn live_frame(
        &mut self,
        progress: &Progress,
        happenings: Vec<Happening>,
        now: Timestamp,
        stopping: bool,
    ) {
        let (_, columns) = console::Term::stderr().size_checked().unwrap_or((0, FALLBACK_COLUMNS));
        // The last column stays free: some terminals wrap as soon as it is written.
        let width = usize::from(columns).saturating_sub(1);
        let above = self.happening_lines(happenings, Some(width));
        if self.bar.is_none() && self.opened_at.elapsed() >= CURTAIN {
            self.bar = Some(new_bar());
        }
        let Some(bar) = &self.bar else {
            self.write(&above);
            return;
        };
        if !above.is_empty() {
            bar.println(self.paint(&above));
        }
        bar.set_message(self.paint(&view::status(progress, now, width, stopping)));
        bar.tick();
    }

    fn log_frame(&mut self, progress: &Progress, happenings: Vec<Happening>, now: Timestamp, stopping: bool) {
        let mut lines = self.happening_lines(happenings, None);
        if stopping && !self.stop_told {
            self.stop_told = true;
            let text = "cancelling: waiting for what is running to end (a second Ctrl-C ends at once)";
            lines.push(Line::new().with(Tone::Warn, text));
        }
        if !progress.is_over() && self.log_due.is_due(now, progress.counts().settled()) {
            lines.push(view::log_line(progress, now, stopping));
        }
        self.write(&lines);
    }

    fn happening_lines(&mut self, happenings: Vec<Happening>, width: Option<usize>) -> Vec<Line> {
        let mut lines = Vec::new();
        for happening in happenings {
            self.shown += 1;
            if self.shown <= HAPPENINGS_SHOWN {
                lines.push(view::happening(&happening, width));
            } else if self.shown == HAPPENINGS_SHOWN + 1 {
                let text = "         … further ones are only counted here and listed in the reports";
                lines.push(Line::new().with(Tone::Faint, text).fit(width.unwrap_or(usize::MAX)));
            }
        }
        lines
    }

    fn paint(&self, lines: &[Line]) -> String {
        let painted: Vec<String> = lines.iter().map(|line| self.display.ink.paint(line)).collect();
        painted.join("\n")
    }

    fn write(&self, lines: &[Line]) {
        write_lines(self.display.ink, lines);
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

pub(crate) fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    // `{msg}` is a template that always parses; the default would show a spinner beside it, no more.
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    bar
}

/// Writes lines to stderr. A reader that has gone away is no reason to end a run.
pub fn write_lines(ink: Ink, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    let text: String = lines.iter().map(|line| ink.paint(line) + "\n").collect();
    let mut stderr = std::io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}

/// Leaves the bar's line, for a process that ends without clearing it.
pub fn leave() {
    drop(std::io::stderr().lock().write_all(b"\n"));
}

/// Writes a line of our own, for a process that ends at once.
pub fn write_plain(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// When a log gets its next progress line.
#[derive(Debug)]
struct LogSchedule {
    last: Timestamp,
    settled: u64,
}

impl LogSchedule {
    fn new(now: Timestamp) -> Self {
        Self { last: now, settled: 0 }
    }

    fn is_due(&mut self, now: Timestamp, settled: u64) -> bool {
        let pause = if settled == self.settled { LOG_IDLE_MS } else { LOG_EVERY_MS };
        let due = now.since_ms(self.last) >= pause;
        if due {
            (self.last, self.settled) = (now, settled);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::case;
    use shared::domain::outcome::Outcome;
    use std::collections::BTreeMap;
    use std::sync::mpsc;

    fn display(mode: Mode) -> Display {
        Display { mode, ink: Ink::default(), now: || Timestamp(0) }
    }

    fn fresh() -> Progress {
        Progress::new(Timestamp(0), BTreeMap::new())
    }

    #[test]
    fn watching_ends_with_the_run_or_with_its_sender() {
        for last in [Some(Notice::Finished), None] {
            let (sender, receiver) = mpsc::channel();
            sender.send(case("a", 1, Outcome::Passed, false)).unwrap();
            // Kept alive in the first round: only the notice ends it.
            let _kept = last.map(|notice| sender.clone().send(notice).map(|()| sender.clone()));
            drop(sender);
            let progress = display(Mode::Silent).watch(fresh(), &receiver, &StopFlag::default());
            assert_eq!(progress.counts().passed, 1);
        }
    }

    #[test]
    fn a_log_is_quiet_and_shows_life() {
        let mut schedule = LogSchedule::new(Timestamp(0));
        let mut due = Vec::new();
        // A result a second for 20 s, then silence.
        for second in 0..200 {
            if schedule.is_due(Timestamp(second * 1000), second.min(20)) {
                due.push(second);
            }
        }
        assert_eq!(due, [5, 10, 15, 20, 80, 140]);
    }

    #[test]
    fn a_flood_of_failures_is_cut() {
        let mut screen = Screen::new(display(Mode::Silent));
        let failure = || Happening::RunnerLost { shard: 1, reason: String::new() };
        let lines = screen.happening_lines((0..200).map(|_| failure()).collect(), Some(80));
        assert_eq!(lines.len(), HAPPENINGS_SHOWN + 1);
        assert!(lines.last().unwrap().text().contains("only counted"));
        assert!(screen.happening_lines(vec![failure()], Some(80)).is_empty());
    }
}
