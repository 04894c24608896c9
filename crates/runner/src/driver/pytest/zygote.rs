//! The warm Python process: its start, its answer, its orders and its end.
//!
//! One thread listens to it and turns what it says into notices for slots. A zygote that dies takes its slots
//! with it: without it nobody would learn how they end. It never outlives the driver: it ends when its control
//! socket closes.

use super::chatter::Chatter;
use super::notice::{Bell, Death, Notice};
use super::protocol::{BOOT, BrokenCode, Hello, MODULES, ZygoteMessage, ZygoteOrder};
use crate::config::hide_private;
use crate::driver::{DriverError, JobContext};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::unistd::Pid;
use shared::domain::verdict::CauseCode;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, IoSlice, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether slots are forked from the zygote or the zygote becomes the one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Fork,
    Become,
}

#[derive(Default)]
struct Roster {
    reaped: bool,
    /// Slots asked for and not answered yet, in the order of asking.
    asked: VecDeque<Bell>,
    slots: BTreeMap<i32, Bell>,
}

/// A running Python process with pytest configured in it.
pub(super) struct Zygote {
    pub(super) mode: Mode,
    pid: Pid,
    orders: Mutex<UnixStream>,
    roster: Mutex<Roster>,
    changed: Condvar,
    chatter: Arc<Chatter>,
    interpreter: PathBuf,
}

/// A process that has been started and not yet been greeted.
pub(super) struct Newborn {
    zygote: Arc<Zygote>,
    child: Child,
    control: UnixStream,
}

