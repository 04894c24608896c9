//! A small HTTP server on loopback for strict fakes: a handler sees each request whole and answers it.
//!
//! One thread per connection, one request per connection, no TLS. The server ends with its value.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As in `PUT`.
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// By name in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers besides those of length and connection; a `content-length` is taken at its word.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without headers of its own.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }
}

/// What answers.
pub type Handler = Arc<dyn Fn(Request) -> Response + Send + Sync>;

/// A running server.
#[derive(Debug)]
pub struct Server {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn start(handler: Handler) -> io::Result<Self> {
        Self::start_at(0, handler)
    }

    /// Listens on this port of loopback.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn start_at(port: u16, handler: Handler) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let handler = Arc::clone(&handler);
                // A caller that goes away in the middle is its own problem.
                thread::spawn(move || drop(serve(&stream, &handler)));
            }
        });
        Ok(Self { port, over })
    }

    /// The address, as `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees the end.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn serve(stream: &TcpStream, handler: &Handler) -> io::Result<()> {
    let request = read(&mut BufReader::new(stream))?;
    let is_head = request.method == "HEAD";
    let response = handler(request);
    let mut out = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", response.status).into_bytes();
    for (name, value) in &response.headers {
        out.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    // A handler may promise more than it gives: the connection then breaks off.
    if !response.headers.iter().any(|(name, _)| name == "content-length") {
        out.extend(format!("Content-Length: {}\r\n", response.body.len()).into_bytes());
    }
    out.extend(b"\r\n");
    if !is_head {
        out.extend(response.body);
    }
    let mut stream = stream;
    stream.write_all(&out)?;
    stream.flush()
}

fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|value| value == "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, target, headers, body })
}

/// Passes a request on to another server, by its address as `http://HOST:PORT`.
///
/// # Errors
/// Those of the sockets, and what is no answer.
pub fn forward(upstream: &str, request: &Request) -> io::Result<Response> {
    let mut stream = TcpStream::connect(upstream.trim_start_matches("http://"))?;
    let mut out =
        format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.target).into_bytes();
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != "connection") {
        out.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    out.extend(b"\r\n");
    out.extend(&request.body);
    stream.write_all(&out)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse_answer(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_answer(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let mut lines = head.lines();
    let status = lines.next()?.split_whitespace().nth(1)?.parse().ok()?;
    let of_connection = ["content-length", "connection", "transfer-encoding"];
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = answer.get(end + 4..)?;
    let body = if is_chunked { unchunked(body)? } else { body.to_vec() };
    let headers = headers.into_iter().filter(|(name, _)| !of_connection.contains(&name.as_str())).collect();
    Some(Response { status, headers, body })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_passed_on_and_answered() {
        let echo: Handler = Arc::new(|request| {
            let text = format!("{} {} {}", request.method, request.target, request.header("x-one"));
            Response { headers: vec![("x-two".to_owned(), "2".to_owned())], ..Response::new(201, text) }
        });
        let first = Server::start(echo).unwrap();
        let url = first.url();
        let second = Server::start(Arc::new(move |request| forward(&url, &request).unwrap())).unwrap();
        let headers =
            [("x-one".to_owned(), "1".to_owned()), ("content-length".to_owned(), "4".to_owned())].into();
        let request = Request {
            method: "PUT".to_owned(),
            target: "/a?b=c".to_owned(),
            headers,
            body: b"body".to_vec(),
        };
        let answer = forward(&second.url(), &request).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, &b"PUT /a?b=c 1"[..]));
        assert!(answer.headers.contains(&("x-two".to_owned(), "2".to_owned())));
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunked(b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n").unwrap(), b"abcdef");
    }
}
