//! `Store` on one DynamoDB table.
//!
//! A document is one item; partition and sort key are those of the port. Reads are consistent, conditions are
//! judged by the table, and expiry is compared in every condition and filter, because the table removes expired
//! items days late. One sparse index holds the items that have an index entry, by name and sort.
//!
//! A commit of several writes is one transaction. A commit of one write is a plain conditional write, at half the
//! price. If an attempt of it got no clear answer and a repetition then finds the condition failed, the first
//! attempt may be the reason: that is `Unavailable`, never `Conflict`.

mod expression;
mod item;
mod single;
mod transaction;

use crate::attempts;
use crate::failure::Failure;
use crate::limits::BATCH_GET_LIMIT;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use shared::domain::time::Timestamp;
use shared::ports::limits::check_commit;
use shared::ports::{Change, Clock, Condition, Document, Key, Page, PortError, PortResult, Store, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use item::{
    EXPIRY_S_ATTRIBUTE, INDEX, INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE, PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
};

/// Name of the port in errors.
const PORT: &str = "store";
/// How often a commit is tried that others are in the way of.
const COMMIT_ATTEMPTS: u32 = 8;
/// How often keys of one read are asked for that the table had no time for.
const BATCH_ATTEMPTS: u32 = 6;
/// Most items that are asked for at once; the table sends at most a mebibyte anyway.
const PAGE_ITEMS: usize = 1000;

/// One item, as the SDK has it.
type Item = HashMap<String, AttributeValue>;

/// A store in a table; its clock judges expiry inside `commit`.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
}

/// What an attempt to commit came to.
#[derive(Debug)]
enum Outcome {
    /// It is done.
    Done,
    /// Another transaction is at work on one of the items; nothing happened.
    Busy,
    /// The writes at these places are unconditional, but their documents are not (or no longer) expired as assumed;
    /// nothing happened.
    Assumed(Vec<usize>),
    /// The condition of the write at this place does not hold.
    Failed(usize),
}

/// What an unconditional put takes the document for: only its version depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assumption {
    /// There, or absent: the version goes on.
    Current,
    /// Expired, but still in the table: the version begins anew.
    Expired,
}

