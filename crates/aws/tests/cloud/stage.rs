//! Tables, buckets and queues of one test each.

use crate::hosted::{Hosted, hosted};
use aws::config::Account;
use aws::connection::Connection;
use aws::dynamo::{
    DynamoStore, INDEX, INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE, PARTITION_ATTRIBUTE, SORT_ATTRIBUTE,
};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use shared::domain::time::Timestamp;
use std::sync::Arc;
use testkit::emulator;
use testkit::memory::ManualClock;

pub(crate) const START: Timestamp = Timestamp(1_767_225_600_000);
const REGION: &str = "eu-central-1";

pub(crate) fn account(endpoint: &str) -> Account {
    Account {
        region: REGION.to_owned(),
        key_id: "test".to_owned(),
        secret: "test".to_owned(),
        session_token: None,
        endpoint: Some(endpoint.to_owned()),
    }
}

pub(crate) fn connection() -> Connection {
    Connection::new(account(&emulator::endpoint()))
}

fn schema(partition: &str, sort: &str) -> Vec<KeySchemaElement> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap())
        .to_vec()
}

fn index() -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .set_key_schema(Some(schema(INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE)))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .unwrap()
}

/// A new table, and its name.
pub(crate) async fn table(connection: &Connection) -> String {
    let name = emulator::unique("table");
    let attributes =
        [PARTITION_ATTRIBUTE, SORT_ATTRIBUTE, INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE].map(|name| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        });
    let create = connection
        .dynamodb()
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.to_vec()))
        .set_key_schema(Some(schema(PARTITION_ATTRIBUTE, SORT_ATTRIBUTE)))
        .global_secondary_indexes(index());
    hosted(create.send()).await.unwrap();
    name
}

/// A store in a new table.
pub(crate) async fn store() -> (Hosted<DynamoStore>, Connection) {
    let connection = connection();
    let table = table(&connection).await;
    let store = DynamoStore::new(connection.dynamodb(), table, Arc::new(ManualClock::new(START)));
    (Hosted(store), connection)
}
