//! How long a client may take: over a request's head, its body, an answer, and between requests.
//!
//! One [`Pace`] per connection is told what happens by the wrapped socket, request body and answer. It only keeps
//! times; the connection's own task asks it now and then whether the client is late.

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// The patience that clients are met with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// For a body before its size counts…
    pub(crate) body: Duration,
    /// …and then a second for this many bytes.
    pub(crate) body_bytes_per_s: u32,
    /// For a client that takes nothing of its answer.
    pub(crate) stall: Duration,
    /// Without any request.
    pub(crate) idle: Duration,
    /// Connections at a time.
    pub(crate) connections: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            body_bytes_per_s: 16 * 1024,
            stall: Duration::from_secs(60),
            idle: Duration::from_secs(180),
            connections: 1024,
        }
    }
}

/// What a client was too slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The head of a request: it can still be told.
    Head,
    /// The next request, or taking an answer: there is nothing to say.
    Silent,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle(Instant),
    Head(Instant),
    Busy,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    stuck: Option<Instant>,
    body_late: bool,
}

/// The times of one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    patience: Patience,
    state: Mutex<State>,
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Arc<Self> {
        let state = State { phase: Phase::Idle(Instant::now()), stuck: None, body_late: false };
        Arc::new(Self { patience, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self) {
        let mut state = self.state();
        if let Phase::Idle(_) = state.phase {
            state.phase = Phase::Head(Instant::now());
        }
    }

    fn written(&self, stuck: bool) {
        let mut state = self.state();
        state.stuck = stuck.then(|| state.stuck.unwrap_or_else(Instant::now));
    }

    /// The head is whole, a handler has the request.
    pub(crate) fn begin(&self) {
        self.state().phase = Phase::Busy;
    }

    fn end(&self) {
        self.state().phase = Phase::Idle(Instant::now());
    }

    /// Whether the body of the request came too slowly; asking forgets it.
    pub(crate) fn take_body_late(&self) -> bool {
        std::mem::take(&mut self.state().body_late)
    }

    /// Whether the client is late now.
    pub(crate) fn late(&self) -> Option<Late> {
        let state = self.state();
        let patience = &self.patience;
        let stuck = state.stuck.is_some_and(|since| since.elapsed() > patience.stall);
        match state.phase {
            _ if stuck => Some(Late::Silent),
            Phase::Head(since) if since.elapsed() > patience.head => Some(Late::Head),
            Phase::Idle(since) if since.elapsed() > patience.idle => Some(Late::Silent),
            Phase::Head(_) | Phase::Idle(_) | Phase::Busy => None,
        }
    }

    /// How often it is worth asking.
    pub(crate) fn interval(&self) -> Duration {
        (self.patience.head / 4).clamp(Duration::from_millis(5), Duration::from_secs(2))
    }
}

/// The socket of a connection.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) stream: TcpStream,
    pub(crate) pace: Arc<Pace>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pace.arrived();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.pace.written(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.pace.written(written.is_pending());
        written
    }
}

/// The body of a request, which must keep coming.
pub(crate) struct Incoming<B> {
    body: B,
    began: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
    pace: Arc<Pace>,
}

impl<B> Incoming<B> {
    pub(crate) fn new(body: B, pace: Arc<Pace>) -> Self {
        let began = Instant::now();
        let timer = Box::pin(sleep_until(began + pace.patience.body));
        Self { body, began, received: 0, timer, pace }
    }

    fn deadline(&self) -> Instant {
        let patience = &self.pace.patience;
        let per_s = u64::from(patience.body_bytes_per_s.max(1));
        self.began + patience.body + Duration::from_millis(self.received.saturating_mul(1_000) / per_s)
    }
}

impl<B> HttpBody for Incoming<B>
where
    B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                let size = frame.data_ref().map_or(0, Bytes::len);
                self.received += u64::try_from(size).unwrap_or(u64::MAX);
                let deadline = self.deadline();
                self.timer.as_mut().reset(deadline);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.timer.as_mut().poll(cx));
        self.pace.state().body_late = true;
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer; with its end the connection is idle.
pub(crate) struct Outgoing {
    body: Body,
    pace: Arc<Pace>,
}

impl Outgoing {
    pub(crate) fn new(body: Body, pace: Arc<Pace>) -> Self {
        Self { body, pace }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.pace.end();
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
