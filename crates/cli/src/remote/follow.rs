//! `logs`: one log as it is, or the list of those that match.
//!
//! A log that is followed goes on where it stopped when the connection breaks; what was written once is never written
//! again.

use super::args::LogsArgs;
use super::client::route::Route;
use super::{Session, typed, view};
use crate::exit::{Exit, Problem};
use anstream::adapter::StripStr;
use http_api::api::wire::{LogShown, LogText, Page};
use std::time::{Duration, Instant};

/// How long a server may be away while its log is followed.
const AWAY_LIMIT: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(500);
const PART_BYTES: usize = 1024 * 1024;
/// Most logs of a list.
const LOGS: usize = 10_000;

impl Session<'_, '_> {
    pub(super) fn logs(&mut self, args: &LogsArgs) -> Result<Exit, Problem> {
        let document = self.gather(&Route::new(&["v1", "runs", &args.run, "logs"]), LOGS)?;
        if args.shown.json {
            self.console.document(&document);
            return Ok(Exit::Passed);
        }
        let mut logs = typed::<Page<LogShown>>(&document)?.items;
        if logs.is_empty() && args.name.is_none() {
            self.console.note(&format!("`{}` has no log; what a test prints is at its case", args.run));
            return Ok(Exit::Passed);
        }
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
        let (job, shard) = (log.job.to_string(), log.shard.to_string());
        let route = Route::new(&["v1", "runs", run, "jobs", &job, "shards", &shard, "logs", &log.name])
            .with("limit", Some(PART_BYTES))
            .with("follow", follow.then_some(true));
        let mut strip = StripStr::new();
        let mut offset = 0_u64;
        let mut seen_at = Instant::now();
        loop {
            let part: LogText = match self.client.try_get(&route.clone().with("offset", Some(offset)), None) {
                Ok(reply) => reply.read()?,
                Err(error) if follow && error.is_passing() && seen_at.elapsed() < AWAY_LIMIT => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            seen_at = Instant::now();
            let is_read = self.write_log(&part.text, &mut strip);
            let is_still = part.text.is_empty();
            offset = part.next_offset;
            // Whoever reads may have seen enough.
            if !is_read || part.last || (!follow && (is_still || offset >= part.length)) {
                self.tell_end(&part);
                return Ok(Exit::Passed);
            }
        }
    }

    /// A log that ends before its end says so.
    fn tell_end(&mut self, part: &LogText) {
        if let Some(end) = part.end.as_deref().filter(|end| *end != "complete") {
            self.console.note(&format!("the log is {end}"));
        }
    }

    /// Answers whether somebody still reads. On a terminal escapes are left out: what a test printed must not steer it.
    fn write_log(&mut self, text: &str, strip: &mut StripStr) -> bool {
        if self.console.width.is_none() {
            return self.console.bytes(text.as_bytes());
        }
        strip.strip_next(text).all(|plain| self.console.bytes(plain.as_bytes()))
    }
}

fn matches(log: &LogShown, args: &LogsArgs) -> bool {
    args.job.is_none_or(|job| job == log.job)
        && args.shard.is_none_or(|shard| shard == log.shard)
        && args.name.as_ref().is_none_or(|name| *name == log.name || *name == log.stream)
}

#[cfg(test)]
mod tests;
