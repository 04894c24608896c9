//! Slack incoming webhooks: Block Kit, with everything of tests inert.

use super::parcel::{CallAuth, HttpCall, Parcel};
use super::story::{CaseLine, Told};
use crate::domain::render::{number_text, one_line};
use crate::domain::secret::Secret;
use serde_json::{Value, json};

const HEADER_CHARS: usize = 150;

pub(super) fn parcel(url: &Secret, told: &Told) -> Parcel {
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": one_line(&told.headline(), HEADER_CHARS), "emoji": false },
    })];
    let facts = told.facts();
    blocks.extend((!facts.is_empty()).then(|| section(&escape(&facts))));
    blocks.extend(told.cause().map(|cause| section(&escape(cause))));
    list(&mut blocks, "Failed", told.failures());
    list(&mut blocks, "Newly flaky", told.newly_flaky());
    blocks.extend(told.link.as_deref().map(button));
    let body =
        json!({ "text": escape(&told.headline()), "blocks": blocks, "unfurl_links": false }).to_string();
    Parcel::Calls(vec![HttpCall { url: url.clone(), headers: Vec::new(), auth: CallAuth::Nobody, body }])
}

fn list(blocks: &mut Vec<Value>, title: &str, (lines, more): (&[CaseLine], u64)) {
    if lines.is_empty() {
        return;
    }
    blocks.push(section(&format!("*{title}*")));
    blocks.extend(lines.iter().map(|line| section(&case_text(line))));
    blocks.extend((more > 0).then(|| section(&format!("and {} more", number_text(more)))));
}

fn case_text(line: &CaseLine) -> String {
    let message = if line.message.is_empty() { String::new() } else { format!("\n{}", code(&line.message)) };
    format!("{} {}{message}", code(&line.job), code(&line.case))
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn button(link: &str) -> Value {
    json!({
        "type": "actions",
        "elements": [{ "type": "button", "text": { "type": "plain_text", "text": "Open the run" }, "url": link }],
    })
}

/// The three characters that Slack reads as its own; with them go mentions and links.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text in which nothing means anything.
fn code(text: &str) -> String {
    format!("`{}`", escape(&text.replace('`', "ʼ")))
}
