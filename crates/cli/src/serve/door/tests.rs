//! Clients that take their time, on real sockets.

use super::*;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use std::time::Instant;
use tokio::io::AsyncReadExt as _;

const SHORT: Duration = Duration::from_millis(150);

fn patience() -> Patience {
    Patience { head: SHORT, body: SHORT, stall: SHORT, ..Patience::default() }
}

/// A body without an end.
async fn endless() -> Body {
    struct Endless;
    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 65_536])))))
        }
    }
    Body::new(Endless)
}

fn router() -> Router {
    Router::new()
        .route(
            "/whoami",
            get(|ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.ip().to_string() }),
        )
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/endless", get(endless))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(SHORT * 3).await;
                "late but well"
            }),
        )
}

/// Runs `client` against a door with this patience.
fn at_the_door<F: Future<Output = ()>>(patience: Patience, client: impl FnOnce(SocketAddr, StopFlag) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), StopFlag::default());
        let door = tokio::spawn(serve(listener, router(), patience, stop.clone()));
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, client(address, stop.clone())).await.unwrap();
        stop.raise();
        tokio::time::timeout(limit, door).await.unwrap().unwrap();
    });
}

async fn connect(address: SocketAddr, say: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(say.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    drop(stream.read_to_end(&mut text).await);
    String::from_utf8(text).unwrap()
}

async fn first(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[test]
fn whoever_does_not_get_to_the_end_of_a_head_is_told() {
    at_the_door(patience(), |address, _| async move {
        let told = rest(connect(address, "GET /whoami HTTP/1.1\r\nhost: x\r\nx-slow").await).await;
        assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
        let (_, body) = told.split_once("\r\n\r\n").unwrap();
        let problem: ProblemBody = serde_json::from_str(body).unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (408, "too_slow"));
        assert!(told.contains(&format!("content-length: {}\r\n", body.len())));
    });
}

#[test]
fn a_body_that_drips_is_a_problem_and_one_that_flows_is_not() {
    at_the_door(Patience { body_bytes_per_s: 1_000, ..patience() }, |address, _| async move {
        let head = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
        let told = rest(connect(address, &format!("{head}abc")).await).await;
        assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
        assert!(told.contains(r#""code":"too_slow""#) && told.contains(r#""instance":"/length""#), "{told}");
        let started = Instant::now();
        let mut steady = connect(address, head).await;
        for _ in 0..10 {
            steady.write_all(&[b'x'; 100]).await.unwrap();
            tokio::time::sleep(SHORT / 5).await;
        }
        assert!(started.elapsed() > SHORT, "without its size it would be late");
        assert!(first(&mut steady).await.ends_with("1000"));
    });
}

#[test]
fn an_answer_nobody_takes_ends_the_connection() {
    at_the_door(patience(), |address, _| async move {
        let mut stream = connect(address, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(first(&mut stream).await.starts_with("HTTP/1.1 200 "));
        tokio::time::sleep(SHORT * 4).await;
        // What is in the buffers comes, and then the end, although there was no end.
        let mut taken = 0_usize;
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            taken += read;
        }
        assert!(taken < 64 * 1024 * 1024, "{taken}");
    });
}

#[test]
fn work_that_takes_long_is_nobodys_lateness_and_idle_connections_last() {
    at_the_door(patience(), |address, _| async move {
        let mut stream = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(first(&mut stream).await.ends_with("late but well"));
        tokio::time::sleep(SHORT * 3).await;
        stream.write_all(b"GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(first(&mut stream).await.ends_with("127.0.0.1"));
    });
}

#[test]
fn idle_for_too_long_is_over() {
    at_the_door(Patience { idle: SHORT, ..patience() }, |address, _| async move {
        assert_eq!(rest(connect(address, "").await).await, "");
        let mut stream = connect(address, "GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(first(&mut stream).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(rest(stream).await, "");
    });
}

#[test]
fn who_comes_when_all_places_are_taken_waits_for_one() {
    at_the_door(Patience { connections: 1, ..patience() }, |address, _| async move {
        let mut one = connect(address, "GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(first(&mut one).await.starts_with("HTTP/1.1 200 "));
        let mut two = connect(address, "GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let waited = tokio::time::timeout(SHORT, first(&mut two)).await;
        assert!(waited.is_err(), "there is one place: {waited:?}");
        drop(one);
        assert!(first(&mut two).await.starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn requests_under_way_are_answered_when_the_door_closes() {
    at_the_door(patience(), |address, stop| async move {
        let idle = connect(address, "").await;
        let mut busy = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        tokio::time::sleep(SHORT).await;
        stop.raise();
        assert!(first(&mut busy).await.ends_with("late but well"));
        assert_eq!(rest(idle).await, "");
        assert!(TcpStream::connect(address).await.is_err(), "nobody is let in any more");
    });
}
