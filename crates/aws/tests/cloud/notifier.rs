//! Mails by SES, against a strict fake of its one call: what it takes it writes down whole.

use crate::hosting::hosted;
use crate::stage;
use async_trait::async_trait;
use aws::connection::Connection;
use aws::ses::{ID_HEADER, SesMailer};
use serde_json::{Value, json};
use shared::domain::notify::parcel::{Answer, Mail, Parcel};
use shared::ports::Notifier;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use testkit::contract::notifier::{Mood, NotifierProbe, SECRET};
use testkit::http::{Request, Response, Server};

const FROM: &str = "Fleetest <ci@example.org>";

/// What is wrong with a mail, as SES would say.
fn fault(mail: &Value) -> Option<&'static str> {
    let simple = &mail["Content"]["Simple"];
    let parts = [&simple["Subject"], &simple["Body"]["Text"], &simple["Body"]["Html"]];
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let to = mail["Destination"]["ToAddresses"].as_array();
    if mail["FromEmailAddress"] != FROM {
        return Some("the sender is not verified");
    }
    if to.is_none_or(|to| to.is_empty() || to.len() > 50) {
        return Some("1 to 50 receivers");
    }
    if !parts.iter().all(|part| text(&part["Data"]) && part["Charset"] == "UTF-8") {
        return Some("a part is missing");
    }
    let named = |header: &Value| text(&header["Name"]) && text(&header["Value"]);
    let headers = simple["Headers"].as_array();
    headers.is_none_or(|all| !all.iter().all(named)).then_some("a header is not one")
}

fn refusal(status: u16, code: &str) -> Response {
    let headers = vec![("x-amzn-errortype".to_owned(), code.to_owned())];
    Response { headers, ..Response::new(status, json!({ "message": SECRET }).to_string()) }
}

fn ses(mood: Mood, accepted: &Arc<Mutex<Vec<String>>>) -> Server {
    let accepted = Arc::clone(accepted);
    let answers = move |request: Request| {
        let asked = (request.method.as_str(), request.target.as_str());
        if asked != ("POST", "/v2/email/outbound-emails") {
            return refusal(404, "NotFoundException");
        }
        match mood {
            Mood::Busy => return refusal(429, "TooManyRequestsException"),
            Mood::Refusing => return refusal(400, "MailFromDomainNotVerifiedException"),
            Mood::Willing | Mood::Absent => {}
        }
        let mail: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(fault) = fault(&mail) {
            return Response::new(400, json!({ "message": fault }).to_string());
        }
        accepted.lock().unwrap().push(mail.to_string());
        Response::new(200, json!({ "MessageId": "0100018c" }).to_string())
    };
    Server::start(Arc::new(answers)).unwrap()
}

struct Hosted(SesMailer);

impl std::fmt::Debug for Hosted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Notifier for Hosted {
    async fn deliver(&self, parcel: &Parcel) -> Answer {
        hosted(self.0.deliver(parcel)).await
    }
}

fn mailer(url: &str) -> Hosted {
    Hosted(SesMailer::new(Connection::new(stage::account(url)).ses(), FROM))
}

struct Probe {
    services: Vec<(Mood, Server, Hosted)>,
    absent: Hosted,
    accepted: Arc<Mutex<Vec<String>>>,
}

impl Probe {
    fn new() -> Self {
        let accepted = Arc::default();
        let services = [Mood::Willing, Mood::Busy, Mood::Refusing].map(|mood| {
            let server = ses(mood, &accepted);
            let mailer = mailer(&server.url());
            (mood, server, mailer)
        });
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { services: services.into(), absent: mailer(&format!("http://{closed}")), accepted }
    }
}

#[async_trait]
impl NotifierProbe for Probe {
    fn notifier(&self, mood: Mood) -> &dyn Notifier {
        let found = self.services.iter().find(|(of, ..)| *of == mood);
        found.map_or(&self.absent, |(_, _, mailer)| mailer)
    }

    fn parcel(&self, id: &str, _: Mood) -> Parcel {
        Parcel::Mail(Mail {
            id: id.to_owned(),
            to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            subject: "Web failed on ünïcode".to_owned(),
            text: "plain".to_owned(),
            html: "<p>plain</p>".to_owned(),
        })
    }

    fn hopeless(&self) -> Parcel {
        Parcel::Calls(Vec::new())
    }

    async fn accepted(&self) -> Vec<String> {
        self.accepted.lock().unwrap().clone()
    }
}

testkit::notifier_contract!(ses, testkit::contract::block_on, (Probe::new(), ()));

#[test]
fn the_id_is_a_header_of_its_own() {
    let probe = Probe::new();
    let parcel = probe.parcel("evt_7", Mood::Willing);
    let answer = testkit::contract::block_on(probe.notifier(Mood::Willing).deliver(&parcel));
    assert_eq!(answer, Answer::Delivered);
    let mail: Value = serde_json::from_str(&probe.accepted.lock().unwrap()[0]).unwrap();
    let headers = &mail["Content"]["Simple"]["Headers"];
    assert_eq!(*headers, json!([{ "Name": ID_HEADER, "Value": "evt_7" }]));
}
