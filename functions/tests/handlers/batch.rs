//! Batches that do not go well.

use crate::cloud::{calm, cloud, context, sample};
use aws::config::Config;
use functions::batch::Batch;
use functions::cloud::{Cloud, Tokens};
use functions::start::{Failed, Function as _};
use serde_json::{Value, json};
use shared::ports::Topic;
use std::time::Duration;

fn failures(answer: &Value) -> usize {
    answer["batchItemFailures"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_batch_without_time_is_given_back_whole() {
    let function = Batch::new(cloud().await, Topic::Plan);
    let answer = function.call(sample("plan/same-wake-twice"), context(Duration::ZERO)).await.unwrap();
    let given = sample("plan/same-wake-twice")["Records"].as_array().unwrap().len();
    assert_eq!(failures(&answer), given, "{answer}");
}

#[tokio::test]
async fn a_wake_of_another_queue_is_none_of_ours() {
    let cloud = cloud().await;
    let function = Batch::new(cloud.clone(), Topic::Aggregate);
    let answer = function.call(sample("plan/one-wake"), calm()).await.unwrap();
    assert_eq!(failures(&answer), 0, "{answer}");
    let reasons = crate::cloud::buried(&cloud, Topic::Aggregate).await;
    assert!(reasons[0].contains("none that this queue is for"), "{reasons:?}");
}

#[tokio::test]
async fn what_the_table_refuses_comes_again() {
    let config = Config { table: "no-such-table".to_owned(), ..cloud().await.config };
    let cloud = Cloud::open(config, Tokens::Unused).await.unwrap();
    let function = Batch::new(cloud, Topic::Plan);
    let answer = function.call(sample("plan/one-wake"), calm()).await.unwrap();
    assert_eq!(failures(&answer), 1, "{answer}");
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let function = Batch::new(cloud().await, Topic::Plan);
    for wrong in [json!(7), json!({"Records": 7}), json!({"Records": [7]})] {
        let answer = function.call(wrong.clone(), calm()).await;
        assert!(matches!(answer, Err(Failed::Event(_))), "{wrong}: {answer:?}");
    }
}
