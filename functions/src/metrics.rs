//! One line per event in the embedded metric format of `CloudWatch`: what the event cost in requests to AWS.

use aws::count::Counted;
use serde_json::{Value, json};
use shared::domain::time::Timestamp;
use std::io::Write as _;

/// Namespace of our metrics.
pub const NAMESPACE: &str = "Fleetest";
const REQUESTS: &str = "AwsRequests";
const FAILURES: &str = "FailedEvents";

/// Writes the line where the platform looks for it.
pub fn print(function: &str, before: &Counted, after: &Counted, done: bool, now: Timestamp) {
    let line = line(function, before, after, done, now);
    // Metrics that cannot be written are no reason to fail.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn line(function: &str, before: &Counted, after: &Counted, done: bool, now: Timestamp) -> Value {
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
    let metrics = [json!({"Name": REQUESTS, "Unit": "Count"}), json!({"Name": FAILURES, "Unit": "Count"})];
    json!({
        "_aws": {
            "Timestamp": now.0,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}],
        },
        "Function": function,
        REQUESTS: total,
        FAILURES: u8::from(!done),
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
        let line = line("plan", &before, &after, false, Timestamp(7));
        assert_eq!(line["AwsRequests"], 3);
        assert_eq!(line["FailedEvents"], 1);
        assert_eq!(line["Function"], "plan");
        assert_eq!(line["requests"], json!({"DynamoDB.GetItem": 2, "DynamoDB.Query": 1}));
        assert_eq!(line["_aws"]["Timestamp"], 7);
        let named = &line["_aws"]["CloudWatchMetrics"][0];
        for metric in named["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        for dimension in named["Dimensions"][0].as_array().unwrap() {
            assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
        }
    }
}
