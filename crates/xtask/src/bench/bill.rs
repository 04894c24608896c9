//! What a run costs beside its machines: played and counted by a test of the functions, shown as a table.

use crate::table::Table;
use crate::{launch, place, toolbox};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::process::Command;

/// The test that plays it, and what the line with its result begins with.
const TEST: &str = "the_price_of_a_run_follows_its_shards_and_batches";
const MARK: &str = "bill {";

/// What the test says.
#[derive(Debug, Deserialize)]
struct Bill {
    shards: u32,
    cases: u64,
    batches: u64,
    requests: u64,
    most: u64,
    usd: f64,
    /// What is paid, how often, and what that is.
    lines: Vec<(String, u64, f64)>,
}

/// The table, with what it rests on.
pub(super) fn text() -> Result<String> {
    toolbox::emulator_python()?;
    let mut test = Command::new(env!("CARGO"));
    // Of the whole workspace, so that dependencies keep the features they were built with.
    test.args(["test", "-q", "--workspace", "--test", "handlers", TEST, "--", "--nocapture"]);
    let said = launch::capture(test.current_dir(place::root()))?;
    let bill = read(&said)?;
    let mut table = Table::new(&["paid", "count", "US$"]);
    for (what, count, usd) in &bill.lines {
        table.row(vec![what.clone(), count.to_string(), format!("{usd:.6}")]);
    }
    table.row(vec!["**altogether**".to_owned(), String::new(), format!("**{:.6}**", bill.usd)]);
    let Bill { shards, cases, batches, requests, most, .. } = bill;
    Ok(format!(
        "## What a run costs beside its machines\n\nA run of {shards} shards and {cases} cases in {batches} batches, from the order to the verdict, \
         against an emulator: {requests} requests to DynamoDB, S3, SQS and ECS (at most {most} are allowed; target: US$ 0.001). Units are reckoned \
         from the sizes of documents. Not in it: the request that orders the run, heartbeats, sweeps, durations and logs of functions, KMS, events. Prices are those of us-east-1 in \
         `functions/tests/handlers/cost.rs`, with their sources, and were not checked against AWS's own pages.\n\n{}",
        table.markdown()
    ))
}

fn read(said: &str) -> Result<Bill> {
    let line = said.lines().find_map(|line| line.get(line.find(MARK)? + MARK.len() - 1..));
    serde_json::from_str(line.context("the test said nothing of its price")?)
        .context("the test's bill is not one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_is_found_behind_what_the_harness_says() {
        let said = "running 1 test\ntest cost::it ... bill {\"shards\":1,\"cases\":2,\"batches\":3,\"requests\":4,\"most\":5,\"usd\":0.5,\"lines\":[[\"x\",6,0.5]]}\nok\n";
        let bill = read(said).unwrap();
        assert_eq!((bill.shards, bill.lines.len()), (1, 1));
        assert!(read("ok").is_err());
    }
}
