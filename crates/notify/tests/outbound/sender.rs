//! Parcels on their way: what each answer means, mails, the GitHub App, and the outbox on top of it.

use super::receiver::{Got, Receiver, loopback};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use notify::client::Outbound;
use notify::github::GithubApp;
use notify::mail::{MailSettings, MailTls, Mailer};
use notify::sender::Sender;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use shared::domain::notify::parcel::{Answer, CallAuth, HttpCall, Mail, Parcel};
use shared::domain::secret::Secret;
use shared::domain::time::Timestamp;
use shared::ports::Notifier as _;
use std::sync::Arc;
use testkit::memory::ManualClock;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

const KEY: &str = include_str!("../fixtures/app-key.pem");

fn sender(mailer: Option<Mailer>, app: Option<GithubApp>) -> Sender {
    Sender::new(Outbound::new(loopback()).unwrap(), mailer, app)
}

fn call(url: String, auth: CallAuth) -> HttpCall {
    let headers = vec![("webhook-id".to_owned(), "evt_1".to_owned())];
    HttpCall { url: Secret::new(url), headers, auth, body: "{\"a\":1}".to_owned() }
}

#[tokio::test]
async fn what_a_receiver_answers_decides_what_becomes_of_the_message() {
    let receiver = Receiver::start(|got| {
        let status: u16 = got.path.trim_start_matches('/').parse().unwrap();
        (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], "do not echo this").into_response()
    })
    .await;
    let sender = sender(None, None);
    for status in [200, 204, 301, 400, 403, 404, 410, 408, 425, 429, 500, 503] {
        let parcel = Parcel::Calls(vec![call(receiver.url(&format!("/{status}")), CallAuth::Nobody)]);
        let answer = sender.deliver(&parcel).await;
        let reason = format!("the receiver answered {status}");
        let expected = match status {
            200 | 204 => Answer::Delivered,
            301 | 400 | 404 | 410 => Answer::Refused { reason },
            _ => Answer::Later { reason, after_ms: Some(7_000) },
        };
        assert_eq!(answer, expected);
    }
    let got = receiver.got();
    assert_eq!(
        (&got[0].body[..], got[0].headers["webhook-id"].as_bytes()),
        (&b"{\"a\":1}"[..], &b"evt_1"[..])
    );
    assert_eq!(got[0].headers["content-type"], "application/json");
}

#[tokio::test]
async fn the_first_call_that_is_not_taken_ends_the_attempt() {
    let receiver = Receiver::start(|got| match got.path.as_str() {
        "/b" => StatusCode::BAD_GATEWAY.into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let calls = ["/a", "/b", "/c"].map(|path| call(receiver.url(path), CallAuth::Nobody)).to_vec();
    let answer = sender(None, None).deliver(&Parcel::Calls(calls)).await;
    assert!(matches!(answer, Answer::Later { .. }));
    assert_eq!(receiver.got().iter().map(|got| got.path.clone()).collect::<Vec<_>>(), ["/a", "/b"]);
}

#[tokio::test]
async fn what_can_never_arrive_is_refused_and_what_may_is_tried_again() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sender = sender(None, None);
    let deliver = async |url: &str, auth: CallAuth| {
        sender.deliver(&Parcel::Calls(vec![call(url.to_owned(), auth)])).await
    };
    assert!(matches!(deliver("https://10.0.0.1/x", CallAuth::Nobody).await, Answer::Refused { .. }));
    assert!(matches!(deliver(&format!("http://{closed}/"), CallAuth::Nobody).await, Answer::Later { .. }));
    let app = CallAuth::GithubApp { api_url: String::new(), owner: "o".to_owned(), repo: "r".to_owned() };
    assert!(matches!(deliver("http://127.0.0.1/", app).await, Answer::Refused { .. }));
    let mail = Parcel::Mail(mail(&["a@example.org"]));
    assert!(matches!(sender.deliver(&mail).await, Answer::Refused { .. }));
}

pub(crate) fn mail(to: &[&str]) -> Mail {
    Mail {
        id: "evt_1".to_owned(),
        to: to.iter().map(|address| (*address).to_owned()).collect(),
        subject: "Web failed on ünïcode".to_owned(),
        text: "plain <b>\n.\nend\n".to_owned(),
        html: "<p>&lt;b&gt;</p>\n".to_owned(),
    }
}

/// A relay that speaks as much SMTP as a mail needs, for one connection; `rcpt` answers each address.
async fn relay(rcpt: &'static str) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
        let mut lines = BufReader::new(&mut read).lines();
        let mut heard = Vec::new();
        let mut inside = false;
        write.write_all(b"220 relay\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "." if inside => Some("250 ok"),
                _ if inside => None,
                "EHLO" => Some("250 relay"),
                "RCPT" => Some(rcpt),
                "DATA" => Some("354 go on"),
                "QUIT" => Some("221 bye"),
                _ => Some("250 ok"),
            };
            inside = (inside && line != ".") || line == "DATA";
            heard.push(line);
            if let Some(answer) = answer {
                write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
        }
        heard
    });
    (port, heard)
}

