//! One line per event in the embedded metric format of `CloudWatch`: what the event cost in requests to AWS, and how long
//! it took.

use aws::count::Counted;
use serde_json::{Value, json};
use shared::domain::time::Timestamp;
use std::io::Write as _;
use std::time::Duration;

/// Namespace of our metrics.
pub const NAMESPACE: &str = "Fleetest";
/// The dimension of all of them.
pub const FUNCTION: &str = "Function";
/// Milliseconds that an event took.
pub const TOOK: &str = "TookMs";
const REQUESTS: &str = "AwsRequests";
const FAILURES: &str = "FailedEvents";

/// How an event went.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Whether it was handled.
    pub done: bool,
    /// How long that took; none = whoever sent it asked us to wait, so that the time says nothing about us.
    pub took: Option<Duration>,
}

/// Writes the line where the platform looks for it.
///
/// The function is named as in its stack, so that the metrics of two stacks in one account are told apart.
pub fn print(function: &str, before: &Counted, after: &Counted, outcome: Outcome, now: Timestamp) {
    let line = line(function, before, after, outcome, now);
    // Metrics that cannot be written are no reason to fail.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn line(function: &str, before: &Counted, after: &Counted, outcome: Outcome, now: Timestamp) -> Value {
    let mut requests = serde_json::Map::new();
    let mut total = 0;
    for ((service, operation), count) in after {
        let earlier = before.get(&(service.clone(), operation.clone())).copied().unwrap_or(0);
        let count = count.saturating_sub(earlier);
        if count > 0 {
            total += count;
            requests.insert(format!("{service}.{operation}"), count.into());
        }
    }
    let mut metrics =
        vec![json!({"Name": REQUESTS, "Unit": "Count"}), json!({"Name": FAILURES, "Unit": "Count"})];
    let took_ms = outcome.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    if took_ms.is_some() {
        metrics.push(json!({"Name": TOOK, "Unit": "Milliseconds"}));
    }
    json!({
        "_aws": {
            "Timestamp": now.0,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [[FUNCTION]], "Metrics": metrics}],
        },
        FUNCTION: function,
        REQUESTS: total,
        FAILURES: u8::from(!outcome.done),
        TOOK: took_ms,
        "requests": requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_what_this_event_sent() {
        let count = |all: &[(&str, u64)]| -> Counted {
            all.iter().map(|(name, count)| (("DynamoDB".to_owned(), (*name).to_owned()), *count)).collect()
        };
        let (before, after) = (count(&[("GetItem", 3)]), count(&[("GetItem", 5), ("Query", 1)]));
        let outcome = Outcome { done: false, took: Some(Duration::from_micros(2_900)) };
        let line = line("box-plan", &before, &after, outcome, Timestamp(7));
        assert_eq!(line["AwsRequests"], 3);
        assert_eq!(line["FailedEvents"], 1);
        assert_eq!(line["TookMs"], 2);
        assert_eq!(line["Function"], "box-plan");
        assert_eq!(line["requests"], json!({"DynamoDB.GetItem": 2, "DynamoDB.Query": 1}));
        assert_eq!(line["_aws"]["Timestamp"], 7);
        let named = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(named["Metrics"].as_array().unwrap().len(), 3);
        for metric in named["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        for dimension in named["Dimensions"][0].as_array().unwrap() {
            assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
        }
    }

    #[test]
    fn a_wait_that_was_asked_for_is_no_measurement() {
        let outcome = Outcome { done: true, took: None };
        let line = line("box-api", &Counted::new(), &Counted::new(), outcome, Timestamp(7));
        assert!(!line["_aws"].to_string().contains("TookMs"), "{line}");
        assert_eq!(line["FailedEvents"], 0);
    }
}
