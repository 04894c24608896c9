//! One git command as a child in a process group of its own: its output up to a bound, killed at its time limit.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// So much of what it complains about is kept.
const COMPLAINT_LIMIT_BYTES: u64 = 16 * 1024;

/// How the command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Standard output, cut at the bound.
    pub(super) stdout: Vec<u8>,
    /// The beginning of standard error.
    pub(super) stderr: String,
    /// Whether the time limit ended it.
    pub(super) timed_out: bool,
}

/// Runs a command to its end; of its output at most `limit_bytes` are kept.
pub(super) fn run(mut command: Command, limit: Duration, limit_bytes: u64) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let stdout = reader(child.stdout.take(), limit_bytes);
    let stderr = reader(child.stderr.take(), COMPLAINT_LIMIT_BYTES);
    let (status, timed_out) = end_of(child, group, limit)?;
    let text = |reader: JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    let (stdout, stderr) = (text(stdout), text(stderr));
    Ok(Ended { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), timed_out })
}

/// Reads to the end, so that the writer never blocks, and keeps the beginning.
fn reader(stream: Option<impl Read + Send + 'static>, limit_bytes: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            // A broken pipe is seen by the command's end.
            drop(stream.by_ref().take(limit_bytes).read_to_end(&mut kept));
            drop(io::copy(&mut stream, &mut io::sink()));
        }
        kept
    })
}

fn end_of(mut child: Child, group: Pid, limit: Duration) -> io::Result<(ExitStatus, bool)> {
    let (sender, receiver) = channel();
    let waiting = std::thread::spawn(move || {
        let status = child.wait();
        // Nobody listens any more once the limit was reached.
        sender.send(()).ok();
        status
    });
    let timed_out = receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
    if timed_out {
        // The command may have ended this instant; its group is then empty or gone.
        killpg(group, Signal::SIGKILL).ok();
    }
    let status =
        waiting.join().unwrap_or_else(|_| Err(io::Error::other("the thread that waited for git ended")))?;
    Ok((status, timed_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_cut_and_the_limit_kills_the_whole_group() {
        let ended = run(sh("seq 100000; echo why >&2; exit 3"), Duration::from_secs(60), 4).unwrap();
        assert_eq!((ended.stdout.as_slice(), ended.stderr.as_str()), (&b"1\n2\n"[..], "why\n"));
        assert_eq!((ended.status.code(), ended.timed_out), (Some(3), false));
        let begin = Instant::now();
        let ended = run(sh("sleep 30 | sleep 30"), Duration::from_millis(50), 4).unwrap();
        assert!(ended.timed_out && begin.elapsed() < Duration::from_secs(20));
    }
}
