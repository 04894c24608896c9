//! What leaves the server: calls and mails, as values. Adapters send them; nothing here does.

use crate::domain::secret::Secret;

/// Why something can never be told to a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsendable(pub String);

/// Who a call says that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallAuth {
    /// Nobody: the URL or a signature is enough.
    Nobody,
    /// The holder of a token.
    Bearer(Secret),
    /// The installation of the server's GitHub App in this repository.
    GithubApp {
        /// Base of the API.
        api_url: String,
        /// Owner.
        owner: String,
        /// Repository.
        repo: String,
    },
}

/// One `POST` of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// Where to.
    pub url: Secret,
    /// Headers besides those that every call has.
    pub headers: Vec<(String, String)>,
    /// Who calls.
    pub auth: CallAuth,
    /// The body: exactly these bytes, because they may be signed.
    pub body: String,
}

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Id, the same whenever the same mail is sent again.
    pub id: String,
    /// To whom.
    pub to: Vec<String>,
    /// Subject: one line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// What one message to one channel consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// Calls, in this order. The message is told when all were accepted; all of them may be made again.
    Calls(Vec<HttpCall>),
    /// A mail.
    Mail(Mail),
}

/// What became of an attempt to send a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Delivered,
    /// It will never be taken as it is.
    Refused {
        /// Human reason, without anything of the receiver's answer but its status.
        reason: String,
    },
    /// It may be taken later.
    Later {
        /// Human reason.
        reason: String,
        /// How long the receiver asks to be left alone, in milliseconds.
        after_ms: Option<u64>,
    },
}
