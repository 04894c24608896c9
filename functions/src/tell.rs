//! Who tells people in the cloud: mails by SES, everything else through the one guarded way out.

use crate::cloud::Cloud;
use async_trait::async_trait;
use aws::ses::SesMailer;
use notify::client::Outbound;
use notify::guard::Allow;
use notify::sender::Sender;
use shared::domain::notify::parcel::{Answer, Parcel};
use shared::ports::{Notifier, PortError, PortResult};
use shared::service::notify::Notices;
use std::sync::Arc;

#[derive(Debug)]
struct CloudNotifier {
    mailer: Option<SesMailer>,
    sender: Sender,
}

#[async_trait]
impl Notifier for CloudNotifier {
    async fn deliver(&self, parcel: &Parcel) -> Answer {
        match (parcel, &self.mailer) {
            (Parcel::Mail(_), Some(mailer)) => mailer.deliver(parcel).await,
            (Parcel::Mail(_), None) => {
                Answer::Refused { reason: "the stack has no sender of mails (`MailFrom`)".to_owned() }
            }
            (Parcel::Calls(_), _) => self.sender.deliver(parcel).await,
        }
    }
}

/// What tells people about the runs of this cloud.
///
/// # Errors
/// The client for calls cannot be made.
pub fn notices(cloud: &Cloud) -> PortResult<Notices> {
    // Beside an emulator, receivers are on this machine, too.
    let allow = Allow { private: cloud.config.account.endpoint.is_some(), ..Allow::default() };
    let outbound = Outbound::new(allow).map_err(|error| PortError::Denied {
        port: "notifier",
        subject: "outbound client".to_owned(),
        reason: error.to_string(),
    })?;
    let mailer = cloud.config.mail_from.as_ref().map(|from| SesMailer::new(cloud.connection.ses(), from));
    Ok(Notices {
        services: Arc::clone(&cloud.services),
        notifier: Arc::new(CloudNotifier { mailer, sender: Sender::new(outbound, None, None) }),
        run_link: Some(format!("{}/v1/runs/", cloud.config.fleet.link_url)),
    })
}
