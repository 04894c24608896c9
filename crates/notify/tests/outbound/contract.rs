//! The contract of `Notifier` on calls and on mails by SMTP.

use super::receiver::{Receiver, loopback};
use super::sender::{mail, mailer};
use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use notify::client::Outbound;
use notify::sender::Sender;
use shared::domain::notify::parcel::{CallAuth, HttpCall, Mail, Parcel};
use shared::domain::secret::Secret;
use shared::ports::Notifier;
use std::future::Future;
use std::sync::{Arc, Mutex};
use testkit::contract::notifier::{Mood, NotifierProbe, SECRET};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

/// A port that nobody listens at.
async fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

struct Calls {
    sender: Sender,
    receiver: Receiver,
    closed: u16,
}

impl Calls {
    async fn new() -> Self {
        let receiver = Receiver::start(|got| {
            let status = got.path.split('/').nth(1).unwrap().parse().unwrap();
            (StatusCode::from_u16(status).unwrap(), SECRET).into_response()
        });
        let sender = Sender::new(Outbound::new(loopback()).unwrap(), None, None);
        Self { sender, receiver: receiver.await, closed: closed().await }
    }
}

fn call(url: String, id: &str) -> Parcel {
    let headers = vec![("webhook-id".to_owned(), id.to_owned())];
    let body = "{\"a\":1}".to_owned();
    Parcel::Calls(vec![HttpCall { url: Secret::new(url), headers, auth: CallAuth::Nobody, body }])
}

#[async_trait]
impl NotifierProbe for Calls {
    fn notifier(&self, _: Mood) -> &dyn Notifier {
        &self.sender
    }

    fn parcel(&self, id: &str, mood: Mood) -> Parcel {
        let path = match mood {
            Mood::Willing => "200",
            Mood::Busy => "503",
            Mood::Refusing => "410",
            Mood::Absent => return call(format!("http://127.0.0.1:{}/{SECRET}", self.closed), id),
        };
        call(self.receiver.url(&format!("/{path}/{SECRET}")), id)
    }

    fn hopeless(&self) -> Parcel {
        call("https://10.0.0.1/x".to_owned(), "evt_1")
    }

    async fn accepted(&self) -> Vec<String> {
        let all = self.receiver.got().into_iter().filter(|got| got.path.starts_with("/200/"));
        all.map(|got| got.headers["webhook-id"].to_str().unwrap().to_owned()).collect()
    }
}

type Accepted = Arc<Mutex<Vec<String>>>;

/// As much of an SMTP session as mails need; `rcpt` answers each address. What is accepted is written down first.
async fn session(stream: TcpStream, rcpt: &str, accepted: &Accepted) -> std::io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut lines = BufReader::new(&mut read).lines();
    let (mut inside, mut text) = (false, String::new());
    write.write_all(b"220 relay\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        if inside && line != "." {
            text.push_str(&line);
            text.push('\n');
            continue;
        }
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "." => {
                accepted.lock().unwrap().push(std::mem::take(&mut text));
                "250 ok"
            }
            "RCPT" => rcpt,
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 relay",
        };
        inside = line == "DATA";
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

struct Mails {
    willing: Sender,
    busy: Sender,
    refusing: Sender,
    absent: Sender,
    accepted: Accepted,
}

/// A relay that answers every address like this.
async fn relay(rcpt: String, accepted: &Accepted) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::clone(accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (rcpt, accepted) = (rcpt.clone(), Arc::clone(&accepted));
            tokio::spawn(async move { session(stream, &rcpt, &accepted).await });
        }
    });
    port
}

impl Mails {
    async fn new() -> Self {
        let accepted = Arc::default();
        let sender = |port| Sender::new(Outbound::new(loopback()).unwrap(), Some(mailer(port)), None);
        Self {
            willing: sender(relay("250 ok".to_owned(), &accepted).await),
            busy: sender(relay(format!("451 {SECRET}"), &accepted).await),
            refusing: sender(relay(format!("550 {SECRET}"), &accepted).await),
            absent: sender(closed().await),
            accepted,
        }
    }
}

#[async_trait]
impl NotifierProbe for Mails {
    fn notifier(&self, mood: Mood) -> &dyn Notifier {
        match mood {
            Mood::Willing => &self.willing,
            Mood::Busy => &self.busy,
            Mood::Refusing => &self.refusing,
            Mood::Absent => &self.absent,
        }
    }

    fn parcel(&self, id: &str, _: Mood) -> Parcel {
        Parcel::Mail(Mail { id: id.to_owned(), ..mail(&["a@example.org"]) })
    }

    fn hopeless(&self) -> Parcel {
        Parcel::Mail(mail(&["no address"]))
    }

    async fn accepted(&self) -> Vec<String> {
        self.accepted.lock().unwrap().clone()
    }
}

testkit::notifier_contract!(calls, run, (Calls::new().await, ()));
testkit::notifier_contract!(mails_by_smtp, run, (Mails::new().await, ()));
