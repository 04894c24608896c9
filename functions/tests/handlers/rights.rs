//! What a function sends, its role allows; the emulator would not tell.

use crate::template::may;
use functions::cloud::Cloud;

/// The rights that a request takes, where they are not called like it.
fn actions(service: &str, operation: &str) -> Vec<String> {
    let all: &[&str] = match (service, operation) {
        ("DynamoDB", "TransactWriteItems") => {
            &["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"]
        }
        ("S3", "HeadObject") => &["s3:GetObject"],
        ("S3", "ListObjectsV2") => &["s3:ListBucket"],
        ("S3", "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload") => &["s3:PutObject"],
        ("SQS", "SendMessageBatch") => &["sqs:SendMessage"],
        ("EventBridge", "PutEvents") => &["events:PutEvents"],
        // Tasks are tagged and given their role.
        ("ECS", "RunTask") => &["ecs:RunTask", "ecs:TagResource", "iam:PassRole"],
        _ => return vec![format!("{}:{operation}", service.to_lowercase().replace(' ', ""))],
    };
    all.iter().map(|action| (*action).to_owned()).collect()
}

/// Everything that was sent by the clients of this function's cloud. A cloud that a test sets things up with is another one.
pub(crate) fn keeps_to_its_role(function: &str, cloud: &Cloud) {
    for (service, operation) in cloud.connection.counts().so_far().keys() {
        for action in actions(service, operation) {
            assert!(may(function, &action), "`{function}` may not `{action}`");
        }
    }
}
