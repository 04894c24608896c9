//! How the thread that listens to the zygote tells a slot's thread something, while that thread waits on sockets.
//!
//! A notice goes through a channel; one byte on a socket wakes the poll. Notices of one bell arrive in order.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

/// How a slot process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// By a signal.
    Signal(i32),
    /// With an exit code.
    Code(i32),
}

impl Death {
    /// Whether it may have come from outside: by an operator, or for want of memory.
    pub(super) fn is_kill(self) -> bool {
        self == Self::Signal(Signal::SIGKILL as i32)
    }

    /// Machine code: `signal:SIGSEGV`, `exit:3`.
    pub(super) fn kind(self) -> String {
        match self {
            Self::Signal(number) => format!("signal:{}", signal_name(number)),
            Self::Code(code) => format!("exit:{code}"),
        }
    }

    /// The same as a clause.
    pub(super) fn clause(self) -> String {
        match self {
            Self::Signal(number) => format!("was killed by {}", signal_name(number)),
            Self::Code(code) => format!("ended with exit code {code}"),
        }
    }
}

fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned())
}

/// What a slot's thread is told.
#[derive(Debug)]
pub(super) enum Notice {
    /// The slot process exists.
    Forked(i32),
    /// It could not be made.
    NotForked(String),
    /// It ended.
    Exit(Death),
    /// The zygote is gone, and with it all knowledge of the slot process.
    Lost,
}

/// The ringing end.
#[derive(Debug)]
pub(super) struct Bell {
    notices: mpsc::Sender<Notice>,
    wake: UnixStream,
}

/// The listening end.
#[derive(Debug)]
pub(super) struct Ear {
    notices: mpsc::Receiver<Notice>,
    wake: UnixStream,
}

/// A bell and its ear.
pub(super) fn bell() -> io::Result<(Bell, Ear)> {
    let (near, far) = UnixStream::pair()?;
    let (sender, receiver) = mpsc::channel();
    Ok((Bell { notices: sender, wake: near }, Ear { notices: receiver, wake: far }))
}

impl Bell {
    /// Delivers a notice; nothing happens if nobody listens any more.
    pub(super) fn ring(&self, notice: Notice) {
        let heard = self.notices.send(notice).and_then(|()| {
            // A failed wake means that the ear is gone.
            (&self.wake).write_all(&[1]).or(Ok(()))
        });
        drop(heard);
    }
}

impl Ear {
    /// The next notice that has been rung, if there is one; never waits.
    pub(super) fn hear(&self) -> Option<Notice> {
        let mut bytes = [0u8; 64];
        while let Ok(1..) | Err(Errno::EINTR) =
            recv(self.wake.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT)
        {}
        self.notices.try_recv().ok()
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_arrive_in_order_and_deaths_have_names() {
        let (bell, ear) = bell().unwrap();
        assert!(ear.hear().is_none());
        bell.ring(Notice::Forked(7));
        bell.ring(Notice::Exit(Death::Signal(11)));
        assert!(matches!(ear.hear(), Some(Notice::Forked(7))));
        assert!(matches!(ear.hear(), Some(Notice::Exit(Death::Signal(11)))));
        assert!(ear.hear().is_none());
        assert_eq!(Death::Signal(11).kind(), "signal:SIGSEGV");
        assert_eq!(Death::Code(3).kind(), "exit:3");
    }
}
