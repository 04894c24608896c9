//! Somebody who is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver as Channel, channel};
use std::thread;
use std::time::Duration;

/// Takes calls on loopback, and remembers their bodies.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    bodies: Channel<String>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, bodies) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let answer = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
                if sender.send(String::from_utf8(body).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { url, bodies }
    }

    /// The next call's body.
    pub(crate) fn next(&self, within: Duration) -> String {
        self.bodies.recv_timeout(within).unwrap()
    }
}
