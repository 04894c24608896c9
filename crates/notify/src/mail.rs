//! E-mail by SMTP. The relay is the operator's choice, so the guard of user-given URLs does not apply to it.

use lettre::address::AddressError;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport as _, Message, Tokio1Executor};
use shared::domain::notify::parcel::{Answer, Mail};
use shared::domain::secret::Secret;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// How the connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte, port 465 by default.
    Implicit,
    /// `STARTTLS`, demanded, port 587 by default.
    StartTls,
    /// None, port 25 by default: for a relay on the same machine.
    Plain,
}

/// The relay.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Host.
    pub host: String,
    /// Port, if not the usual one.
    pub port: Option<u16>,
    /// Protection.
    pub tls: MailTls,
    /// User and password, if it wants them.
    pub login: Option<(String, Secret)>,
    /// Whom mails come from, as in `Fleetest <ci@example.org>`.
    pub from: String,
}

/// Why there is no mailer.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// The sender is no address.
    #[error("`{from}` is no address to send from")]
    From {
        /// The text.
        from: String,
        /// Why.
        #[source]
        source: AddressError,
    },
    /// TLS cannot be set up.
    #[error("the connection to `{host}` cannot be set up")]
    Relay {
        /// Host.
        host: String,
        /// Why.
        #[source]
        source: SmtpError,
    },
}

/// Sends mails.
#[derive(Debug, Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for a relay. It connects when there is a mail.
    ///
    /// # Errors
    /// If the settings cannot be right.
    pub fn new(settings: MailSettings) -> Result<Self, MailSetupError> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let MailSettings { host, port, tls, login, from } = settings;
        let mailbox = from.parse().map_err(|source| MailSetupError::From { from: from.clone(), source })?;
        let builder = match tls {
            MailTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(&host),
            MailTls::StartTls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&host),
            MailTls::Plain => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)),
        };
        let mut builder =
            builder.map_err(|source| MailSetupError::Relay { host, source })?.timeout(Some(LIMIT));
        if let Some(port) = port {
            builder = builder.port(port);
        }
        if let Some((user, password)) = login {
            builder = builder.credentials(Credentials::new(user, password.reveal().to_owned()));
        }
        Ok(Self { transport: builder.build(), from: mailbox })
    }

    /// Tries to send a mail to all of its addresses.
    pub(crate) async fn send(&self, mail: &Mail) -> Answer {
        let message = match self.message(mail) {
            Ok(message) => message,
            Err(reason) => return Answer::Refused { reason },
        };
        match self.transport.send(message).await {
            Ok(_) => Answer::Delivered,
            Err(error) if error.is_permanent() => {
                Answer::Refused { reason: format!("the mail relay refused it{}", code(&error)) }
            }
            Err(error) => {
                let reason = format!("the mail relay could not take it now{}", code(&error));
                Answer::Later { reason, after_ms: None }
            }
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(mail.subject.clone())
            .message_id(Some(format!("<{}@{domain}>", mail.id)));
        for address in &mail.to {
            let mailbox: Mailbox =
                address.parse().map_err(|_malformed| "an address of the rule is none".to_owned())?;
            builder = builder.to(mailbox);
        }
        let body = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
        builder.multipart(body).map_err(|_malformed| "the mail cannot be written".to_owned())
    }
}

fn code(error: &SmtpError) -> String {
    error.status().map(|code| format!(" ({code})")).unwrap_or_default()
}
