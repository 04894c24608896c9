//! Documents as items of the table, and back.

use super::{Item, PORT};
use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::time::Timestamp;
use shared::ports::{Document, IndexEntry, Key, PortError, PortResult};

/// Partition key of the table.
pub const PARTITION_ATTRIBUTE: &str = "pk";
/// Sort key of the table.
pub const SORT_ATTRIBUTE: &str = "sk";
/// When the table may remove an item: seconds since 1970, the attribute of the table's TTL.
pub const EXPIRY_S_ATTRIBUTE: &str = "expires_s";
/// Partition key of the index.
pub const INDEX_NAME_ATTRIBUTE: &str = "ix";
/// Sort key of the index.
pub const INDEX_SORT_ATTRIBUTE: &str = "ixs";
/// The sparse index; it needs to hold keys only.
pub const INDEX: &str = "due";

/// Counts the writes of a document.
pub(super) const VERSION: &str = "ver";
/// The document's text.
pub(super) const BODY: &str = "doc";
/// When the document ends: milliseconds since 1970.
pub(super) const EXPIRY_MS: &str = "expires_ms";

/// A text.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number.
pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of an item.
pub(super) fn key(key: &Key) -> Item {
    Item::from([
        (PARTITION_ATTRIBUTE.to_owned(), text(&key.partition)),
        (SORT_ATTRIBUTE.to_owned(), text(&key.sort)),
    ])
}

/// The attributes of an item besides its key and version, in a fixed order; `None` = it has none of this name.
pub(super) fn attributes(
    body: &str,
    expires_at: Option<Timestamp>,
    index: Option<&IndexEntry>,
) -> [(&'static str, Option<AttributeValue>); 5] {
    [
        (BODY, Some(text(body))),
        (EXPIRY_MS, expires_at.map(|at| number(at.0))),
        // Never removed before the document ends.
        (EXPIRY_S_ATTRIBUTE, expires_at.map(|at| number(at.0.div_ceil(1000)))),
        (INDEX_NAME_ATTRIBUTE, index.map(|entry| text(&entry.name))),
        (INDEX_SORT_ATTRIBUTE, index.map(|entry| text(&entry.sort))),
    ]
}

/// The key of an item or of an entry of the index.
pub(super) fn key_of(item: &Item) -> PortResult<Key> {
    let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    match (part(PARTITION_ATTRIBUTE), part(SORT_ATTRIBUTE)) {
        (Some(partition), Some(sort)) => Ok(Key { partition, sort }),
        _ => Err(corrupt("an item", "it has no key")),
    }
}

/// The document of an item, expired or not.
pub(super) fn document(item: &Item) -> PortResult<Document> {
    let key = key_of(item)?;
    let whole = |name: &str| item.get(name)?.as_n().ok()?.parse::<u64>().ok();
    let body = item.get(BODY).and_then(|value| value.as_s().ok());
    let (Some(version), Some(body)) = (whole(VERSION), body) else {
        return Err(corrupt(&key.to_string(), "it has no version or no body"));
    };
    let expires_at = match (item.get(EXPIRY_MS), whole(EXPIRY_MS)) {
        (None, _) => None,
        (Some(_), Some(ms)) => Some(Timestamp(ms)),
        (Some(_), None) => return Err(corrupt(&key.to_string(), "its expiry is no number")),
    };
    Ok(Document { key, version, body: body.as_str().into(), expires_at })
}

fn corrupt(subject: &str, reason: &str) -> PortError {
    PortError::Corrupt { port: PORT, subject: subject.to_owned(), reason: reason.to_owned() }
}
