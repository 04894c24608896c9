//! Adapters in new places of their own.

use crate::hosted::Hosted;
use crate::stage::{bucket, connection, table};
use aws::connection::Connection;
use aws::dynamo::DynamoStore;
use aws::s3::S3Blobs;
use shared::domain::time::Timestamp;
use std::sync::Arc;
use testkit::memory::ManualClock;

/// When tests begin.
pub(crate) const START: Timestamp = Timestamp(1_767_225_600_000);

/// A store in a new table.
pub(crate) async fn store() -> (Hosted<DynamoStore>, Connection) {
    let connection = connection();
    let table = table(&connection).await;
    let store = DynamoStore::new(connection.dynamodb(), table, Arc::new(ManualClock::new(START)));
    (Hosted(store), connection)
}

/// Blobs in a new bucket.
pub(crate) async fn blobs() -> (Hosted<S3Blobs>, Connection) {
    let connection = connection();
    let name = bucket(&connection).await;
    (Hosted(S3Blobs::new(connection.s3(), name)), connection)
}
