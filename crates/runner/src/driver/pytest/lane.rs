//! The driver's end of one slot process: three sockets and an ear, turned into a sequence of events.
//!
//! Results are left in their socket for a few milliseconds at a time while cases run, so that a suite of tiny
//! tests does not wake this thread for each of them; the socket keeps them if the process dies. Everything that
//! somebody waits for (a step's answer, an end) is delivered at once, and always after the results before it.

use super::chatter::Tail;
use super::notice::{Death, Ear, Notice, bell};
use super::protocol::{ResultLine, SlotMessage, SlotOrder};
use super::zygote::{Zygote, kill_all};
use crate::driver::LogSink;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long results may wait in their socket while cases run.
const REST: Duration = Duration::from_millis(20);
/// How long a process may take to exist, or to end once it was killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens to a slot process.
#[derive(Debug)]
pub(super) enum Event {
    /// An answer to an order.
    Message(SlotMessage),
    /// A line of results.
    Line(Box<ResultLine>),
    /// The process ended.
    Gone(Death),
    /// The zygote ended; the process was killed with it.
    Lost,
    /// Nothing happened in time.
    Overdue,
    /// It said something that makes no sense.
    Garbled(String),
}

/// One socket's bytes on their way to becoming lines.
struct Feed {
    socket: UnixStream,
    rest: Vec<u8>,
    open: bool,
}

impl Feed {
    fn new(socket: UnixStream) -> Self {
        Self { socket, rest: Vec::new(), open: true }
    }

    /// Takes all bytes that are there; never waits.
    fn fill(&mut self) {
        let mut bytes = vec![0u8; 64 * 1024];
        while self.open {
            match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.open = false,
                Ok(count) => self.rest.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.open = false,
            }
        }
    }

    /// The whole lines among them.
    fn lines(&mut self) -> Vec<Vec<u8>> {
        let Some(last) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.rest.drain(..=last).collect();
        whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    }
}

/// A living slot process.
pub(super) struct Lane {
    zygote: Arc<Zygote>,
    pid: Pid,
    commands: Feed,
    results: Feed,
    stdio: Feed,
    ear: Ear,
    events: VecDeque<Event>,
    rested: Instant,
    tail: Tail,
    over: bool,
}

impl Lane {
    /// Has the zygote make a process for slot `slot`.
    pub(super) fn open(zygote: Arc<Zygote>, slot: u32, generation: u32, log: LogSink) -> io::Result<Self> {
        let (commands, their_commands) = UnixStream::pair()?;
        let (results, their_results) = UnixStream::pair()?;
        let (stdio, their_stdio) = UnixStream::pair()?;
        let (bell, ear) = bell()?;
        let fds = [their_commands.as_raw_fd(), their_results.as_raw_fd(), their_stdio.as_raw_fd()];
        zygote.ask(slot, generation, &fds, bell)?;
        drop((their_commands, their_results, their_stdio));
        let pid = await_birth(&ear)?;
        Ok(Self {
            zygote,
            pid: Pid::from_raw(pid),
            commands: Feed::new(commands),
            results: Feed::new(results),
            stdio: Feed::new(stdio),
            ear,
            events: VecDeque::new(),
            rested: Instant::now(),
            tail: Tail::new(log, "output"),
            over: false,
        })
    }

    /// Gives an order. A process that cannot take it is ending, which an event will say.
    pub(super) fn order(&mut self, order: &SlotOrder<'_>) {
        if let Ok(mut line) = serde_json::to_vec(order) {
            line.push(b'\n');
            if self.commands.socket.write_all(&line).is_err() {
                self.commands.open = false;
            }
        }
    }

