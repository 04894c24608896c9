//! The `Notifier` of servers: calls through the guarded client, mails through the relay.

use crate::client::{Call, CallError, Outbound, Reply};
use crate::github::GithubApp;
use crate::mail::Mailer;
use async_trait::async_trait;
use shared::domain::notify::parcel::{Answer, CallAuth, HttpCall, Parcel};
use shared::domain::secret::Secret;
use shared::ports::Notifier;
use std::time::Duration;

/// One attempt is over after this long, however many calls it has.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// Sends parcels.
#[derive(Debug)]
pub struct Sender {
    outbound: Outbound,
    mailer: Option<Mailer>,
    app: Option<GithubApp>,
}

impl Sender {
    /// A sender; without a mailer or a GitHub App, what needs one is refused.
    #[must_use]
    pub fn new(outbound: Outbound, mailer: Option<Mailer>, app: Option<GithubApp>) -> Self {
        Self { outbound, mailer, app }
    }

    async fn calls(&self, calls: &[HttpCall]) -> Answer {
        for call in calls {
            let answer = self.call(call).await;
            if answer != Answer::Delivered {
                return answer;
            }
        }
        Answer::Delivered
    }

    async fn call(&self, call: &HttpCall) -> Answer {
        let bearer = match self.bearer(&call.auth).await {
            Ok(bearer) => bearer,
            Err(answer) => return answer,
        };
        let bearer = bearer.as_ref().map(Secret::reveal);
        let made = Call { url: call.url.reveal(), headers: &call.headers, body: Some(&call.body), bearer };
        match self.outbound.call(made).await {
            Ok(reply) => judge(&reply),
            Err(error) => failed(&error),
        }
    }

    async fn bearer(&self, auth: &CallAuth) -> Result<Option<Secret>, Answer> {
        match auth {
            CallAuth::Nobody => Ok(None),
            CallAuth::Bearer(token) => Ok(Some(token.clone())),
            CallAuth::GithubApp { api_url, owner, repo } => {
                let none = || Answer::Refused {
                    reason: "the rule has no token, and the server has no GitHub App".to_owned(),
                };
                let app = self.app.as_ref().ok_or_else(none)?;
                app.token(&self.outbound, api_url, owner, repo).await.map(Some)
            }
        }
    }
}

#[async_trait]
impl Notifier for Sender {
    async fn deliver(&self, parcel: &Parcel) -> Answer {
        let attempt = async {
            match (parcel, &self.mailer) {
                (Parcel::Calls(calls), _) => self.calls(calls).await,
                (Parcel::Mail(mail), Some(mailer)) => mailer.send(mail).await,
                (Parcel::Mail(_), None) => {
                    Answer::Refused { reason: "the server has no mail relay".to_owned() }
                }
            }
        };
        let late = || Answer::Later { reason: "it took longer than 60 s".to_owned(), after_ms: None };
        tokio::time::timeout(ATTEMPT_LIMIT, attempt).await.unwrap_or_else(|_elapsed| late())
    }
}

/// What an answer means for the message. Redirects are not followed, so they are refusals.
pub(crate) fn judge(reply: &Reply) -> Answer {
    let reason = format!("the receiver answered {}", reply.status);
    match reply.status {
        200..=299 => Answer::Delivered,
        // GitHub says 403 both for good and, with a time, for now.
        408 | 425 | 429 | 500..=599 => Answer::Later { reason, after_ms: reply.retry_after_ms },
        403 if reply.retry_after_ms.is_some() => Answer::Later { reason, after_ms: reply.retry_after_ms },
        _ => Answer::Refused { reason },
    }
}

/// What a call without an answer means for the message.
pub(crate) fn failed(error: &CallError) -> Answer {
    let reason = error.to_string();
    match error {
        CallError::Blocked(_) | CallError::Header(_) | CallError::Status(_) => Answer::Refused { reason },
        CallError::TimedOut
        | CallError::Unreachable(_)
        | CallError::TooLong { .. }
        | CallError::NotJson(_)
        | CallError::Setup(_) => Answer::Later { reason, after_ms: None },
    }
}
