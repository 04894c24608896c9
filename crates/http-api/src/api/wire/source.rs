//! Uploaded sources on the wire.

use serde::{Deserialize, Serialize};
use shared::domain::upload::Upload;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A tar archive, plain or compressed by gzip.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Archive(#[expect(dead_code, reason = "it stands for bytes that are never held at once")] Vec<u8>);

/// A source to be uploaded.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewSourceBody {
    /// How large the archive will be at most, in bytes; without it, as large as any may be.
    #[schema(minimum = 1, maximum = 536_870_912)]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the archive, in hexadecimal digits; then `size_bytes` is its exact size. A server that keeps archives
    /// elsewhere needs both for those that are too large to go through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$", min_length = 64, max_length = 64)]
    pub sha256: Option<String>,
}

/// An upload that waits for its archive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceOffered {
    /// Id, to be named as `source` of a run.
    #[schema(example = "src_0190b0f0c0de7000800000000000abcd")]
    pub id: String,
    /// Path, or an address elsewhere, to `PUT` the archive to: a tar archive, plain or compressed by gzip. It holds the right to
    /// do so; no other credential may be sent along.
    pub upload_url: String,
    /// Headers that have to be sent with it, exactly so.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// Until when (RFC 3339).
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Largest archive that is taken, in bytes.
    pub limit_bytes: u64,
}

/// An uploaded source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceShown {
    /// Id, to be named as `source` of a run.
    pub id: String,
    /// Size of the archive, in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub sha256: String,
    /// Whether it is compressed.
    pub gzip: bool,
    /// When it is forgotten, unless a run uses it (RFC 3339).
    #[schema(format = DateTime)]
    pub kept_until: String,
}

impl From<Upload> for SourceShown {
    fn from(upload: Upload) -> Self {
        let (size_bytes, sha256, gzip) = upload
            .archive
            .map(|archive| (archive.size_bytes, archive.sha256, archive.gzip))
            .unwrap_or_default();
        let kept_until = upload.keep_until.rfc3339();
        Self { id: upload.id.to_string(), size_bytes, sha256, gzip, kept_until }
    }
}