    /// Waits for the next event until `deadline`; with `eager`, results are not left to gather.
    pub(super) fn next(&mut self, deadline: Instant, eager: bool) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let now = Instant::now();
            let resting = !eager && now < self.rested;
            if now >= deadline {
                return Event::Overdue;
            }
            let until = if resting { self.rested.min(deadline) } else { deadline };
            self.wait(until.saturating_duration_since(now), resting);
        }
    }

    /// Output outside of captures since the last call.
    pub(super) fn take_output(&mut self) -> String {
        self.stdio.fill();
        self.tail.push_all(&mut self.stdio.rest);
        self.tail.take()
    }

    /// Kills the process and waits for its end; results that it wrote before are still delivered.
    pub(super) fn kill(&mut self) -> Vec<ResultLine> {
        let until = Instant::now() + PATIENCE;
        if !self.over {
            kill_all(self.pid);
        }
        let mut lines = Vec::new();
        while !self.over {
            match self.next(until, true) {
                Event::Line(line) => lines.push(*line),
                Event::Gone(_) | Event::Lost | Event::Overdue => break,
                Event::Message(_) | Event::Garbled(_) => {}
            }
        }
        self.over = true;
        lines
    }

    /// Lets session fixtures end, then the process; what it has to say about that is returned.
    pub(super) fn close(&mut self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        let mut notes = Vec::new();
        self.order(&SlotOrder::End);
        while !self.over {
            match self.next(until, true) {
                Event::Message(SlotMessage::Note { text }) => notes.push(text),
                Event::Gone(_) | Event::Lost => break,
                Event::Overdue => {
                    notes.push(format!("session fixtures took more than {} s to end", patience.as_secs()));
                    self.kill();
                    break;
                }
                Event::Message(_) | Event::Line(_) | Event::Garbled(_) => {}
            }
        }
        notes
    }

    fn wait(&mut self, timeout: Duration, resting: bool) {
        let mut fds = vec![PollFd::new(self.ear.as_fd(), PollFlags::POLLIN)];
        for feed in [&self.commands, &self.stdio] {
            if feed.open {
                fds.push(PollFd::new(feed.socket.as_fd(), PollFlags::POLLIN));
            }
        }
        if self.results.open && !resting {
            fds.push(PollFd::new(self.results.socket.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up: a wait that ends early would come back for the rest of the millisecond many times.
        let ms = timeout.as_millis().saturating_add(1).min(60_000);
        let limit = PollTimeout::try_from(u32::try_from(ms).unwrap_or(60_000)).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, limit);
        self.gather(resting);
    }

    fn gather(&mut self, resting: bool) {
        // Notices before sockets: what a process wrote before its end is then in the sockets already.
        let notices: Vec<Notice> = std::iter::from_fn(|| self.ear.hear()).collect();
        self.stdio.fill();
        self.tail.push_all(&mut self.stdio.rest);
        self.commands.fill();
        let answers = self.commands.lines();
        if !resting || !answers.is_empty() || !notices.is_empty() {
            self.results.fill();
            let lines = self.results.lines();
            if !lines.is_empty() {
                self.rested = Instant::now() + REST;
            }
            self.events.extend(lines.iter().map(|line| parsed(line, |l| Event::Line(Box::new(l)))));
        }
        self.events.extend(answers.iter().map(|line| parsed(line, Event::Message)));
        for notice in notices {
            match notice {
                Notice::Exit(death) => self.events.push_back(Event::Gone(death)),
                Notice::Lost => self.events.push_back(Event::Lost),
                Notice::Forked(_) | Notice::NotForked(_) => continue,
            }
            self.over = true;
        }
    }

    /// The zygote that the process came from.
    pub(super) fn zygote(&self) -> &Zygote {
        &self.zygote
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.over {
            kill_all(self.pid);
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(line: &[u8], wrap: impl Fn(T) -> Event) -> Event {
    serde_json::from_slice(line).map_or_else(|error| Event::Garbled(error.to_string()), wrap)
}

fn await_birth(ear: &Ear) -> io::Result<i32> {
    let until = Instant::now() + PATIENCE;
    loop {
        // The first notice of a bell says whether there is a process at all.
        if let Some(notice) = ear.hear() {
            return match notice {
                Notice::Forked(pid) => Ok(pid),
                Notice::NotForked(message) => Err(io::Error::other(message)),
                Notice::Lost | Notice::Exit(_) => Err(io::ErrorKind::BrokenPipe.into()),
            };
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut fds = [PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
        let ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
        let _ = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    }
}
