//! Logs whose connection breaks, and logs that were lost: neither can be had of a real server when it is wanted.

use crate::remote::commands::tests::command;
use crate::remote::scripted::{Answer, Scripted, Seen, json};
use serde_json::json as value;
use std::path::Path;

const LIST: &str = "/v1/runs/run_1/logs";

fn log(name: &str, shard: u32) -> serde_json::Value {
    value!({"job": 1, "shard": shard, "attempt": 1, "stream": name, "name": format!("1-{name}"), "path": "/x", "length": 6,
        "end": null})
}

fn part(text: &str, next_offset: u64, length: u64, last: bool) -> Answer {
    let end = last.then_some("complete");
    json(
        200,
        &value!({"text": text, "offset": 0, "next_offset": next_offset, "length": length, "end": end, "last": last}),
    )
}

fn offset(seen: &Seen) -> u64 {
    seen.path.split("offset=").nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_followed_log_is_whole_although_the_server_breaks_off() {
    let server = Scripted::start(|seen, n| match (seen.path.starts_with(LIST), n) {
        (true, _) => json(200, &value!({"items": [log("setup", 1), log("runner", 1)]})),
        (false, 1) => part("abc", 3, 3, false),
        (false, 2) => Answer::Cut("{\"text\":\"de".to_owned()),
        (false, 3) => Answer::HangUp,
        (false, 4) => part("", 3, 3, false),
        (false, _) => part("def", 6, 6, true),
    });
    let done = command(&server, Path::new("/"), &["logs", "run_1", "--name", "setup", "--follow"]);
    assert_eq!((done.exit, done.written.out()), (0, "abcdef".to_owned()), "{}", done.written.err());
    let offsets: Vec<u64> = done.seen.iter().skip(1).map(offset).collect();
    assert_eq!(offsets, [0, 3, 3, 3, 3]);
}

#[test]
fn a_log_that_was_cut_says_so() {
    let server = Scripted::start(|seen, _| {
        if seen.path.starts_with(LIST) {
            return json(200, &value!({"items": [log("setup", 1)]}));
        }
        let end = "truncated: the disk is full";
        json(
            200,
            &value!({"text": "a", "offset": 0, "next_offset": 1, "length": 1, "end": end, "last": true}),
        )
    });
    let done = command(&server, Path::new("/"), &["logs", "run_1"]);
    assert!(done.written.err().contains("the log is truncated: the disk is full"));
}