pub(crate) fn mailer(port: u16) -> Mailer {
    Mailer::new(MailSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: MailTls::Plain,
        login: None,
        from: "Fleetest <ci@example.org>".to_owned(),
    })
    .unwrap()
}

#[tokio::test]
async fn a_mail_reaches_the_relay_in_both_forms() {
    let (port, heard) = relay("250 ok").await;
    let sender = sender(Some(mailer(port)), None);
    let answer = sender.deliver(&Parcel::Mail(mail(&["a@example.org", "b@example.org"]))).await;
    assert_eq!(answer, Answer::Delivered);
    drop(sender);
    let heard = heard.await.unwrap();
    let said = |text: &str| heard.iter().any(|line| line.contains(text));
    assert!(
        said("MAIL FROM:<ci@example.org>")
            && said("RCPT TO:<a@example.org>")
            && said("RCPT TO:<b@example.org>")
    );
    assert!(said("Message-ID: <evt_1@example.org>") && said("multipart/alternative"), "{heard:#?}");
    assert!(said("text/plain") && said("text/html") && said("Subject: Web failed on =?utf-8?"), "{heard:#?}");
}

#[tokio::test]
async fn a_relay_refuses_for_good_or_for_now() {
    for (rcpt, for_good) in [("550 no such user", true), ("451 try later", false)] {
        let (port, _) = relay(rcpt).await;
        let answer = sender(Some(mailer(port)), None).deliver(&Parcel::Mail(mail(&["a@example.org"]))).await;
        let refused = matches!(answer, Answer::Refused { .. });
        assert_eq!((refused, matches!(answer, Answer::Later { .. })), (for_good, !for_good), "{answer:?}");
    }
    let odd = MailSettings {
        host: "127.0.0.1".to_owned(),
        port: None,
        tls: MailTls::StartTls,
        login: Some(("u".to_owned(), Secret::new("canary"))),
        from: "nobody".to_owned(),
    };
    assert!(!format!("{odd:?}").contains("canary") && Mailer::new(odd).is_err());
}

/// GitHub as far as an App sees it; it checks the claim's signature.
fn github(got: &Got) -> Response {
    let bearer = got.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    match got.path.as_str() {
        "/repos/o/r/installation" if genuine(bearer) => text(&json!({ "id": 77 })),
        "/app/installations/77/access_tokens" if genuine(bearer) => text(&json!({ "token": "ghs_token" })),
        "/repos/o/r/check-runs" if bearer == "ghs_token" => StatusCode::CREATED.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn text(body: &Value) -> Response {
    body.to_string().into_response()
}

fn genuine(claim: &str) -> bool {
    let (text, signature) = claim.rsplit_once('.').unwrap();
    let der =
        STANDARD.decode(KEY.lines().filter(|line| !line.contains("-----")).collect::<String>()).unwrap();
    let key = RsaKeyPair::from_der(&der).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref().to_vec());
    let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims, json!({ "iat": 940, "exp": 1480, "iss": "123" }));
    public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok()
}

#[tokio::test]
async fn the_app_becomes_a_token_for_one_repository_and_asks_again_after_its_time() {
    let receiver = Receiver::start(github).await;
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let app = GithubApp::new("123".to_owned(), &Secret::new(KEY), Arc::clone(&clock) as _).unwrap();
    let sender = sender(None, Some(app));
    let place = |repo: &str| {
        let api_url = receiver.url("");
        let url = format!("{api_url}/repos/o/{repo}/check-runs");
        let auth = CallAuth::GithubApp { api_url, owner: "o".to_owned(), repo: repo.to_owned() };
        Parcel::Calls(vec![call(url, auth)])
    };
    assert_eq!(sender.deliver(&place("r")).await, Answer::Delivered);
    assert_eq!(sender.deliver(&place("r")).await, Answer::Delivered);
    assert_eq!(receiver.got().len(), 4, "two calls for the token, one for each message");
    assert!(matches!(sender.deliver(&place("elsewhere")).await, Answer::Refused { .. }));
    assert!(GithubApp::new("1".to_owned(), &Secret::new("no key"), clock).is_err());
}
