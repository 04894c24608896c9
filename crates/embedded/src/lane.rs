//! A thread that owns a state and does jobs on it, one after the other.
//!
//! It keeps blocking calls off the caller's runtime. The answer travels by a oneshot, which needs no runtime. Jobs
//! submitted are done even if nobody waits for them any more; dropping the lane waits for them.

use shared::ports::{PortError, PortResult};
use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use tokio::sync::oneshot;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

pub(crate) struct Lane<S> {
    port: &'static str,
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

impl<S> fmt::Debug for Lane<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("port", &self.port).finish_non_exhaustive()
    }
}

impl<S: Send + 'static> Lane<S> {
    /// Starts the thread; `port` names it and its errors.
    pub(crate) fn start(port: &'static str, mut state: S) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Job<S>>();
        let work = move || receiver.into_iter().for_each(|job| job(&mut state));
        let thread = Builder::new().name(port.to_owned()).spawn(work)?;
        Ok(Self { port, jobs: Some(sender), thread: Some(thread) })
    }

    /// Queues a job.
    pub(crate) fn submit(&self, job: impl FnOnce(&mut S) + Send + 'static) -> PortResult<()> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Box::new(job)).is_ok());
        if sent { Ok(()) } else { Err(self.gone()) }
    }

    /// Queues a job and waits for its answer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let (sender, receiver) = oneshot::channel();
        // A caller that has gone away does not need its answer.
        self.submit(move |state| drop(sender.send(job(state))))?;
        self.answer(receiver).await
    }

    /// Waits for an answer that a job of this lane will send.
    pub(crate) async fn answer<T>(&self, receiver: oneshot::Receiver<PortResult<T>>) -> PortResult<T> {
        receiver.await.unwrap_or_else(|_gone| Err(self.gone()))
    }

    fn gone(&self) -> PortError {
        let reason = "its thread has ended".to_owned();
        PortError::Unavailable { port: self.port, subject: "thread".to_owned(), reason }
    }
}

impl<S> Drop for Lane<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A job that panicked has been reported to its caller by the lost answer.
            drop(thread.join());
        }
    }
}
