//! `logs`: one log as it is, or the list of those that match.
//!
//! A log that is followed goes on where it stopped when the connection breaks; what was written once is never written
//! again.

use super::args::LogsArgs;
use super::client::refusal::ClientError;
use super::client::route::Route;
use super::wire::{Listed, LogShown};
use super::{Session, typed, view};
use crate::exit::{Exit, Problem};
use std::io::Read as _;
use std::time::{Duration, Instant};

/// How long a server may be away while its log is followed.
const AWAY_LIMIT: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(500);
const PIECE_BYTES: usize = 32 * 1024;
/// Most logs of a list.
const LOGS: usize = 10_000;

impl Session<'_, '_> {
    pub(super) fn logs(&mut self, args: &LogsArgs) -> Result<Exit, Problem> {
        let document = self.gather(&Route::new(&["v1", "runs", &args.run, "logs"]), LOGS)?;
        if args.shown.json {
            self.console.document(&document);
            return Ok(Exit::Passed);
        }
        let mut logs = typed::<Listed<LogShown>>(&document)?.items;
        logs.retain(|log| matches(log, args));
        match logs.as_slice() {
            [] => Err(Problem::usage(format!("no log of `{}` matches", args.run))
                .hint("`fleetest logs RUN` without further arguments lists all there are")),
            [one] => self.pour(&args.run, one, args.follow),
            several if args.follow => {
                Err(Problem::usage(format!("{} logs match, and one can be followed", several.len()))
                    .hint("choose one with `--job`, `--shard` and `--name`"))
            }
            several => {
                self.console.answer(&view::list::logs(several, self.console.width));
                self.console.note("choose one with `--job`, `--shard` and `--name` to see it");
                Ok(Exit::Passed)
            }
        }
    }

    /// Writes a log to stdout, and what is added to it.
    fn pour(&mut self, run: &str, log: &LogShown, follow: bool) -> Result<Exit, Problem> {
        let mut offset = 0_u64;
        let mut seen_at = Instant::now();
        loop {
            let before = offset;
            match self.pour_from(run, log, follow, &mut offset) {
                Ok(()) => return Ok(Exit::Passed),
                Err(error) if error.is_passing() && seen_at.elapsed() < AWAY_LIMIT => {
                    if offset > before {
                        seen_at = Instant::now();
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn pour_from(
        &mut self,
        run: &str,
        log: &LogShown,
        follow: bool,
        offset: &mut u64,
    ) -> Result<(), ClientError> {
        let (job, shard) = (log.job.to_string(), log.shard.to_string());
        let route = Route::new(&["v1", "runs", run, "jobs", &job, "shards", &shard, "logs", &log.name])
            .with("offset", Some(*offset))
            .with("follow", follow.then_some(true));
        let (_, mut body) = self.client.stream(&route)?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut strip = anstream::adapter::StripBytes::new();
        loop {
            let read = body.read(&mut piece).map_err(|error| ClientError::Away {
                base: self.client.base().to_owned(),
                source: error.into(),
            })?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            *offset += u64::try_from(read).unwrap_or(0);
            if !self.write_log(bytes, &mut strip) {
                // Whoever reads has seen enough.
                return Ok(());
            }
        }
    }

    /// On a terminal escapes are left out: what a test printed must not steer it.
    fn write_log(&mut self, bytes: &[u8], strip: &mut anstream::adapter::StripBytes) -> bool {
        if self.console.width.is_none() {
            return self.console.bytes(bytes);
        }
        strip.strip_next(bytes).all(|plain| self.console.bytes(plain))
    }
}

fn matches(log: &LogShown, args: &LogsArgs) -> bool {
    args.job.is_none_or(|job| job == log.job)
        && args.shard.is_none_or(|shard| shard == log.shard)
        && args.name.as_ref().is_none_or(|name| *name == log.name)
}
