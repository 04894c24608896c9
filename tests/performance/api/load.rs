//! A client that asks over many kept connections at once and remembers how long each answer took.

use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Makes the n-th request: its whole text.
pub(crate) type Ask = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// What a load came to.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) requests_per_s: f64,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
    /// Time that the server had a core for each request, in microseconds; 0 if it was not measured.
    pub(crate) busy_us: f64,
}

impl Load {
    /// The same, by a server that had a core for `busy` meanwhile.
    pub(crate) fn by(self, busy: Duration, time: Duration) -> Self {
        let requests = (self.requests_per_s * time.as_secs_f64()).max(1.0);
        Self { busy_us: busy.as_secs_f64() * 1e6 / requests, ..self }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("the server does not answer")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, rest: Vec::new() })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        let head_end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(self.rest.get(..head_end).unwrap_or_default()).into_owned();
        self.rest.drain(..head_end);
        let status =
            head.get(9..12).and_then(|code| code.parse().ok()).context("an answer without a status")?;
        let body = if let Some(length) = header(&head, "content-length") {
            self.exactly(length.parse()?).await?
        } else {
            self.chunked().await?
        };
        Ok(Answer { status, head, body })
    }

    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.rest).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.rest.len() < length {
            self.fill().await?;
        }
        Ok(self.rest.drain(..length).collect())
    }

    async fn chunked(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.rest, b"\r\n") {
                    break at;
                }
                self.fill().await?;
            };
            let line = String::from_utf8_lossy(self.rest.get(..end).unwrap_or_default()).into_owned();
            let size = usize::from_str_radix(line.trim(), 16).context("a chunk without a size")?;
            self.rest.drain(..end + 2);
            let chunk = self.exactly(size + 2).await?;
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// A header of an answer.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The text of a request.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let json = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{json}\r\n{body}"
    )
    .into_bytes()
}

/// Asks over `connections` connections for `time`; any answer that is no success is an error.
pub(crate) async fn run(address: SocketAddr, connections: usize, time: Duration, ask: Ask) -> Result<Load> {
    let number = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + time;
    let began = Instant::now();
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (ask, number) = (Arc::clone(&ask), Arc::clone(&number));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while Instant::now() < until {
                let text = ask(number.fetch_add(1, Ordering::Relaxed));
                let asked = Instant::now();
                let answer = connection.ask(&text).await?;
                took.push(asked.elapsed());
                if answer.status >= 300 {
                    bail!("{} {}", answer.head, String::from_utf8_lossy(&answer.body));
                }
            }
            Ok(took)
        }));
    }
    let mut all: Vec<Duration> = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(summed(all, began.elapsed()))
}

/// The load that these answers were.
pub(crate) fn summed(mut all: Vec<Duration>, elapsed: Duration) -> Load {
    all.sort_unstable();
    let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or_default();
    let requests_per_s = all.len() as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
    Load { requests_per_s, p50: at(50), p95: at(95), p99: at(99), busy_us: 0.0 }
}

/// Holds `connections` connections for `time`, each asking about once a second. Returns how many answers came.
pub(crate) async fn hold(address: SocketAddr, connections: usize, time: Duration, ask: Ask) -> Result<u64> {
    let until = Instant::now() + time;
    let mut tasks = Vec::with_capacity(connections);
    for place in 0..connections as u64 {
        let ask = Arc::clone(&ask);
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut answers = 0;
            tokio::time::sleep(Duration::from_millis(place * 2)).await;
            while Instant::now() < until {
                let answer = connection.ask(&ask(place)).await?;
                if answer.status >= 300 {
                    bail!("{} {}", answer.head, String::from_utf8_lossy(&answer.body));
                }
                answers += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(answers)
        }));
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await??;
    }
    Ok(sum)
}
