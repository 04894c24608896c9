//! A runtime for futures that need the sockets and timers of tokio, polled on any thread.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// The future, polled as if by the runtime.
pub(crate) async fn hosted<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = runtime().enter();
        future.as_mut().poll(context)
    })
    .await
}
