//! Reads a child's pipes until it has ended, and ends it when its time is over or it is stopped.
//!
//! One thread, the caller's: it sleeps in `poll` and looks at the clock now and then. The end of a child is
//! normally seen by its pipes closing; looking for it costs a system call, so that is done at intervals.

use super::child::Tethered;
use super::{Captured, Channel, DRAIN, Ending, Finished, GRACE, Invocation};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How often the clock, the stopper and the child are looked at while output flows or nothing happens.
const SLICE: Duration = Duration::from_millis(40);
/// First and longest pause between looks at a child that has closed its outputs.
const BACKOFF: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));

/// Why a child was lost.
pub(super) enum Lost {
    Stopped,
    Os(io::Error),
}

impl From<io::Error> for Lost {
    fn from(source: io::Error) -> Self {
        Self::Os(source)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Terminated { kill_at: Instant },
    Killed,
}

/// A child with its pipes.
pub(super) struct Pump<'a> {
    invocation: &'a Invocation,
    child: Tethered,
    pipes: Vec<(Channel, PipeReader)>,
    started: Instant,
    ended: Option<Instant>,
    phase: Phase,
    timed_out: bool,
    stopped: bool,
    stdout: Captured,
    stderr: Captured,
    buffer: Vec<u8>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        invocation: &'a Invocation,
        child: Tethered,
        pipes: Vec<(Channel, PipeReader)>,
    ) -> Self {
        Self {
            invocation,
            child,
            pipes,
            started: Instant::now(),
            ended: None,
            phase: Phase::Running,
            timed_out: false,
            stopped: false,
            stdout: Captured::new(invocation.limit),
            stderr: Captured::new(invocation.limit),
            buffer: vec![0; 16 * 1024],
        }
    }

    pub(super) fn run(mut self, watch: &mut dyn FnMut(Channel, &[u8])) -> Result<Finished, Lost> {
        let mut backoff = BACKOFF.0;
        let mut looked = self.started;
        loop {
            if self.pipes.is_empty() {
                if self.look()? {
                    break;
                }
                std::thread::sleep(backoff);
                backoff = (backoff * 2).min(BACKOFF.1);
                continue;
            }
            let idle = !self.read_some(watch)?;
            if self.pipes.is_empty() || !(idle || looked.elapsed() >= SLICE) {
                continue;
            }
            looked = Instant::now();
            if self.look()? && self.ended.is_some_and(|ended| ended.elapsed() >= DRAIN) {
                break;
            }
        }
        self.finish()
    }

    /// Waits for output for one slice; whether there was any.
    fn read_some(&mut self, watch: &mut dyn FnMut(Channel, &[u8])) -> io::Result<bool> {
        let ready = self.wait_readable()?;
        let mut closed = Vec::new();
        for (index, (channel, pipe)) in self.pipes.iter_mut().enumerate() {
            if !ready.contains(&index) {
                continue;
            }
            let count = match pipe.read(&mut self.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = self.buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                closed.push(index);
                continue;
            }
            watch(*channel, bytes);
            match channel {
                Channel::Stdout => self.stdout.push(bytes),
                Channel::Stderr => self.stderr.push(bytes),
            }
        }
        for index in closed.into_iter().rev() {
            self.pipes.remove(index);
        }
        Ok(!ready.is_empty())
    }

    fn wait_readable(&self) -> io::Result<Vec<usize>> {
        let mut fds: Vec<PollFd<'_>> =
            self.pipes.iter().map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(SLICE).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds.iter().enumerate().filter(|(_, fd)| fd.any() == Some(true)).map(|(index, _)| index).collect())
    }

    /// Looks at the child and the clock; whether the child has ended.
    fn look(&mut self) -> io::Result<bool> {
        if self.ended.is_none() && self.child.has_ended()? {
            self.ended = Some(Instant::now());
        }
        if self.ended.is_some() {
            return Ok(true);
        }
        match self.phase {
            Phase::Running => {
                let late = self.invocation.time_limit.is_some_and(|limit| self.started.elapsed() >= limit);
                if late || self.child.is_stopped() {
                    self.stopped = self.child.is_stopped();
                    self.timed_out = late && !self.stopped;
                    self.child.signal(Signal::SIGTERM);
                    self.phase = Phase::Terminated { kill_at: Instant::now() + GRACE };
                }
            }
            Phase::Terminated { kill_at } if Instant::now() >= kill_at => {
                self.child.signal(Signal::SIGKILL);
                self.phase = Phase::Killed;
            }
            Phase::Terminated { .. } | Phase::Killed => {}
        }
        Ok(false)
    }

    fn finish(self) -> Result<Finished, Lost> {
        let ended = self.ended.unwrap_or_else(Instant::now);
        let leaky = !self.pipes.is_empty();
        let stopped = self.stopped || self.child.is_stopped();
        let status = if self.invocation.linger && !stopped && !self.timed_out {
            discard_rest(self.pipes);
            self.child.linger()?
        } else {
            self.child.finish()?
        };
        if stopped {
            return Err(Lost::Stopped);
        }
        Ok(Finished {
            ending: Ending::of(status),
            timed_out: self.timed_out,
            leaky,
            duration: ended.duration_since(self.started),
            stdout: self.stdout,
            stderr: self.stderr,
        })
    }
}

/// Goes on reading for a lingering service, which would die of a closed pipe.
fn discard_rest(pipes: Vec<(Channel, PipeReader)>) {
    for (_, mut pipe) in pipes {
        std::thread::spawn(move || io::copy(&mut pipe, &mut io::sink()));
    }
}
