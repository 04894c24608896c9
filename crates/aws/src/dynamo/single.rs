//! A commit of one write, as a plain conditional write.

use super::expression::{self, Content, Expression};
use super::{Assumption, DynamoStore, Outcome, PORT, item};
use crate::attempts::Doubt;
use crate::failure::{Failure, Kind};
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::domain::time::Timestamp;
use shared::ports::{Change, Condition, PortError, PortResult, Write};
use std::error::Error;

/// Performs a put or a deletion.
pub(super) async fn perform(
    store: &DynamoStore,
    write: &Write,
    assumption: Assumption,
    now: Timestamp,
) -> PortResult<Outcome> {
    let doubt = Doubt::default();
    match (&write.change, write.condition) {
        (Change::Check, _) => Ok(Outcome::Done),
        (Change::Delete, condition) => {
            let condition = expression::condition(condition, now).unwrap_or_default();
            delete(store, write, condition, &doubt).await
        }
        (Change::Put { body, expires_at, index }, condition) => {
            let content = Content { key: &write.key, body, expires_at: *expires_at, index: index.as_ref() };
            match expression::condition(condition, now) {
                Some(held) => put(store, content, condition, held, &doubt).await,
                None => replace(store, content, assumption, now, &doubt).await,
            }
        }
    }
}

async fn put(
    store: &DynamoStore,
    content: Content<'_>,
    condition: Condition,
    held: Expression,
    doubt: &Doubt,
) -> PortResult<Outcome> {
    let sent = store
        .client
        .put_item()
        .table_name(&store.table)
        .set_item(Some(content.item(version_after(condition))))
        .condition_expression(held.text)
        .set_expression_attribute_names(Some(held.names))
        .set_expression_attribute_values(Some(held.values))
        .customize()
        .interceptor(doubt.clone())
        .send()
        .await;
    judged(store, content.key.to_string(), sent.map(drop), doubt, Outcome::Failed(0))
}

/// The version that a put makes of a document for which the condition held.
pub(super) fn version_after(condition: Condition) -> u64 {
    match condition {
        Condition::Version(version) => version.saturating_add(1),
        Condition::Absent | Condition::Any => 1,
    }
}

async fn replace(
    store: &DynamoStore,
    content: Content<'_>,
    assumption: Assumption,
    now: Timestamp,
    doubt: &Doubt,
) -> PortResult<Outcome> {
    let mut held = expression::assumed(assumption, now);
    let otherwise = Outcome::Assumed(vec![0]);
    if assumption == Assumption::Expired {
        let condition = Condition::Absent;
        return match put(store, content, condition, held, doubt).await? {
            Outcome::Failed(_) => Ok(otherwise),
            other @ (Outcome::Done | Outcome::Busy | Outcome::Assumed(_)) => Ok(other),
        };
    }
    let update = content.update(&mut held);
    let sent = store
        .client
        .update_item()
        .table_name(&store.table)
        .set_key(Some(item::key(content.key)))
        .update_expression(update)
        .condition_expression(held.text)
        .set_expression_attribute_names(Some(held.names))
        .set_expression_attribute_values(Some(held.values))
        .customize()
        .interceptor(doubt.clone())
        .send()
        .await;
    judged(store, content.key.to_string(), sent.map(drop), doubt, otherwise)
}

async fn delete(store: &DynamoStore, write: &Write, held: Expression, doubt: &Doubt) -> PortResult<Outcome> {
    let request = store.client.delete_item().table_name(&store.table).set_key(Some(item::key(&write.key)));
    let request = if held.text.is_empty() {
        request
    } else {
        request
            .condition_expression(held.text)
            .set_expression_attribute_names(Some(held.names))
            .set_expression_attribute_values(Some(held.values))
    };
    let sent = request.customize().interceptor(doubt.clone()).send().await;
    judged(store, write.key.to_string(), sent.map(drop), doubt, Outcome::Failed(0))
}

fn judged<E>(
    store: &DynamoStore,
    subject: String,
    sent: Result<(), SdkError<E, HttpResponse>>,
    doubt: &Doubt,
    otherwise: Outcome,
) -> PortResult<Outcome>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Err(error) = sent else { return Ok(Outcome::Done) };
    let failure = Failure::of(&error);
    if failure.code == "TransactionConflictException" {
        return Ok(Outcome::Busy);
    }
    match failure.kind {
        Kind::ConditionFailed if doubt.is_there() => {
            let reason = "an attempt before this one may have taken effect".to_owned();
            Err(PortError::Unavailable { port: PORT, subject, reason })
        }
        Kind::ConditionFailed => Ok(otherwise),
        Kind::Throttled
        | Kind::Outage
        | Kind::Expired
        | Kind::ClockSkew
        | Kind::NoCapacity
        | Kind::AccessDenied
        | Kind::WrongRegion
        | Kind::ResourceMissing
        | Kind::TooLarge
        | Kind::Invalid
        | Kind::NotThere => Err(store.failed(failure)),
    }
}