impl Zygote {
    /// Starts the first interpreter that exists.
    pub(super) fn spawn(
        ctx: &JobContext,
        interpreters: &[PathBuf],
        mode: Mode,
    ) -> Result<Newborn, DriverError> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for interpreter in interpreters {
            match Self::try_spawn(ctx, interpreter, mode) {
                Ok(newborn) => return Ok(newborn),
                Err(error) => last = error,
            }
        }
        let tried: Vec<String> = interpreters.iter().map(|path| format!("`{}`", path.display())).collect();
        Err(DriverError::broken(
            CauseCode::FrameworkMissing,
            format!(
                "no Python could be started (tried {}): install Python, or name one with `env.FLEETEST_PYTHON`",
                tried.join(", ")
            ),
            last.to_string(),
        ))
    }

    fn try_spawn(ctx: &JobContext, interpreter: &Path, mode: Mode) -> io::Result<Newborn> {
        let (ours, theirs) = UnixStream::pair()?;
        let (output, input) = io::pipe()?;
        let child = hide_private(&mut Command::new(interpreter))
            .args(["-c", BOOT])
            .envs(&ctx.env)
            .current_dir(&ctx.root)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(input.try_clone()?)
            .stderr(input)
            .process_group(0)
            .spawn()?;
        let zygote = Arc::new(Self {
            mode,
            pid: Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?),
            orders: Mutex::new(ours.try_clone()?),
            roster: Mutex::default(),
            changed: Condvar::new(),
            chatter: Chatter::listen(output, Arc::clone(&ctx.log)),
            interpreter: interpreter.to_path_buf(),
        });
        Ok(Newborn { zygote, child, control: ours })
    }

    /// Asks for a slot process that speaks through `fds`; `bell` tells what becomes of it.
    pub(super) fn ask(&self, slot: u32, generation: u32, fds: &[RawFd], bell: Bell) -> io::Result<()> {
        let order = match self.mode {
            Mode::Fork => ZygoteOrder::Fork { slot, generation },
            Mode::Become => ZygoteOrder::Become { slot, generation },
        };
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut roster = self.roster();
            if roster.reaped {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match self.mode {
                Mode::Fork => roster.asked.push_back(bell),
                Mode::Become => {
                    bell.ring(Notice::Forked(self.pid.as_raw()));
                    roster.slots.insert(self.pid.as_raw(), bell);
                }
            }
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let sent = sendmsg::<UnixAddr>(
            orders.as_raw_fd(),
            &[IoSlice::new(&line)],
            &rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        // A line this short goes whole or not at all.
        if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Kills it and everything in the process groups it and its slots lead.
    pub(super) fn kill(&self) {
        let roster = self.roster();
        for pid in roster.slots.keys() {
            kill_all(Pid::from_raw(*pid));
        }
        if !roster.reaped {
            kill_all(self.pid);
        }
    }

    /// Lets the project close its session, and kills what is left after `patience`.
    pub(super) fn end(&self, patience: Duration) {
        if let Ok(mut line) = serde_json::to_vec(&ZygoteOrder::End) {
            line.push(b'\n');
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            if orders.write_all(&line).is_err() {
                return self.kill();
            }
        }
        let until = Instant::now() + patience;
        let mut roster = self.roster();
        while !roster.reaped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(roster);
                return self.kill();
            }
            roster = self.changed.wait_timeout(roster, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it can still be asked.
    pub(super) fn is_alive(&self) -> bool {
        !self.roster().reaped
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until the process is gone.
    fn listen(&self, control: BufReader<UnixStream>, mut child: Child) {
        for line in control.lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(message) => self.hear(message),
                // The control socket is out of reach of tests; a broken line means a broken process.
                Err(_) => break,
            }
        }
        // Slots without a zygote are orphans: nobody would report their end.
        kill_all_of(&self.roster(), self.mode);
        let status = child.wait();
        let mut roster = self.roster();
        roster.reaped = true;
        let death = status.map(death_of).unwrap_or(Death::Code(-1));
        for bell in roster.asked.drain(..) {
            bell.ring(Notice::Lost);
        }
        for bell in std::mem::take(&mut roster.slots).into_values() {
            bell.ring(match self.mode {
                Mode::Fork => Notice::Lost,
                Mode::Become => Notice::Exit(death),
            });
        }
        self.changed.notify_all();
    }

    fn hear(&self, message: ZygoteMessage) {
        let mut roster = self.roster();
        match message {
            ZygoteMessage::Forked { pid } => {
                if let Some(bell) = roster.asked.pop_front() {
                    bell.ring(Notice::Forked(pid));
                    roster.slots.insert(pid, bell);
                }
            }
            ZygoteMessage::ForkFailed { message } => {
                if let Some(bell) = roster.asked.pop_front() {
                    bell.ring(Notice::NotForked(message));
                }
            }
            ZygoteMessage::Exit { pid, signalled, number } => {
                if let Some(bell) = roster.slots.remove(&pid) {
                    bell.ring(Notice::Exit(if signalled {
                        Death::Signal(number)
                    } else {
                        Death::Code(number)
                    }));
                }
            }
            // Said once, before anybody listens.
            ZygoteMessage::Ready { .. } | ZygoteMessage::Broken { .. } => {}
        }
    }
}

fn kill_all_of(roster: &Roster, mode: Mode) {
    if mode == Mode::Fork {
        for pid in roster.slots.keys() {
            kill_all(Pid::from_raw(*pid));
        }
    }
}

/// Kills a process and its group; a process that has left its group is still reached by its id.
pub(super) fn kill_all(pid: Pid) {
    // Both fail only if there is nothing left to kill.
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
}

fn death_of(status: ExitStatus) -> Death {
    status.signal().map_or_else(|| Death::Code(status.code().unwrap_or(-1)), Death::Signal)
}

/// What a zygote found.
pub(super) struct Found {
    pub(super) units: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) versions: String,
}

/// A process that ended before it was ready.
pub(super) struct Stillborn {
    pub(super) error: DriverError,
    /// Whether that may have come from outside.
    pub(super) was_killed: bool,
}

impl Newborn {
    /// The process, to be killed from elsewhere while it is greeted.
    pub(super) fn zygote(&self) -> Arc<Zygote> {
        Arc::clone(&self.zygote)
    }

    /// Sends the plugin and waits until pytest is configured and the units are listed.
    pub(super) fn greet(self, ctx: &JobContext, run_uid: &str) -> Result<Found, Stillborn> {
        let Self { zygote, mut child, control } = self;
        let suite = &ctx.job.suite;
        let hello = Hello {
            modules: &MODULES,
            args: suite.args.iter().chain(&suite.paths).map(String::as_str).collect(),
            scratch: &ctx.scratch.to_string_lossy(),
            slots: ctx.slots,
            run_uid,
            preload: ctx.env.get("FLEETEST_PYTEST_PRELOAD").is_none_or(|value| value != "0"),
        };
        let answer = converse(&control, &hello);
        match answer {
            Ok((ZygoteMessage::Ready { units, notes, pytest, python }, reader)) => {
                let listener = Arc::clone(&zygote);
                std::thread::spawn(move || listener.listen(reader, child));
                Ok(Found { units, notes, versions: format!("pytest {pytest} on Python {python}") })
            }
            other => {
                // Whatever else it said, it has nothing more to do.
                drop(control);
                let status = child.wait();
                zygote.roster().reaped = true;
                let printed = zygote.chatter.conclude(Duration::from_secs(2));
                let was_killed = status.as_ref().is_ok_and(|status| death_of(*status).is_kill());
                let ended = status.map_or_else(|e| e.to_string(), |s| death_of(s).clause());
                let message = other.ok().map(|(message, _)| message);
                Err(Stillborn { error: broken(&zygote.interpreter, message, &printed, &ended), was_killed })
            }
        }
    }
}

fn converse(control: &UnixStream, hello: &Hello<'_>) -> io::Result<(ZygoteMessage, BufReader<UnixStream>)> {
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    let mut writer = control;
    writer.write_all(&line)?;
    let mut reader = BufReader::new(control.try_clone()?);
    let mut answer = String::new();
    reader.read_line(&mut answer)?;
    Ok((serde_json::from_str(&answer)?, reader))
}

fn broken(interpreter: &Path, message: Option<ZygoteMessage>, printed: &str, ended: &str) -> DriverError {
    let python = interpreter.display();
    let Some(ZygoteMessage::Broken { code, message, detail }) = message else {
        let text = format!("Python (`{python}`) {ended} before pytest was ready: {}", headline(printed));
        return DriverError::broken(CauseCode::SetupFailed, text, printed);
    };
    match code {
        BrokenCode::FrameworkMissing => DriverError::broken(
            CauseCode::FrameworkMissing,
            format!("pytest is not installed for `{detail}`: run `{detail} -m pip install pytest`"),
            printed,
        ),
        BrokenCode::FrameworkOld => DriverError::broken(
            CauseCode::FrameworkMissing,
            format!(
                "pytest {message} of `{detail}` is too old, 7 is the oldest supported: \
                 run `{detail} -m pip install --upgrade pytest`"
            ),
            printed,
        ),
        BrokenCode::Discovery => {
            let text = format!("pytest could not collect: {}", headline(&detail));
            DriverError::broken(CauseCode::DiscoveryFailed, text, detail)
        }
        BrokenCode::Setup => {
            let whole = [printed, detail.as_str()].join("\n");
            let line =
                headline(if printed.contains("ERROR") || detail.is_empty() { printed } else { &detail });
            let text = format!("pytest could not start: {line}");
            DriverError::broken(CauseCode::SetupFailed, text, whole.trim())
        }
    }
}

/// The line of an output that says most: the last marked as an error, else the last.
fn headline(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked =
        |line: &&str| line.contains("error:") || line.starts_with("ERROR") || line.starts_with("E  ");
    let line = lines().rfind(marked).or_else(|| lines().next_back()).unwrap_or("it printed nothing");
    line.strip_prefix("E  ").or_else(|| line.strip_prefix("ERROR:")).unwrap_or(line).trim().to_owned()
}
