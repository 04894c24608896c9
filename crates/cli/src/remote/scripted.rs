//! For tests: an HTTP server on loopback that plays what a real one cannot be made to play when it is wanted:
//! connections that break in mid-answer, passing refusals, wrong clocks, later versions.
//!
//! Each connection carries one exchange. Whatever a real server does is tried on a real one.

use super::console::Console;
use super::settings::{Settings, Token};
use crate::config::Config;
use shared::domain::time::Timestamp;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The key that tests use.
pub(crate) const KEY: &str = "fl_secret";
/// The time of all tests: 2023-11-14T22:13:20Z.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, further headers, body.
    Say(u16, Vec<(&'static str, String)>, String),
    /// The beginning of an answer whose rest never comes.
    Cut(String),
    /// No answer at all.
    HangUp,
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
    Answer::Say(status, vec![("content-type", "application/json".to_owned())], body.to_string())
}

pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Answer {
    json(
        status,
        &serde_json::json!({
            "type": "x", "title": "Title", "status": status, "detail": detail, "instance": "/x", "code": code,
            "errors": [], "request_id": "req-1"
        }),
    )
}

/// A running server.
pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Answers by this function of the request and of how many came before it.
    pub(crate) fn start(answer: impl Fn(&Seen, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let serving = std::thread::spawn(move || serve(&listener, &log, &answer));
        Self { address, seen, serving: Some(serving) }
    }

    /// Answers one request after the other; more than these are answered 500.
    pub(crate) fn of(answers: Vec<Answer>) -> Self {
        Self::start(move |_, n| {
            answers.get(n).cloned().unwrap_or_else(|| problem(500, "script", "the script is over"))
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { url: Some(self.url()), token: Some(Token::new(KEY)), project: Some("web".to_owned()) }
    }

    pub(crate) fn config(&self, here: &std::path::Path) -> Config {
        Config { here: here.to_owned(), remote: self.settings(), ..Config::default() }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            drop(stream.write_all(b"QUIT / HTTP/1.1\r\n\r\n"));
        }
        drop(self.serving.take().map(JoinHandle::join));
    }
}

fn serve(listener: &TcpListener, log: &Mutex<Vec<Seen>>, answer: &dyn Fn(&Seen, usize) -> Answer) {
    loop {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let Some(seen) = read(&stream) else { continue };
        if seen.method == "QUIT" {
            return;
        }
        let before = {
            let mut log = log.lock().unwrap();
            log.push(seen.clone());
            log.len() - 1
        };
        match answer(&seen, before) {
            Answer::Say(status, headers, body) => {
                let length = (status != 304).then(|| format!("content-length: {}\r\n", body.len()));
                let further = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
                let lines: String = length.into_iter().chain(further).collect();
                let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{lines}");
                drop(stream.write_all(format!("{head}\r\n{body}").as_bytes()));
            }
            Answer::Cut(body) => {
                let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len() + 100);
                drop(stream.write_all(format!("{head}{body}").as_bytes()));
            }
            Answer::HangUp => {}
        }
    }
}

fn read(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut seen =
        Seen { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Seen::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = seen.header("content-length").and_then(|text| text.parse::<usize>().ok()) {
        seen.body = vec![0; length];
        reader.read_exact(&mut seen.body).ok()?;
    } else if seen.header("transfer-encoding").is_some() {
        seen.body = chunks(&mut reader)?;
    }
    Some(seen)
}

fn chunks(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// What a command wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Written {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    pub(crate) fn console(&mut self) -> Console<'_> {
        Console::plain(&mut self.out, &mut self.err, || NOW)
    }
}
