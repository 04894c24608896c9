//! Limits of AWS that the adapters stay within, as published for each service.
//!
//! What the ports allow is narrower; the tests below keep it so.

/// Largest item of a table, names and values together, in bytes.
pub const ITEM_LIMIT_BYTES: usize = 400 * 1024;
/// Most items of one transaction.
pub const TRANSACTION_ITEMS_LIMIT: usize = 100;
/// Largest transaction, in bytes.
pub const TRANSACTION_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Most items of one read of several.
pub const BATCH_GET_LIMIT: usize = 100;
/// Longest partition key, and partition key of an index, in bytes.
pub const PARTITION_KEY_LIMIT_BYTES: usize = 2048;
/// Longest sort key, and sort key of an index, in bytes.
pub const SORT_KEY_LIMIT_BYTES: usize = 1024;

/// Longest key of an object, in bytes.
pub const OBJECT_KEY_LIMIT_BYTES: usize = 1024;
/// Smallest part of a multipart upload but the last, in bytes.
pub const PART_MIN_BYTES: usize = 5 * 1024 * 1024;
/// Most parts of a multipart upload.
pub const PARTS_LIMIT: usize = 10_000;
/// Largest object that one PUT makes, in bytes.
pub const PUT_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// Longest life of a presigned URL, in seconds.
pub const PRESIGN_LIMIT_S: u64 = 7 * 24 * 3600;

/// Largest message of a queue that every region and account takes, attributes included, in bytes.
pub const MESSAGE_LIMIT_BYTES: usize = 256 * 1024;
/// Messages longer than this are left with the blobs, and a claim is sent instead, in bytes.
pub const CLAIM_ABOVE_BYTES: usize = 100 * 1024;
/// Most messages of one send, receive or delete.
pub const QUEUE_BATCH_LIMIT: usize = 10;
/// Longest delay of a message, in seconds.
pub const DELAY_LIMIT_S: u64 = 900;
/// Longest time that a received message stays hidden, in seconds.
pub const VISIBILITY_LIMIT_S: u64 = 12 * 3600;
/// Longest wait of one receive, in seconds.
pub const RECEIVE_WAIT_LIMIT_S: u64 = 20;

/// Most characters of the overrides of one task, as JSON.
pub const OVERRIDES_LIMIT_CHARS: usize = 8192;
/// Longest idempotency token of a task.
pub const CLIENT_TOKEN_LIMIT_CHARS: usize = 64;
/// Longest mark of who started a task.
pub const STARTED_BY_LIMIT_CHARS: usize = 128;
/// Most tasks of one description.
pub const DESCRIBE_TASKS_LIMIT: usize = 100;
/// Longest value of a tag.
pub const TAG_VALUE_LIMIT_CHARS: usize = 256;
/// Most subnets of one task.
pub const SUBNETS_LIMIT: usize = 16;
/// Most security groups of one task.
pub const SECURITY_GROUPS_LIMIT: usize = 5;
/// Longest time between SIGTERM and SIGKILL on Fargate, in seconds.
pub const STOP_TIMEOUT_LIMIT_S: u64 = 120;

/// Most events of one put.
pub const PUT_EVENTS_LIMIT: usize = 10;

/// Largest payload of a function that is waited for, and its answer, in bytes.
pub const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;
/// After this long an HTTP API gives up on a function, in seconds.
pub const HTTP_API_LIMIT_S: u64 = 30;
/// Names and values of a function's environment together, in bytes.
pub const FUNCTION_ENVIRONMENT_LIMIT_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ports::limits::KEY_LIMIT_BYTES;
    use shared::ports::{COMMIT_LIMIT, COMMIT_LIMIT_BYTES, DOCUMENT_LIMIT_BYTES};

    /// Names, numbers and overhead of one item, generously.
    const AROUND_BYTES: usize = 1024;

    #[test]
    fn what_the_ports_allow_fits() {
        let frame = 4 * KEY_LIMIT_BYTES + AROUND_BYTES;
        let fits = [
            (DOCUMENT_LIMIT_BYTES + frame, ITEM_LIMIT_BYTES),
            (COMMIT_LIMIT_BYTES + COMMIT_LIMIT * frame, TRANSACTION_LIMIT_BYTES),
            (COMMIT_LIMIT, TRANSACTION_ITEMS_LIMIT),
            (KEY_LIMIT_BYTES, PARTITION_KEY_LIMIT_BYTES),
            (KEY_LIMIT_BYTES, SORT_KEY_LIMIT_BYTES),
            (KEY_LIMIT_BYTES, OBJECT_KEY_LIMIT_BYTES),
            (CLAIM_ABOVE_BYTES + AROUND_BYTES, MESSAGE_LIMIT_BYTES),
        ];
        for (allowed, limit) in fits {
            assert!(allowed <= limit, "{allowed} > {limit}");
        }
    }
}
