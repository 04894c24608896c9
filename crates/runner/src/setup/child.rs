//! One tool as a child in a process group of its own: output as it comes, a time limit, killed on a stop.
//!
//! For git and for set-up commands; tests are run elsewhere. The child's own end counts, not that of its pipe:
//! a command may leave a service behind that keeps the pipe open for ever.

use crate::session::control::Control;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long output is awaited after the child has ended.
const PIPE_GRACE: Duration = Duration::from_millis(250);
/// Of the output, so much of the end is kept.
const TAIL_BYTES: usize = 16 * 1024;

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The end of what it printed on both streams.
    pub tail: String,
    /// Whether the time limit ended it.
    pub timed_out: bool,
}

/// Runs `command` to its end. `on_output` gets the text as it comes.
///
/// # Errors
/// If the program cannot be started.
pub fn run(
    mut command: Command,
    limit: Duration,
    control: &Control,
    on_output: &mut dyn FnMut(&str),
) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn()?;
    // The command holds the parent's copies of the pipe's writing end.
    drop(command);
    let group = Arc::new(Group { pid: Pid::from_raw(child.id().cast_signed()), alive: Mutex::new(true) });
    let killer = Arc::clone(&group);
    let ticket = control.attach(Arc::new(move || killer.kill()));
    let (sender, receiver) = channel();
    let end_sender = sender.clone();
    std::thread::spawn(move || read_all(reader, &sender));
    let waiting = Arc::clone(&group);
    std::thread::spawn(move || {
        let status = child.wait();
        // The id may belong to others from here on.
        waiting.ended();
        end_sender.send(News::Ended(status)).ok();
    });
    let ended = collect(&receiver, &group, Instant::now() + limit, on_output);
    control.detach(ticket);
    ended
}

enum News {
    Text(Vec<u8>),
    Ended(io::Result<ExitStatus>),
}

struct Group {
    pid: Pid,
    alive: Mutex<bool>,
}

impl Group {
    fn kill(&self) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive {
            // It fails only if the group is gone, which is what was wanted.
            killpg(self.pid, Signal::SIGKILL).ok();
        }
    }

    fn ended(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

fn read_all(mut reader: impl Read, sender: &Sender<News>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        let text = buffer.get(..count).unwrap_or_default().to_vec();
        if sender.send(News::Text(text)).is_err() {
            return;
        }
    }
}

fn collect(
    receiver: &Receiver<News>,
    group: &Group,
    deadline: Instant,
    on_output: &mut dyn FnMut(&str),
) -> io::Result<Ended> {
    let (mut deadline, mut status, mut timed_out) = (Some(deadline), None, false);
    let (mut tail, mut partial) = (String::new(), Vec::new());
    let mut take = |bytes: Vec<u8>| {
        partial.extend(bytes);
        let text = complete_text(&mut partial);
        on_output(&text);
        tail.push_str(&text);
        if tail.len() > 2 * TAIL_BYTES {
            tail.drain(..tail.ceil_char_boundary(tail.len() - TAIL_BYTES));
        }
    };
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let news = match left {
            Some(left) => receiver.recv_timeout(left),
            None => receiver.recv().map_err(RecvTimeoutError::from),
        };
        match news {
            Ok(News::Text(bytes)) => take(bytes),
            Ok(News::Ended(ended)) => {
                status = Some(ended?);
                deadline = Some(Instant::now() + PIPE_GRACE);
            }
            Err(RecvTimeoutError::Timeout) if status.is_none() => {
                timed_out = true;
                deadline = None;
                group.kill();
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = status.ok_or_else(|| io::Error::other("the child's end was not seen"))?;
    Ok(Ended { status, tail, timed_out })
}

/// The part of the bytes that is whole characters; a character cut by the pipe waits for its rest.
fn complete_text(bytes: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    };
    let rest = bytes.split_off(whole);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::control::Stop;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_and_the_status_come_back() {
        let mut seen = String::new();
        let ended =
            run(sh("echo out; echo err >&2; exit 3"), LONG, &Control::default(), &mut |t| seen.push_str(t));
        let ended = ended.unwrap();
        assert_eq!(
            (ended.status.code(), ended.tail.as_str(), ended.timed_out),
            (Some(3), "out\nerr\n", false)
        );
        assert_eq!(seen, ended.tail);
    }

    #[test]
    fn a_service_left_behind_does_not_hold_up_the_rest() {
        let begin = Instant::now();
        let ended = run(sh("sleep 30 & echo $!"), LONG, &Control::default(), &mut |_| {}).unwrap();
        assert!(ended.status.success() && begin.elapsed() < Duration::from_secs(20));
        let service = Pid::from_raw(ended.tail.trim().parse().unwrap());
        nix::sys::signal::kill(service, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn the_limit_kills_the_whole_group() {
        let begin = Instant::now();
        let limit = Duration::from_millis(50);
        let ended = run(sh("sleep 30 | sleep 30"), limit, &Control::default(), &mut |_| {}).unwrap();
        assert!(ended.timed_out && !ended.status.success() && begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_stop_kills_it() {
        let control = Control::default();
        let begin = Instant::now();
        let ended =
            run(sh("echo ready; sleep 30"), LONG, &control, &mut |_| control.request(Stop::Cancelled));
        assert!(!ended.unwrap().status.success() && begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_character_cut_in_two_is_put_together() {
        let mut bytes = vec![b'a', 0xc3];
        assert_eq!(complete_text(&mut bytes), "a");
        bytes.push(0xa9);
        assert_eq!(complete_text(&mut bytes), "é");
        bytes.extend([0xff, b'b']);
        assert_eq!(complete_text(&mut bytes), "\u{fffd}b");
    }
}
