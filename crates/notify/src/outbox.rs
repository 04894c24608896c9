//! The step that a host repeats: everything that is due is sent, several at a time, so that a slow receiver holds
//! nobody else up for long.

use shared::service::notify::Notices;
use shared::service::{ServiceError, ServiceResult};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Deliveries sent at the same time.
const ABREAST: usize = 8;

/// Tells about runs that nobody was told about, then sends what is due. Returns how many deliveries were tried: with
/// some, call it again at once; with none, in a few seconds.
///
/// # Errors
/// The first port error; everything else was done nevertheless.
pub async fn step(notices: &Arc<Notices>) -> ServiceResult<usize> {
    let mut first_error: Option<ServiceError> = notices.tell_untold().await.err();
    let due = notices.due().await?;
    let count = due.len();
    let mut waiting = due.into_iter();
    let mut sending = JoinSet::new();
    loop {
        while sending.len() < ABREAST {
            let Some(key) = waiting.next() else { break };
            let notices = Arc::clone(notices);
            sending.spawn(async move { notices.send(&key).await });
        }
        match sending.join_next().await {
            None => break,
            Some(Ok(Err(error))) => first_error = first_error.or(Some(error)),
            // A task that broke is tried again when its claim is over.
            Some(Ok(Ok(())) | Err(_)) => {}
        }
    }
    first_error.map_or(Ok(count), Err)
}
