//! Fills a served instance through its own API: a project, and runs of many cases, imported.

use super::load::{Connection, request};
use anyhow::{Result, bail};
use serde_json::json;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// The project of the bench.
pub(crate) const PROJECT: &str = "bench";
/// Runs of the project can be ordered without anything else.
const CONFIG: &str = "[suite.unit]\nframework = \"command\"\ncommand = \"true\"\n";

/// A JUnit report of `cases` cases; one in a hundred fails.
pub(crate) fn junit(cases: u32) -> String {
    let mut text = String::from("<testsuites><testsuite name=\"unit\">");
    for case in 0..cases {
        let class = format!("tests.module_{}", case / 50);
        let inside = if case % 100 == 7 {
            "<failure message=\"it did not hold\">expected 1, got 2</failure>"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "<testcase classname=\"{class}\" name=\"test_number_{case}\" time=\"0.0{}\">{inside}</testcase>",
            case % 90 + 10
        );
    }
    text.push_str("</testsuite></testsuites>");
    text
}

/// Imports `runs` runs of `cases` cases each; returns their ids.
pub(crate) async fn fill(address: SocketAddr, key: &str, runs: u32, cases: u32) -> Result<Vec<String>> {
    let mut connection = Connection::open(address).await?;
    let project = json!({ "id": PROJECT, "repository": "https://example.org/bench.git", "config": CONFIG });
    ask(&mut connection, &request("POST", "/v1/projects", key, &project.to_string())).await?;
    let body = junit(cases);
    let mut ids = Vec::new();
    for run in 0..runs {
        let path =
            format!("/v1/projects/{PROJECT}/imports?format=junit&branch=main&suite=unit&commit={run:040x}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let said = ask(&mut connection, &[head.as_bytes(), body.as_bytes()].concat()).await?;
        let made: serde_json::Value = serde_json::from_str(&said)?;
        ids.push(made["run"]["id"].as_str().unwrap_or_default().to_owned());
    }
    Ok(ids)
}

/// The body of a request that must succeed.
pub(crate) async fn ask(connection: &mut Connection, text: &[u8]) -> Result<String> {
    let answer = connection.ask(text).await?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status >= 300 {
        bail!("{} {said}", answer.status);
    }
    Ok(said)
}
