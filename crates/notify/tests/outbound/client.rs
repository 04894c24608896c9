//! The client on real sockets: names that change their mind, redirects, long and slow answers, TLS.

use super::receiver::{Receiver, loopback};
use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use notify::client::{ANSWER_LIMIT_BYTES, Call, CallError, Outbound};
use notify::guard::{Allow, Blocked, Lookup};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// A look-up that answers differently each time, as a rebinding name server does.
#[derive(Debug)]
struct Rebinding(Mutex<VecDeque<Vec<IpAddr>>>);

impl Rebinding {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Lookup for Rebinding {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        self.0.lock().unwrap().pop_front().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn get(url: &str) -> Call<'_> {
    Call { url, headers: &[], body: None, bearer: None }
}

fn text(body: &str) -> Response {
    body.to_owned().into_response()
}

#[tokio::test]
async fn a_name_is_resolved_once_and_only_its_public_addresses_are_used() {
    let hits = Receiver::start(|_| text("secret")).await;
    let inside = [
        &["127.0.0.1"][..],
        &["169.254.169.254", "10.0.0.1", "::1", "fd00::1", "::ffff:127.0.0.1", "0.0.0.0"],
    ];
    for addresses in inside {
        // The second answer is what a check before the call would have seen.
        let lookup = Rebinding::new(&[addresses, &["1.1.1.1"]]);
        let outbound = Outbound::with_lookup(Allow::default(), Arc::clone(&lookup) as _).unwrap();
        let refused = outbound.call(get("https://rebind.example/")).await.unwrap_err();
        assert!(matches!(refused, CallError::Blocked(Blocked::Address)), "{refused:?}");
        assert_eq!(lookup.left(), 1, "the name was asked for once");
    }
    assert_eq!(hits.got().len(), 0);
}

#[tokio::test]
async fn a_name_goes_where_its_first_answer_said_even_if_that_changes() {
    let receiver = Receiver::start(|_| text("here")).await;
    // The private part is filtered out of a mixed answer; what is left is loopback, by name allowed.
    let lookup = Rebinding::new(&[&["127.0.0.1"], &["192.0.2.1"]]);
    let allow = Allow { hosts: BTreeSet::from(["ci.internal".to_owned()]), ..Allow::default() };
    let outbound = Outbound::with_lookup(allow, Arc::clone(&lookup) as _).unwrap();
    let url = format!("http://ci.internal:{}/x", receiver.at.port());
    for _ in 0..2 {
        // The second call goes over the connection of the first: nothing is asked again.
        assert_eq!(outbound.call(get(&url)).await.unwrap().body, b"here");
    }
    assert_eq!((receiver.got().len(), lookup.left()), (2, 1));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inner = Receiver::start(|_| text("inner")).await;
    let target = inner.url("/secret");
    let outer =
        Receiver::start(move |_| (StatusCode::FOUND, [("location", target.clone())]).into_response()).await;
    let outbound = Outbound::new(loopback()).unwrap();
    assert_eq!(outbound.call(get(&outer.url("/"))).await.unwrap().status, 302);
    assert_eq!((outer.got().len(), inner.got().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_longer_than_a_megabyte_is_dropped() {
    let receiver = Receiver::start(|got| {
        let bytes = if got.path == "/fits" { ANSWER_LIMIT_BYTES } else { ANSWER_LIMIT_BYTES + 1 };
        vec![b'x'; bytes].into_response()
    })
    .await;
    let outbound = Outbound::new(loopback()).unwrap();
    assert_eq!(outbound.call(get(&receiver.url("/fits"))).await.unwrap().body.len(), ANSWER_LIMIT_BYTES);
    let long = outbound.call(get(&receiver.url("/long"))).await.unwrap_err();
    assert!(matches!(long, CallError::TooLong { limit_bytes: ANSWER_LIMIT_BYTES }), "{long:?}");
    let url = receiver.url("/long");
    let read = outbound.call_up_to(get(&url), ANSWER_LIMIT_BYTES + 1).await.unwrap();
    assert_eq!(read.body.len(), ANSWER_LIMIT_BYTES + 1, "whoever expects more says so");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let outbound = Outbound::new(loopback()).unwrap();
    let silent = outbound.call(get(&url)).await.unwrap_err();
    assert!(matches!(silent, CallError::TimedOut), "{silent:?}");
}

#[tokio::test]
async fn an_https_call_begins_with_a_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let first = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).await.unwrap();
        byte[0]
    });
    let outbound = Outbound::new(loopback()).unwrap();
    let failed = outbound.call(get(&url)).await.unwrap_err();
    assert!(matches!(failed, CallError::Unreachable(_)), "{failed:?}");
    assert_eq!(first.await.unwrap(), 0x16, "the first record of TLS");
}

#[tokio::test]
async fn json_is_fetched_or_it_is_said_why_not() {
    let receiver = Receiver::start(|got| match got.path.as_str() {
        "/keys" => text("{\"keys\":[]}"),
        "/html" => text("<html>"),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let outbound = Outbound::new(loopback()).unwrap();
    let fetched: Value = outbound.fetch_json(&receiver.url("/keys")).await.unwrap();
    assert_eq!(fetched, serde_json::json!({ "keys": [] }));
    let odd = outbound.fetch_json::<Value>(&receiver.url("/html")).await.unwrap_err();
    let gone = outbound.fetch_json::<Value>(&receiver.url("/x")).await.unwrap_err();
    assert!(matches!((odd, gone), (CallError::NotJson(_), CallError::Status(404))));
}

#[tokio::test]
async fn errors_show_nothing_of_the_url() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outbound = Outbound::new(loopback()).unwrap();
    for url in [format!("http://{closed}/canary"), "https://10.0.0.1/canary".to_owned(), "canary".to_owned()]
    {
        let error = outbound.call(get(&url)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}
