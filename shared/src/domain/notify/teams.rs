//! Microsoft Teams by a Workflows webhook: one adaptive card.
//!
//! Texts are runs of a rich text block: unlike text blocks and facts, those know no Markdown and no functions.

use super::is_red;
use super::parcel::{CallAuth, HttpCall, Parcel};
use super::story::{CaseLine, Told};
use crate::domain::render::number_text;
use crate::domain::secret::Secret;
use serde_json::{Value, json};

pub(super) fn parcel(url: &Secret, told: &Told) -> Parcel {
    let colour = if is_red(told.story.verdict) { "attention" } else { "default" };
    let mut body = vec![rich(&[json!({
        "type": "TextRun", "text": told.headline(), "weight": "bolder", "size": "large", "color": colour,
    })])];
    let facts = told.facts();
    body.extend((!facts.is_empty()).then(|| rich(&[run(&facts)])));
    body.extend(told.cause().map(|cause| rich(&[run(cause)])));
    list(&mut body, "Failed", told.failures());
    list(&mut body, "Newly flaky", told.newly_flaky());
    let open = |link: &String| json!({ "type": "Action.OpenUrl", "title": "Open the run", "url": link });
    let actions: Vec<Value> = told.link.iter().map(open).collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
    });
    let body = json!({ "type": "message", "attachments": [attachment] }).to_string();
    Parcel::Calls(vec![HttpCall { url: url.clone(), headers: Vec::new(), auth: CallAuth::Nobody, body }])
}

fn list(body: &mut Vec<Value>, title: &str, (lines, more): (&[CaseLine], u64)) {
    if lines.is_empty() {
        return;
    }
    body.push(rich(&[json!({ "type": "TextRun", "text": title, "weight": "bolder" })]));
    body.extend(lines.iter().map(case));
    body.extend((more > 0).then(|| rich(&[run(&format!("and {} more", number_text(more)))])));
}

fn case(line: &CaseLine) -> Value {
    let name =
        json!({ "type": "TextRun", "text": format!("{} {}", line.job, line.case), "fontType": "monospace" });
    let message = (!line.message.is_empty()).then(|| run(&format!(" {}", line.message)));
    rich(&[name].into_iter().chain(message).collect::<Vec<_>>())
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn rich(inlines: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}
