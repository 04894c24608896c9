//! `Notifier` for mails, on SES. Calls go another way.

use crate::failure::{Course, Failure};
use async_trait::async_trait;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageHeader};
use shared::domain::notify::parcel::{Answer, Mail, Parcel};
use shared::ports::Notifier;

/// A header of each mail, the same whenever the same mail is sent again: SES chooses the message id itself.
pub const ID_HEADER: &str = "X-Fleetest-Id";

/// Sends mails.
#[derive(Debug, Clone)]
pub struct SesMailer {
    client: Client,
    from: String,
}

impl SesMailer {
    /// A mailer that sends in the name of a verified sender.
    #[must_use]
    pub fn new(client: Client, from: impl Into<String>) -> Self {
        Self { client, from: from.into() }
    }

    async fn send(&self, mail: &Mail) -> Answer {
        let Ok(content) = content(mail) else {
            return Answer::Refused { reason: "the mail cannot be written".to_owned() };
        };
        let to = Destination::builder().set_to_addresses(Some(mail.to.clone())).build();
        let send = self.client.send_email().from_email_address(&self.from).destination(to);
        match send.content(content).send().await {
            Ok(_) => Answer::Delivered,
            Err(error) => judged(&Failure::of(&error)),
        }
    }
}

/// SES says only what is wrong with our account or the mail, nothing of the receiver; its code is enough.
fn judged(failure: &Failure) -> Answer {
    let reason = format!("SES did not take it ({})", failure.code);
    match failure.kind.course() {
        Course::Retry => Answer::Later { reason, after_ms: None },
        Course::Permanent | Course::Answer => Answer::Refused { reason },
    }
}

fn content(mail: &Mail) -> Result<EmailContent, BuildError> {
    let part = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().text(part(&mail.text)?).html(part(&mail.html)?).build();
    let header = MessageHeader::builder().name(ID_HEADER).value(&mail.id).build()?;
    let message = Message::builder().subject(part(&mail.subject)?).body(body).headers(header).build();
    Ok(EmailContent::builder().simple(message).build())
}

#[async_trait]
impl Notifier for SesMailer {
    async fn deliver(&self, parcel: &Parcel) -> Answer {
        match parcel {
            Parcel::Mail(mail) => self.send(mail).await,
            Parcel::Calls(_) => Answer::Refused { reason: "SES sends nothing but mails".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_are_waited_out_and_wrong_senders_are_not() {
        let answer = |code: &str, status| judged(&Failure::judged(code, "", status));
        assert!(matches!(answer("TooManyRequestsException", 429), Answer::Later { .. }));
        assert!(matches!(answer("MailFromDomainNotVerifiedException", 400), Answer::Refused { .. }));
        assert!(matches!(answer("InternalFailure", 500), Answer::Later { .. }));
    }
}
