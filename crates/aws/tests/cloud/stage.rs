//! Tables, buckets and queues of one test each.

use crate::hosting::hosted;
use aws::config::{Account, QueueUrls};
use aws::connection::Connection;
use aws::dynamo::{INDEX, INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE, PARTITION_ATTRIBUTE, SORT_ATTRIBUTE};
use aws::sqs::DEAD_SUFFIX;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use testkit::emulator;

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

/// A new bucket, and its name.
pub(crate) async fn bucket(connection: &Connection) -> String {
    let name = emulator::unique("bucket");
    let place = BucketLocationConstraint::from(REGION);
    let place = CreateBucketConfiguration::builder().location_constraint(place).build();
    let create = connection.s3().create_bucket().bucket(&name).create_bucket_configuration(place);
    hosted(create.send()).await.unwrap();
    name
}

/// New queues with their dead-letter queues.
pub(crate) async fn queues(connection: &Connection) -> QueueUrls {
    let name = emulator::unique("queue");
    let sqs = connection.sqs();
    let mut urls = Vec::new();
    for topic in ["plan", "launch", "aggregate"] {
        for suffix in ["", DEAD_SUFFIX] {
            let create = sqs.create_queue().queue_name(format!("{name}-{topic}{suffix}"));
            urls.push(hosted(create.send()).await.unwrap().queue_url.unwrap());
        }
    }
    let create = sqs.create_queue().queue_name(format!("{name}-events{DEAD_SUFFIX}"));
    let events_dead = hosted(create.send()).await.unwrap().queue_url.unwrap();
    QueueUrls { plan: urls[0].clone(), launch: urls[2].clone(), aggregate: urls[4].clone(), events_dead }
}
