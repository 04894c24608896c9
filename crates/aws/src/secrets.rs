//! Secrets from Secrets Manager, fetched once by a process.

use crate::failure::Failure;
use aws_sdk_secretsmanager::Client;
use shared::domain::secret::Secret;
use shared::ports::{PortError, PortResult};

/// Name in errors.
const PORT: &str = "secrets";
/// A key that is shorter could be guessed.
const KEY_CHARS: usize = 32;

/// The current text of a secret that is a key, by name or ARN.
///
/// # Errors
/// As any call of AWS; `Corrupt` if it is too short to be a key.
pub async fn key_text(client: &Client, id: &str) -> PortResult<Secret> {
    let text = text(client, id).await?;
    if text.chars().count() < KEY_CHARS {
        return Err(corrupt(id, format!("a key of at least {KEY_CHARS} characters is wanted")));
    }
    Ok(Secret::new(text))
}

/// The current text of a secret that is a token of another service, by name or ARN; blanks around it do not count.
///
/// # Errors
/// As any call of AWS; `Corrupt` if it could not be sent as a token.
pub async fn token_text(client: &Client, id: &str) -> PortResult<Secret> {
    let text = text(client, id).await?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(corrupt(id, "a token is wanted, as plain text and nothing else".to_owned()));
    }
    Ok(Secret::new(token))
}

async fn text(client: &Client, id: &str) -> PortResult<String> {
    let sent = client.get_secret_value().secret_id(id).send().await;
    let answer = sent.map_err(|error| Failure::of(&error).into_port(PORT, id))?;
    Ok(answer.secret_string.unwrap_or_default())
}

fn corrupt(id: &str, reason: String) -> PortError {
    PortError::Corrupt { port: PORT, subject: id.to_owned(), reason }
}
