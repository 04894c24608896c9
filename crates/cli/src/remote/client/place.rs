//! Files that go where the server says: to itself, or to a store that it names.

use super::base::checked_base;
use super::call::Call;
use super::refusal::ClientError;
use super::{Client, Content, Place};
use crate::exit::Problem;
use std::path::Path;
use ureq::http::{Method, StatusCode};

/// The code of a refusal because the upload has its content.
const UPLOADED: &str = "already_uploaded";
/// What a store says that has been told to take it only once, 412.
const TAKEN: u16 = StatusCode::PRECONDITION_FAILED.as_u16();

impl Client {
    /// Puts a file to an address that the server named; the address is what gives the right, so no token goes there.
    ///
    /// # Errors
    /// Not answered, or refused. That it is there already is none: nobody else has the address, so an earlier attempt
    /// was taken and its answer lost.
    pub fn put_file(&self, to: &Place<'_>, path: &Path, media_type: &str) -> Result<(), Problem> {
        let Place { address, headers } = *to;
        let elsewhere = !address.starts_with('/');
        let whole = if elsewhere { address.to_owned() } else { format!("{}{address}", self.base) };
        if elsewhere && !self.may_go_to(address) {
            return Err(Problem::could_not_run("the server names a place for the archive that is not safe")
                .hint("it must be reached by https, or be on this machine as the server is"));
        }
        let content = Content::File(path, media_type);
        match self.whole(&Call {
            content,
            ours: false,
            elsewhere,
            headers,
            ..Call::new(&Method::PUT, &whole)
        }) {
            Ok(_) => Ok(()),
            Err(ClientError::Refused(refusal)) if refusal.code == UPLOADED => Ok(()),
            Err(ClientError::Refused(refusal)) if elsewhere => match refusal.status {
                TAKEN => Ok(()),
                status => Err(Problem::could_not_run(format!(
                    "the store that the server named for the archive answered {status}"
                ))
                .hint("run it again, which asks for another place; if it stays so, ask who runs the server")),
            },
            Err(ClientError::Away { source, .. }) if elsewhere => Err(Problem::could_not_run(
                "the store that the server named for the archive cannot be reached",
            )
            .because(source)
            .hint("it has to be reached from here, not only from the server")),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a place that the server names may be gone to: never in the clear if the server itself is not.
    pub(super) fn may_go_to(&self, place: &str) -> bool {
        let address = checked_base(place.split('?').next().unwrap_or_default());
        let is_safe = |address: &str| address.starts_with("https:") || !self.base.starts_with("https:");
        address.is_ok_and(|address| is_safe(&address))
    }
}
