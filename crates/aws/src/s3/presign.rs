//! URLs that allow one transfer without credentials, for a while.
//!
//! What may be uploaded is bound by the signature: the key, the length and the SHA-256 of the bytes, and, if wanted,
//! that the key is free. S3 refuses whatever differs. A URL also ends with the credentials that signed it.

use super::{PORT, S3Blobs};
use crate::failure::Failure;
use crate::limits::{PRESIGN_LIMIT_S, PUT_LIMIT_BYTES};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::ports::limits::check_blob_key;
use shared::ports::{LinkTerms, PortError, PortResult, UploadTerms};
use std::time::Duration;

/// A request that anyone may send once or more, as it is, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// `PUT` or `GET`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers that must be sent, exactly so; they are signed.
    pub headers: Vec<(String, String)>,
}

fn denied(key: &str, reason: String) -> PortError {
    PortError::Denied { port: PORT, subject: key.to_owned(), reason }
}

fn period(key: &str, expires_in_s: u64) -> PortResult<PresigningConfig> {
    if expires_in_s == 0 || expires_in_s > PRESIGN_LIMIT_S {
        let reason = format!("a URL is good for 1 to {PRESIGN_LIMIT_S} seconds, not {expires_in_s}");
        return Err(denied(key, reason));
    }
    PresigningConfig::expires_in(Duration::from_secs(expires_in_s))
        .map_err(|error| denied(key, error.to_string()))
}

fn taken(request: &PresignedRequest) -> Presigned {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Presigned { method: request.method().to_owned(), url: request.uri().to_owned(), headers }
}

impl S3Blobs {
    /// A request that puts exactly these bytes at `key`.
    ///
    /// # Errors
    /// `Denied` for a bad key, a length that one PUT cannot have, or a period that is too long.
    pub async fn presign_put(&self, key: &str, terms: &UploadTerms) -> PortResult<Presigned> {
        check_blob_key(key)?;
        let period = period(key, terms.expires_in_s)?;
        let length = i64::try_from(terms.size_bytes).ok().filter(|_| terms.size_bytes <= PUT_LIMIT_BYTES);
        let Some(length) = length else {
            let reason = format!("{} bytes are more than one PUT takes", terms.size_bytes);
            return Err(denied(key, reason));
        };
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(length)
            .checksum_sha256(STANDARD.encode(terms.sha256))
            .set_if_none_match(terms.only_if_absent.then(|| "*".to_owned()));
        // The checksum is that of the bytes to come, not one of nothing.
        let plain = aws_sdk_s3::config::Builder::new()
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let signed = put.customize().config_override(plain).presigned(period).await;
        signed.map(|request| taken(&request)).map_err(|error| self.failed(key, Failure::of(&error)))
    }

    /// A request that gets the blob; with `terms`, as a file of that name and type.
    ///
    /// # Errors
    /// `Denied` for a bad key or a period that is too long.
    pub async fn presign_fetch(
        &self,
        key: &str,
        expires_in_s: u64,
        terms: Option<&LinkTerms>,
    ) -> PortResult<Presigned> {
        check_blob_key(key)?;
        let period = period(key, expires_in_s)?;
        let kept = terms.map(|terms| format!("attachment; filename=\"{}\"", terms.file_name));
        let get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_response_content_disposition(kept)
            .set_response_content_type(terms.map(|terms| terms.media_type.clone()));
        let signed = get.presigned(period).await;
        signed.map(|request| taken(&request)).map_err(|error| self.failed(key, Failure::of(&error)))
    }
}
