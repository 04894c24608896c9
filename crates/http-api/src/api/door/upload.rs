//! The way to the services for whoever holds the token of an upload: it opens that upload and nothing else.

use super::Api;
use crate::api::problem::Problem;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use shared::domain::upload::Upload;
use shared::service::Services;
use shared::service::upload::{ReceiveError, Receiving};
use std::fmt;
use std::sync::Arc;

/// An upload that its token's holder may fill.
pub struct OpenUpload {
    services: Arc<Services>,
    receiving: Receiving,
}

impl fmt::Debug for OpenUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenUpload").finish_non_exhaustive()
    }
}

impl OpenUpload {
    /// The most that it takes, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.receiving.limit_bytes()
    }

    /// Takes the next bytes; after a refusal nothing of the attempt is left.
    ///
    /// # Errors
    /// 413, 422, 503.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        match self.receiving.take(&self.services, bytes).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.give_up().await;
                Err(error.into())
            }
        }
    }

    /// The bytes ended before they were all there.
    pub async fn give_up(&self) {
        self.receiving.drop_pieces(&self.services).await;
    }

    /// Everything came.
    ///
    /// # Errors
    /// 409, 422, 503.
    pub async fn finish(self) -> Result<Upload, Problem> {
        Ok(self.receiving.finish(&self.services).await?)
    }
}

impl FromRequestParts<Api> for OpenUpload {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, api).await;
        let raw = raw.map_err(|rejection| Problem::not_found(rejection.to_string()))?;
        let token = raw.iter().find(|(name, _)| *name == "token").map(|(_, token)| token.to_owned());
        let services = Arc::clone(&api.services);
        let receiving = services.receive_source(&token.unwrap_or_default()).await?;
        Ok(Self { services, receiving })
    }
}

impl From<ReceiveError> for Problem {
    fn from(error: ReceiveError) -> Self {
        let detail = error.to_string();
        match error {
            ReceiveError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail),
            ReceiveError::NotTar => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_a_tar", detail),
            ReceiveError::Differs => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "digest_differs", detail),
            ReceiveError::Filled => Self::conflict("already_uploaded", detail),
            ReceiveError::Service(error) => error.into(),
        }
    }
}