impl DynamoStore {
    /// The store in `table`.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client, table: table.into(), clock }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    fn failed(&self, failure: Failure) -> PortError {
        failure.into_port(PORT, &self.table)
    }

    /// Reads pages until there are `wanted` items or no more.
    async fn read(
        &self,
        query: QueryFluentBuilder,
        start: Option<Item>,
        wanted: usize,
    ) -> PortResult<Vec<Item>> {
        let mut found = Vec::new();
        let mut start = start;
        loop {
            let missing = wanted.saturating_sub(found.len()).min(PAGE_ITEMS);
            let limit = i32::try_from(missing).unwrap_or(i32::MAX);
            let page = query.clone().table_name(&self.table).limit(limit).set_exclusive_start_key(start);
            let page = page.send().await.map_err(|error| self.failed(Failure::of(&error)))?;
            found.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() || found.len() >= wanted {
                return Ok(found);
            }
        }
    }

    /// Reads what there is of at most a hundred different keys, expired or not. A table that is busy answers a part.
    async fn read_batch(&self, keys: &[Key]) -> PortResult<Vec<Document>> {
        let mut left: Vec<Item> = keys.iter().map(item::key).collect();
        let mut documents = Vec::with_capacity(keys.len());
        for round in 0..BATCH_ATTEMPTS {
            let wanted = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| {
                let reason = error.to_string();
                PortError::Denied { port: PORT, subject: self.table.clone(), reason }
            })?;
            let sent = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
            let answer = sent.map_err(|error| self.failed(Failure::of(&error)))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                documents.push(item::document(&item)?);
            }
            left = answer
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect();
            if left.is_empty() {
                return Ok(documents);
            }
            attempts::pause(round).await;
        }
        let reason = format!("{} documents were not read in {BATCH_ATTEMPTS} attempts", left.len());
        Err(PortError::Unavailable { port: PORT, subject: self.table.clone(), reason })
    }

    async fn attempt(
        &self,
        writes: &[Write],
        assumptions: &[Assumption],
        now: Timestamp,
    ) -> PortResult<Outcome> {
        match (writes, assumptions) {
            ([], _) => Ok(Outcome::Done),
            ([Write { condition: Condition::Any, change: Change::Check, .. }], _) => Ok(Outcome::Done),
            ([write], [assumption]) if write.change != Change::Check => {
                single::perform(self, write, *assumption, now).await
            }
            _ => transaction::perform(self, writes, assumptions, now).await,
        }
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn load(&self, key: &Key, now: Timestamp) -> PortResult<Option<Document>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(item::key(key)));
        let answer = request.consistent_read(true).send().await;
        let found = answer.map_err(|error| self.failed(Failure::of(&error)))?.item;
        let document = found.map(|item| item::document(&item)).transpose()?;
        Ok(document.filter(|document| document.lives(now)))
    }

    async fn load_many(&self, keys: &[Key], now: Timestamp) -> PortResult<Vec<Option<Document>>> {
        let mut found: BTreeMap<Key, Document> = BTreeMap::new();
        let distinct: Vec<Key> = BTreeSet::from_iter(keys.iter().cloned()).into_iter().collect();
        for some in distinct.chunks(BATCH_GET_LIMIT) {
            let documents = self.read_batch(some).await?;
            found.extend(documents.into_iter().map(|document| (document.key.clone(), document)));
        }
        Ok(keys.iter().map(|key| found.get(key).filter(|document| document.lives(now)).cloned()).collect())
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> PortResult<Page> {
        // A start outside of the prefix is an error for the table.
        let after = after.filter(|after| *after >= prefix);
        if limit == 0 || after.is_some_and(|after| !after.starts_with(prefix)) {
            return Ok(Page { documents: Vec::new(), next: None });
        }
        let start =
            after.filter(|after| !after.is_empty()).map(|after| item::key(&Key::new(partition, after)));
        let query = expression::documents(self.client.query().consistent_read(true), partition, prefix, now);
        // One more than wanted says whether there is a next page.
        let items = self.read(query, start, limit.saturating_add(1)).await?;
        let more = items.len() > limit;
        let documents: Vec<Document> =
            items.iter().take(limit).map(item::document).collect::<Result<_, _>>()?;
        let next = documents.last().filter(|_| more).map(|last| last.key.sort.clone());
        Ok(Page { documents, next })
    }

    async fn query_index(&self, name: &str, upto: &str, limit: usize) -> PortResult<Vec<Key>> {
        if limit == 0 || name.is_empty() || upto.is_empty() {
            return Ok(Vec::new());
        }
        let query = expression::entries(self.client.query().index_name(INDEX), name, upto);
        let items = self.read(query, None, limit).await?;
        items.iter().take(limit).map(item::key_of).collect()
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        check_commit(&writes)?;
        let now = self.clock.now();
        let mut assumptions = vec![Assumption::Current; writes.len()];
        for round in 0..COMMIT_ATTEMPTS {
            match self.attempt(&writes, &assumptions, now).await? {
                Outcome::Done => return Ok(()),
                Outcome::Busy => attempts::pause(round).await,
                Outcome::Assumed(places) => flip(&mut assumptions, &places),
                Outcome::Failed(place) => {
                    let subject = writes.get(place).map(|write| write.key.to_string()).unwrap_or_default();
                    return Err(PortError::Conflict { port: PORT, subject });
                }
            }
        }
        let subject = writes.first().map(|write| write.key.to_string()).unwrap_or_default();
        let reason = format!("others were at work on it in {COMMIT_ATTEMPTS} attempts; nothing was changed");
        Err(PortError::Unavailable { port: PORT, subject, reason })
    }
}

fn flip(assumptions: &mut [Assumption], places: &[usize]) {
    for place in places {
        if let Some(assumption) = assumptions.get_mut(*place) {
            *assumption = match assumption {
                Assumption::Current => Assumption::Expired,
                Assumption::Expired => Assumption::Current,
            };
        }
    }
}
