//! A blob out of other blobs, as a multipart upload.
//!
//! At most one part and one piece are in memory. Until the upload is completed nothing is visible; an upload that
//! fails is given up, and one that nobody could give up is the bucket's lifecycle rule's to remove.

use super::{PORT, S3Blobs};
use crate::failure::{Failure, Kind};
use crate::limits::{PART_MIN_BYTES, PARTS_LIMIT};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::ports::{Blobs as _, PortError, PortResult};
use std::error::Error;

/// Parts are at least this long: with the most parts that are allowed, 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
const _: () = assert!(PART_BYTES >= PART_MIN_BYTES);

/// Makes the blob `key` out of `pieces`.
pub(super) async fn perform(blobs: &S3Blobs, key: &str, pieces: &[String]) -> PortResult<()> {
    let mut upload: Option<Upload<'_>> = None;
    let mut waiting = Vec::new();
    for piece in pieces {
        let read = blobs.fetch(piece, None).await;
        let step = match read {
            Ok(bytes) => {
                waiting.extend(bytes);
                if waiting.len() < PART_BYTES {
                    Ok(())
                } else {
                    hand_over(blobs, key, &mut upload, &mut waiting).await
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = step {
            give_up(upload).await;
            return Err(error);
        }
    }
    let Some(mut upload) = upload else { return blobs.put(key, waiting).await };
    let ended = match upload.last(waiting).await {
        Ok(()) => upload.complete().await,
        Err(error) => Err(error),
    };
    if ended.is_err() {
        upload.abort().await;
    }
    ended
}

async fn give_up(upload: Option<Upload<'_>>) {
    if let Some(upload) = upload {
        upload.abort().await;
    }
}

/// Sends what waits as the next part; the first one begins the upload.
async fn hand_over<'a>(
    blobs: &'a S3Blobs,
    key: &'a str,
    upload: &mut Option<Upload<'a>>,
    waiting: &mut Vec<u8>,
) -> PortResult<()> {
    let bytes = std::mem::take(waiting);
    match upload {
        Some(upload) => upload.part(bytes).await,
        None => upload.insert(Upload::begin(blobs, key).await?).part(bytes).await,
    }
}

struct Upload<'a> {
    blobs: &'a S3Blobs,
    key: &'a str,
    id: String,
    parts: Vec<CompletedPart>,
}

impl<'a> Upload<'a> {
    async fn begin(blobs: &'a S3Blobs, key: &'a str) -> PortResult<Self> {
        let begun = blobs.client.create_multipart_upload().bucket(&blobs.bucket).key(key).send().await;
        let begun = begun.map_err(|error| blobs.failed(key, Failure::of(&error)))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Self { blobs, key, id, parts: Vec::new() })
    }

    async fn last(&mut self, bytes: Vec<u8>) -> PortResult<()> {
        if bytes.is_empty() { Ok(()) } else { self.part(bytes).await }
    }

    async fn part(&mut self, bytes: Vec<u8>) -> PortResult<()> {
        let number = self.parts.len() + 1;
        let Some(number) = i32::try_from(number).ok().filter(|_| number <= PARTS_LIMIT) else {
            let reason = format!("it is longer than {PARTS_LIMIT} parts of {PART_BYTES} bytes");
            return Err(PortError::Denied { port: PORT, subject: self.key.to_owned(), reason });
        };
        let part = self.blobs.client.upload_part().bucket(&self.blobs.bucket).key(self.key);
        let sent = part.upload_id(&self.id).part_number(number).body(ByteStream::from(bytes)).send().await;
        let sent = sent.map_err(|error| self.failed(&error))?;
        let done = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32);
        self.parts.push(done.build());
        Ok(())
    }

    async fn complete(&self) -> PortResult<()> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone())).build();
        let complete = self.blobs.client.complete_multipart_upload().bucket(&self.blobs.bucket).key(self.key);
        let sent = complete.upload_id(&self.id).multipart_upload(parts).send().await;
        sent.map(drop).map_err(|error| self.failed(&error))
    }

    async fn abort(&self) {
        let abort = self.blobs.client.abort_multipart_upload().bucket(&self.blobs.bucket).key(self.key);
        // What cannot be given up now is removed by the bucket's lifecycle rule.
        drop(abort.upload_id(&self.id).send().await);
    }

    /// An upload that is not there was completed by an attempt without an answer, or given up by somebody else.
    fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let failure = Failure::of(error);
        let kind = if failure.kind == Kind::NotThere { Kind::Outage } else { failure.kind };
        self.blobs.failed(self.key, Failure { kind, ..failure })
    }
}
