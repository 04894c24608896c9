//! A commit of several writes, as one transaction.
//!
//! The SDK sends one request token for all attempts of a transaction, so an attempt whose answer was lost is not
//! done again: the repetition is answered with what the first one did.

use super::expression::{self, Content, Expression};
use super::single::version_after;
use super::{Assumption, DynamoStore, Item, Outcome, item};
use crate::failure::{Failure, Kind};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use shared::domain::time::Timestamp;
use shared::ports::{Change, Condition, PortResult, Write};

/// Performs the writes, all or none.
pub(super) async fn perform(
    store: &DynamoStore,
    writes: &[Write],
    assumptions: &[Assumption],
    now: Timestamp,
) -> PortResult<Outcome> {
    let mut places = Vec::new();
    let mut items = Vec::new();
    for (place, (write, assumption)) in writes.iter().zip(assumptions).enumerate() {
        let made = Builder { table: &store.table, write, now }.item(*assumption);
        if let Some(item) = made.map_err(|error| store.failed(unbuilt(&error)))? {
            places.push(place);
            items.push(item);
        }
    }
    if items.is_empty() {
        return Ok(Outcome::Done);
    }
    let sent = store.client.transact_write_items().set_transact_items(Some(items)).send().await;
    let Err(error) = sent else { return Ok(Outcome::Done) };
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            judged(cancelled.cancellation_reasons(), &places, writes).map_err(|failure| store.failed(failure))
        }
        _ => Err(store.failed(Failure::of(&error))),
    }
}

fn unbuilt(error: &BuildError) -> Failure {
    Failure { kind: Kind::Invalid, code: "request not built".to_owned(), message: error.to_string() }
}

struct Builder<'a> {
    table: &'a str,
    write: &'a Write,
    now: Timestamp,
}

impl Builder<'_> {
    fn item(&self, assumption: Assumption) -> Result<Option<TransactWriteItem>, BuildError> {
        let held = expression::condition(self.write.condition, self.now);
        let item = match (&self.write.change, held) {
            (Change::Check, None) => return Ok(None),
            (Change::Check, Some(held)) => TransactWriteItem::builder().condition_check(self.check(held)?),
            (Change::Delete, held) => TransactWriteItem::builder().delete(self.delete(held)?),
            (Change::Put { body, expires_at, index }, held) => {
                let content =
                    Content { key: &self.write.key, body, expires_at: *expires_at, index: index.as_ref() };
                match (held, assumption) {
                    (Some(held), _) => {
                        let item = content.item(version_after(self.write.condition));
                        TransactWriteItem::builder().put(self.put(item, held)?)
                    }
                    (None, Assumption::Expired) => {
                        let held = expression::assumed(assumption, self.now);
                        TransactWriteItem::builder().put(self.put(content.item(1), held)?)
                    }
                    (None, Assumption::Current) => TransactWriteItem::builder().update(self.update(content)?),
                }
            }
        };
        Ok(Some(item.build()))
    }

    fn check(&self, held: Expression) -> Result<ConditionCheck, BuildError> {
        ConditionCheck::builder()
            .table_name(self.table)
            .set_key(Some(item::key(&self.write.key)))
            .condition_expression(held.text)
            .set_expression_attribute_names(Some(held.names))
            .set_expression_attribute_values(Some(held.values))
            .build()
    }

    fn delete(&self, held: Option<Expression>) -> Result<Delete, BuildError> {
        let delete = Delete::builder().table_name(self.table).set_key(Some(item::key(&self.write.key)));
        let Some(held) = held else { return delete.build() };
        delete
            .condition_expression(held.text)
            .set_expression_attribute_names(Some(held.names))
            .set_expression_attribute_values(Some(held.values))
            .build()
    }

    fn put(&self, item: Item, held: Expression) -> Result<Put, BuildError> {
        Put::builder()
            .table_name(self.table)
            .set_item(Some(item))
            .condition_expression(held.text)
            .set_expression_attribute_names(Some(held.names))
            .set_expression_attribute_values(Some(held.values))
            .build()
    }

    fn update(&self, content: Content<'_>) -> Result<Update, BuildError> {
        let mut held = expression::assumed(Assumption::Current, self.now);
        let update = content.update(&mut held);
        Update::builder()
            .table_name(self.table)
            .set_key(Some(item::key(&self.write.key)))
            .update_expression(update)
            .condition_expression(held.text)
            .set_expression_attribute_names(Some(held.names))
            .set_expression_attribute_values(Some(held.values))
            .build()
    }
}

/// What a cancelled transaction says, write by write: a failed condition is the answer, then whatever will not
/// work, then what may work in a moment.
fn judged(reasons: &[CancellationReason], places: &[usize], writes: &[Write]) -> Result<Outcome, Failure> {
    let of = |reason: &CancellationReason| {
        let code = reason.code().unwrap_or("None");
        (code != "None").then(|| (code.to_owned(), reason.message().unwrap_or_default().to_owned()))
    };
    let told: Vec<(usize, (String, String))> =
        places.iter().zip(reasons).filter_map(|(place, reason)| Some((*place, of(reason)?))).collect();
    let failed: Vec<usize> = told
        .iter()
        .filter(|(_, (code, _))| code == "ConditionalCheckFailed")
        .map(|(place, _)| *place)
        .collect();
    let is_unconditional =
        |place: &usize| writes.get(*place).is_some_and(|write| write.condition == Condition::Any);
    if let Some(first) = failed.iter().find(|place| !is_unconditional(place)) {
        return Ok(Outcome::Failed(*first));
    }
    let passing =
        ["ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    if let Some((_, (code, message))) = told.iter().find(|(_, (code, _))| !passing.contains(&code.as_str())) {
        return Err(Failure::judged(code, message, 400));
    }
    if failed.is_empty() { Ok(Outcome::Busy) } else { Ok(Outcome::Assumed(failed)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ports::Key;

    fn told(codes: &[&str], conditions: &[Condition]) -> Result<Outcome, Failure> {
        let reasons: Vec<_> =
            codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let write = |condition: &Condition| Write {
            key: Key::new("p", "s"),
            condition: *condition,
            change: Change::Delete,
        };
        let writes: Vec<_> = conditions.iter().map(write).collect();
        judged(&reasons, &(0..codes.len()).collect::<Vec<_>>(), &writes)
    }

    #[test]
    fn a_failed_condition_is_the_answer_whatever_else_is_told() {
        let [absent, any] = [Condition::Absent, Condition::Any];
        let codes = ["TransactionConflict", "ConditionalCheckFailed", "ConditionalCheckFailed"];
        assert!(matches!(told(&codes, &[absent, any, absent]), Ok(Outcome::Failed(2))));
        assert!(matches!(told(&codes, &[absent, absent, absent]), Ok(Outcome::Failed(1))));
    }

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_told() {
        let any = [Condition::Any, Condition::Any];
        assert!(matches!(told(&["None", "TransactionConflict"], &any), Ok(Outcome::Busy)));
        assert!(matches!(told(&["ThrottlingError", "None"], &any), Ok(Outcome::Busy)));
        let expired = told(&["ConditionalCheckFailed", "TransactionConflict"], &any);
        assert!(matches!(expired, Ok(Outcome::Assumed(places)) if places == [0]));
        let invalid = told(&["TransactionConflict", "ValidationError"], &any).unwrap_err();
        assert_eq!((invalid.kind, invalid.code.as_str()), (Kind::Invalid, "ValidationError"));
        let large = told(&["ItemCollectionSizeLimitExceeded", "None"], &any).unwrap_err();
        assert_eq!(large.code, "ItemCollectionSizeLimitExceeded");
    }
}
