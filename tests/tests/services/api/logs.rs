//! Logs: listed, read in parts, followed to their end marker.

use super::Front;
use crate::desk::{Hand, now, suite};
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use shared::domain::id::RunId;
use shared::wire::link::{LogRequest, RunnerEnd};
use tower::ServiceExt as _;

fn append(front: &Front, hand: &Hand<'_>, offset: u64, text: &str, end: Option<&str>) -> u64 {
    let request =
        LogRequest { stream: "setup".to_owned(), offset, text: text.to_owned(), end: end.map(str::to_owned) };
    now(front.desk.services.append_log(&hand.caller, &request)).unwrap().next_offset
}

fn place(run: RunId) -> String {
    format!("/v1/runs/{run}/jobs/1/shards/1/logs/1-setup")
}

#[test]
fn any_part_of_a_log_can_be_read_and_characters_stay_whole() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let hand = front.desk.runner_of(Some(run), (1, 1), 1);
    let pieces = ["one\n", "zwölf\n", "", "three and four\n", "ünf"];
    let whole: String = pieces.concat();
    let mut offset = 0;
    for piece in pieces {
        offset = append(&front, &hand, offset, piece, None);
    }
    let listed = front.all(&format!("/v1/runs/{run}/logs"));
    assert_eq!((listed.len(), &listed[0]["path"]), (1, &json!(place(run))));
    assert_eq!((&listed[0]["length"], &listed[0]["end"]), (&json!(whole.len()), &Value::Null));
    for limit in [1, 2, 3, 5, 9, 100] {
        let (mut at, mut text) = (0, String::new());
        loop {
            let part = front.get(&format!("{}?offset={at}&limit={limit}", place(run))).ok();
            let said = part["text"].as_str().unwrap();
            assert!(said.len() <= limit.max(4), "{part}");
            assert_eq!((&part["offset"], &part["last"]), (&json!(at), &json!(false)));
            if said.is_empty() {
                break;
            }
            text.push_str(said);
            at = part["next_offset"].as_u64().unwrap();
        }
        assert_eq!(text, whole, "{limit}");
    }
    for offset in 0..whole.len() {
        let part = front.get(&format!("{}?offset={offset}", place(run))).ok();
        let begins = whole.ceil_char_boundary(offset);
        assert_eq!((&part["text"], &part["offset"]), (&json!(whole[begins..]), &json!(begins)));
    }
    let behind = front.get(&format!("{}?offset=9999", place(run))).ok();
    assert_eq!((&behind["text"], &behind["next_offset"]), (&json!(""), &json!(whole.len())));
}

#[test]
fn a_follower_is_woken_by_more_and_ends_at_the_end_marker() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let hand = front.desk.runner_of(Some(run), (1, 1), 1);
    append(&front, &hand, 0, "a", None);
    let follow = |offset: u64| {
        let request = Request::get(format!("{}?follow=true&offset={offset}", place(run)))
            .header(header::AUTHORIZATION, format!("Bearer {}", front.admin))
            .body(Body::empty())
            .unwrap();
        let router = front.router();
        async move {
            let body = router.oneshot(request).await.unwrap().into_body();
            serde_json::from_slice::<Value>(&to_bytes(body, usize::MAX).await.unwrap()).unwrap()
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // The follower is asked first and finds nothing; only then is more written.
    let more =
        runtime.block_on(async { tokio::join!(follow(1), async { append(&front, &hand, 1, "b", None) }).0 });
    assert_eq!((&more["text"], &more["last"]), (&json!("b"), &json!(false)));
    let end = runtime.block_on(async {
        tokio::join!(follow(2), async { append(&front, &hand, 2, "c", Some("complete")) }).0
    });
    assert_eq!((&end["text"], &end["end"], &end["last"]), (&json!("c"), &json!("complete"), &json!(true)));
    let again = runtime.block_on(follow(3));
    assert_eq!((&again["text"], &again["last"]), (&json!(""), &json!(true)));
}

#[test]
fn the_log_of_a_lost_runner_ends_with_it() {
    let front = Front::with_project("web");
    let run = front.start("web", vec![suite("unit")]);
    let hand = front.desk.runner_of(Some(run), (1, 1), 1);
    append(&front, &hand, 0, "half", None);
    hand.finish(RunnerEnd::Released);
    let part = front.get(&format!("{}?follow=true", place(run))).ok();
    assert_eq!((&part["text"], &part["last"]), (&json!("half"), &json!(true)));
    assert!(part["end"].as_str().unwrap().starts_with("lost"));
    for nothing in ["1-build", "setup", "x-setup", "2-setup"] {
        let path = format!("/v1/runs/{run}/jobs/1/shards/1/logs/{nothing}");
        assert_eq!(front.get(&path).problem(), (404, "not_found"), "{nothing}");
    }
    assert_eq!(front.get(&format!("{}?limit=0", place(run))).problem(), (422, "invalid"));
}
