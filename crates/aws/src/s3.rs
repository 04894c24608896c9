//! `Blobs` in one S3 bucket: a blob is an object, its key is the object's.
//!
//! S3 is consistent and its puts are atomic, which is all that the port asks. Objects that must be free are put with
//! `If-None-Match`, replacements of a known version with `If-Match`. A blob out of pieces is a multipart upload; where
//! the pieces are smaller than a part may be, they are read and joined, one part at a time in memory.
//!
//! The role needs `s3:ListBucket` besides reading and writing: without it S3 answers 403 for what is not there.

mod compose;
mod presign;

use crate::attempts::{self, Doubt};
use crate::failure::{Failure, Kind};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::ports::limits::{check_blob_key, check_blob_prefix};
use shared::ports::{Blobs, LinkTerms, PortError, PortResult, UploadLink, UploadTerms};
use std::error::Error;

pub use presign::Presigned;

/// Name of the port in errors.
const PORT: &str = "blobs";
/// How often a put is tried that another put is in the way of.
const PUT_ATTEMPTS: u32 = 6;
/// No object is larger; ranges end here.
const OBJECT_LIMIT_BYTES: u64 = 50 * 1024 * 1024 * 1024 * 1024;

/// Blobs in a bucket.
#[derive(Debug, Clone)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
}

/// What is known of a blob without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFacts {
    /// Names its version, in quotes, for [`S3Blobs::put_match`].
    pub etag: String,
    /// Its size.
    pub size_bytes: u64,
}

/// What a put is bound to.
#[derive(Debug, Clone, Copy)]
enum Bound<'a> {
    Nothing,
    Free,
    Etag(&'a str),
}

impl S3Blobs {
    /// The blobs in `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into() }
    }

    /// What is known of a blob.
    ///
    /// # Errors
    /// `NotFound` if it is not there.
    pub async fn facts(&self, key: &str) -> PortResult<BlobFacts> {
        check_blob_key(key)?;
        let asked = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        let answer = asked.map_err(|error| self.failed(key, Failure::of(&error)))?;
        let size_bytes = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        Ok(BlobFacts { etag: answer.e_tag.unwrap_or_default(), size_bytes })
    }

    /// Replaces a blob of exactly this version.
    ///
    /// # Errors
    /// `Conflict` if it has another version by now, `NotFound` if it is not there.
    pub async fn put_match(&self, key: &str, bytes: Vec<u8>, etag: &str) -> PortResult<()> {
        check_blob_key(key)?;
        self.put_bound(key, bytes, Bound::Etag(etag)).await
    }

    async fn put_bound(&self, key: &str, bytes: Vec<u8>, bound: Bound<'_>) -> PortResult<()> {
        for round in 0..PUT_ATTEMPTS {
            let doubt = Doubt::default();
            let put = self.client.put_object().bucket(&self.bucket).key(key);
            let put = match bound {
                Bound::Nothing => put,
                Bound::Free => put.if_none_match("*"),
                Bound::Etag(etag) => put.if_match(etag),
            };
            let put = put.body(ByteStream::from(bytes.clone()));
            let sent = put.customize().interceptor(doubt.clone()).send().await;
            let Err(error) = sent else { return Ok(()) };
            let failure = Failure::of(&error);
            if failure.code != "ConditionalRequestConflict" {
                return Err(self.refused(key, failure, bound, doubt.is_there()));
            }
            attempts::pause(round).await;
        }
        let reason = format!("others were at work on it in {PUT_ATTEMPTS} attempts; nothing was changed");
        Err(PortError::Unavailable { port: PORT, subject: key.to_owned(), reason })
    }

    fn refused(&self, key: &str, failure: Failure, bound: Bound<'_>, in_doubt: bool) -> PortError {
        let subject = key.to_owned();
        match (failure.kind, bound) {
            (Kind::ConditionFailed, _) if in_doubt => {
                let reason = "an attempt before this one may have taken effect".to_owned();
                PortError::Unavailable { port: PORT, subject, reason }
            }
            (Kind::ConditionFailed, Bound::Free) => PortError::AlreadyExists { port: PORT, subject },
            _ => self.failed(key, failure),
        }
    }

    /// What went wrong with one blob; what is wrong with the bucket names the bucket.
    fn failed(&self, key: &str, failure: Failure) -> PortError {
        let subject = if failure.kind == Kind::ResourceMissing { self.bucket.as_str() } else { key };
        failure.into_port(PORT, subject)
    }

    fn read_failed<E>(&self, key: &str, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.failed(key, Failure::of(error))
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        self.put_bound(key, bytes, Bound::Nothing).await
    }

    async fn put_absent(&self, key: &str, bytes: Vec<u8>) -> PortResult<()> {
        check_blob_key(key)?;
        self.put_bound(key, bytes, Bound::Free).await
    }

    async fn compose(&self, key: &str, pieces: Vec<String>) -> PortResult<()> {
        check_blob_key(key)?;
        pieces.iter().try_for_each(|piece| check_blob_key(piece))?;
        compose::perform(self, key, &pieces).await
    }

    async fn fetch(&self, key: &str, range: Option<(u64, u64)>) -> PortResult<Vec<u8>> {
        check_blob_key(key)?;
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let get = match range.map(|(from, to)| (from, to.min(OBJECT_LIMIT_BYTES))) {
            None => get,
            Some((from, to)) if from >= to => {
                return self.facts(key).await.map(|_| Vec::new());
            }
            Some((from, to)) => get.range(format!("bytes={from}-{}", to.saturating_sub(1))),
        };
        let answer = match get.send().await {
            Ok(answer) => answer,
            // Nothing of it is in the range.
            Err(error) if error.code() == Some("InvalidRange") => return Ok(Vec::new()),
            Err(error) => return Err(self.read_failed(key, &error)),
        };
        let bytes = answer.body.collect().await.map_err(|error| {
            let reason = format!("the transfer broke off: {error}");
            PortError::Unavailable { port: PORT, subject: key.to_owned(), reason }
        })?;
        Ok(bytes.to_vec())
    }

    async fn list(&self, prefix: &str) -> PortResult<Vec<String>> {
        check_blob_prefix(prefix)?;
        let mut keys = Vec::new();
        let mut next = None;
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let page = list.set_continuation_token(next).send().await;
            let page = page.map_err(|error| self.read_failed(prefix, &error))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        check_blob_key(key)?;
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        sent.map(drop).map_err(|error| self.read_failed(key, &error))
    }

    async fn link(&self, key: &str, terms: &LinkTerms) -> PortResult<Option<String>> {
        Ok(Some(self.presign_fetch(key, terms.expires_in_s, Some(terms)).await?.url))
    }

    async fn upload_link(&self, key: &str, terms: &UploadTerms) -> PortResult<Option<UploadLink>> {
        let Presigned { url, headers, .. } = self.presign_put(key, terms).await?;
        Ok(Some(UploadLink { url, headers }))
    }
}
