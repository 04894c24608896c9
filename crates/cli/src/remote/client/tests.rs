//! Calls against a real server on loopback.

use super::*;
use crate::exit::describe;
use crate::remote::scripted::{Answer, KEY, Scripted, json, problem};
use serde_json::json as value;
use std::collections::BTreeMap;
use std::net::TcpListener;

fn client(server: &Scripted) -> Client {
    Client::new(&server.settings()).unwrap()
}

fn post(client: &Client) -> Result<Reply, Problem> {
    client.send(&Method::POST, &Route::new(&["v1", "things"]), &value!({"a": 1}))
}

fn later(status: u16) -> Answer {
    Answer::Say(status, vec![("retry-after", "0".to_owned())], String::new())
}

#[test]
fn a_write_is_repeated_with_the_same_key_until_it_is_answered() {
    let answers = vec![
        later(503),
        later(429),
        Answer::HangUp,
        later(409),
        Answer::Cut("{".to_owned()),
        json(201, &value!({"id": "x"})),
    ];
    let server = Scripted::of(answers);
    let client = client(&server);
    let reply = post(&client).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (201, br#"{"id":"x"}"#.as_slice()));
    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    let key = seen[0].header("idempotency-key").unwrap().to_owned();
    for request in &seen {
        assert_eq!(request.header("idempotency-key"), Some(key.as_str()));
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(request.header("user-agent"), Some(concat!("fleetest/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(request.json(), value!({"a": 1}));
    }
}

#[test]
fn every_write_has_a_key_of_its_own_and_a_read_has_none() {
    let server = Scripted::start(|_, _| json(200, &value!({})));
    let client = client(&server);
    post(&client).unwrap();
    post(&client).unwrap();
    client.get(&Route::new(&["v1", "things"])).unwrap();
    let keys: Vec<Option<String>> =
        server.seen().iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys[0].is_some() && keys[1].is_some() && keys[0] != keys[1]);
    assert_eq!(keys[2], None);
}

#[test]
fn a_final_refusal_is_not_repeated_and_says_what_why_and_what_to_do() {
    let cases = [
        problem(401, "unauthorised", "the credential is not valid"),
        problem(403, "role_too_low", "this needs the role `maintainer`"),
        problem(404, "not_found", "there is no such thing here"),
        problem(409, "done_already", "it exists"),
        json(
            422,
            &value!({"detail": "the body is wrong", "code": "invalid", "request_id": "req-1", "errors": [
            {"pointer": "/id", "detail": "has a blank"}, {"pointer": "/x\u{1b}[2J", "detail": "unknown"}]}),
        ),
        problem(500, "internal", "what is stored cannot be understood"),
        Answer::Say(418, Vec::new(), "<html>".to_owned()),
        Answer::Say(302, vec![("location", "https://elsewhere.example/".to_owned())], String::new()),
    ];
    let mut texts = Vec::new();
    for answer in cases {
        let server = Scripted::of(vec![answer]);
        let problem = post(&client(&server)).unwrap_err();
        let (exit, lines) = describe(&anyhow::Error::from(problem));
        texts.push(format!("{}: {}", exit.code(), lines.join("\n")));
        assert_eq!(server.seen().len(), 1);
    }
    let text = texts.join("\n");
    assert!(!text.contains(KEY));
    insta::assert_snapshot!(text);
}

#[test]
fn a_server_that_stays_away_is_given_up_without_showing_the_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = Settings { url: Some(url.clone()), token: Some(Token::new(KEY)), project: None };
    let client = Client::new(&settings).unwrap().with_patience(Duration::from_millis(50));
    let (exit, lines) = describe(&anyhow::Error::from(post(&client).unwrap_err()));
    assert_eq!(exit, crate::exit::Exit::CouldNotRun);
    assert!(lines[0].contains(&url) && lines[1].contains("because"), "{lines:?}");
    assert!(!lines.join("\n").contains(KEY) && !format!("{client:?}").contains(KEY));
}

#[test]
fn what_stays_busy_is_reported_as_it_was_answered() {
    let server = Scripted::start(|_, _| problem(503, "unavailable", "the store does not answer; try again"));
    let client = client(&server).with_patience(Duration::from_millis(200));
    let problem = post(&client).unwrap_err();
    assert_eq!(problem.exit(), crate::exit::Exit::CouldNotRun);
    assert_eq!(problem.to_string(), "the store does not answer; try again");
    assert!(server.seen().len() > 1);
}

const NO_HEADERS: &BTreeMap<String, String> = &BTreeMap::new();

fn at(address: &str) -> Place<'_> {
    Place { address, headers: NO_HEADERS }
}

#[test]
fn the_key_goes_to_the_server_alone() {
    let server = Scripted::start(|_, _| Answer::Say(200, Vec::new(), String::new()));
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x");
    std::fs::write(&file, "content").unwrap();
    let client = client(&server);
    client.put_file(&at("/v1/uploads/abc"), &file, "application/gzip").unwrap();
    client.put_file(&at(&format!("{}/elsewhere?sig=1", server.url())), &file, "application/gzip").unwrap();
    for seen in server.seen() {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("PUT", b"content".as_slice()));
        assert_eq!(
            (seen.header("content-type"), seen.header("content-length")),
            (Some("application/gzip"), Some("7"))
        );
    }
    assert!(client.put_file(&at("file:///etc/passwd"), &file, "x").is_err());
    let refusing = Scripted::of(vec![problem(403, "expired", "the upload has expired")]);
    let client = Client::new(&refusing.settings()).unwrap();
    let problem = client.put_file(&at("/v1/uploads/secret-right"), &file, "x").unwrap_err();
    let (_, lines) = describe(&anyhow::Error::from(problem));
    assert!(!lines.join("\n").contains("secret-right"), "{lines:?}");
}

