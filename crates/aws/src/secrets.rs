//! Secrets from Secrets Manager, fetched once when a process begins.

use crate::failure::Failure;
use aws_sdk_secretsmanager::Client;
use shared::domain::secret::Secret;
use shared::ports::{PortError, PortResult};

/// Name in errors.
const PORT: &str = "secrets";
/// A key that is shorter could be guessed.
const KEY_CHARS: usize = 32;

/// The current text of a secret, by name or ARN.
///
/// # Errors
/// As any call of AWS; `Corrupt` if it is too short to be a key.
pub async fn key_text(client: &Client, id: &str) -> PortResult<Secret> {
    let sent = client.get_secret_value().secret_id(id).send().await;
    let answer = sent.map_err(|error| Failure::of(&error).into_port(PORT, id))?;
    let text = answer.secret_string.unwrap_or_default();
    if text.chars().count() < KEY_CHARS {
        let reason = format!("a key of at least {KEY_CHARS} characters is wanted");
        return Err(PortError::Corrupt { port: PORT, subject: id.to_owned(), reason });
    }
    Ok(Secret::new(text))
}
