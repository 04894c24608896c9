//! The signed webhook for any receiver: the headers and the signature of the Standard Webhooks convention.
//!
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, keyed with the secret: its
//! base64 part if it begins with `whsec_`, its bytes otherwise.

use super::parcel::{CallAuth, HttpCall, Parcel};
use super::story::Told;
use crate::domain::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

pub(super) fn parcel(url: &Secret, secret: &Secret, told: &Told) -> Parcel {
    let mut data = json!(told.story);
    if let Some(fields) = data.as_object_mut() {
        fields.insert("queued_at".to_owned(), json!(told.story.queued_at.rfc3339()));
        fields.insert("finished_at".to_owned(), json!(told.story.finished_at.rfc3339()));
    }
    let body = json!({
        "type": if told.story.run.is_some() { "run.finished" } else { "test" },
        "timestamp": told.at.rfc3339(),
        "headline": told.headline(),
        "events": told.events,
        "url": told.link,
        "data": data,
    })
    .to_string();
    let id = told.id.to_string();
    let seconds = (told.at.0 / 1000).to_string();
    let signature = signature(secret, &id, &seconds, &body);
    let headers = [("webhook-id", id), ("webhook-timestamp", seconds), ("webhook-signature", signature)];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Parcel::Calls(vec![HttpCall { url: url.clone(), headers, auth: CallAuth::Nobody, body }])
}

/// The signature of a body.
#[must_use]
pub fn signature(secret: &Secret, id: &str, timestamp: &str, body: &str) -> String {
    let text = secret.reveal();
    let decoded = text.strip_prefix("whsec_").and_then(|part| STANDARD.decode(part).ok());
    let key = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