#[test]
fn an_upload_whose_answer_was_lost_is_done() {
    let server =
        Scripted::of(vec![Answer::HangUp, problem(409, "already_uploaded", "it has its archive already")]);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x");
    std::fs::write(&file, "content").unwrap();
    assert!(client(&server).put_file(&at("/v1/uploads/abc"), &file, "application/gzip").is_ok());
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_file_that_goes_elsewhere_takes_the_headers_that_were_named() {
    let busy = Answer::Say(503, Vec::new(), String::new());
    let taken = Answer::Say(412, Vec::new(), "<Error><Code>PreconditionFailed</Code></Error>".to_owned());
    let server = Scripted::of(vec![busy, taken]);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x");
    std::fs::write(&file, "content").unwrap();
    let named = [("x-amz-checksum-sha256", "abc="), ("if-none-match", "*"), ("Content-Length", "7")];
    let headers = named.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let address = format!("{}/bucket/key?sig=1", server.url());
    let place = Place { address: &address, headers: &headers };
    // The first attempt was taken after all.
    client(&server).put_file(&place, &file, "application/gzip").unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for (name, value) in named {
        assert_eq!(seen[1].header(&name.to_lowercase()), Some(value));
    }
    assert_eq!(seen[1].header("authorization"), None);
}

#[test]
fn a_file_is_read_anew_for_each_repetition() {
    let server = Scripted::of(vec![later(503), Answer::Say(200, Vec::new(), String::new())]);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x");
    std::fs::write(&file, "content").unwrap();
    let route = Route::new(&["v1", "imports"]);
    client(&server).send_content(&Method::POST, &route, Content::File(&file, "text/plain")).unwrap();
    let bodies: Vec<Vec<u8>> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [b"content", b"content"]);
    let gone = client(&server).send_content(&Method::POST, &route, Content::File(Path::new("/no/such"), "x"));
    assert_eq!(gone.unwrap_err().exit(), crate::exit::Exit::Usage);
}

#[test]
fn what_is_known_is_not_sent_again() {
    let server = Scripted::start(|seen, _| match seen.header("if-none-match") {
        Some("\"1\"") => Answer::Say(304, Vec::new(), String::new()),
        _ => Answer::Say(200, vec![("etag", "\"1\"".to_owned())], "{}".to_owned()),
    });
    let client = client(&server);
    let route = Route::new(&["v1", "x"]);
    let first = client.try_get(&route, None).unwrap();
    let again = client.try_get(&route, first.header("etag")).unwrap();
    assert_eq!((first.status, again.status, again.body.len()), (200, 304, 0));
}

#[test]
fn addresses_are_checked() {
    let base = |text: &str| {
        let settings = Settings { url: Some(text.to_owned()), ..Settings::default() };
        Client::new(&settings).map(|client| client.base().to_owned())
    };
    assert_eq!(base("https://example.org/fleet/").unwrap(), "https://example.org/fleet");
    for text in [
        "",
        "example.org",
        "ftp://example.org",
        "https://",
        "https://u:pw@example.org",
        "http://a b",
        "http://x?y",
    ] {
        let problem = base(text).unwrap_err();
        assert_eq!(problem.exit(), crate::exit::Exit::Usage, "{text}");
        assert!(!problem.to_string().contains("pw@"));
    }
    assert_eq!(Client::new(&Settings::default()).unwrap().base(), "http://127.0.0.1:8000");
    let broken = Settings { token: Some(Token::new("a\nb")), ..Settings::default() };
    assert_eq!(Client::new(&broken).unwrap_err().exit(), crate::exit::Exit::Usage);
}
