//! The HTTP door: accepts connections, not more than there is room for, and parts with clients that keep it open for
//! nothing.

use super::pace::{Incoming, Late, Outgoing, Pace, Patience, Watched};
use crate::interrupt::StopFlag;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use embedded::system::OsIds;
use http_api::api::wire::ProblemBody;
use hyper::body::Incoming as HyperBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use shared::ports::IdSource as _;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

const PROBLEM: &str = "application/problem+json";
/// How long requests under way may take once the door is to be closed.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is raised; then accepts nothing more and answers what is under way.
pub(crate) async fn serve(listener: TcpListener, router: Router, patience: Patience, stop: StopFlag) {
    let room = Arc::new(Semaphore::new(patience.connections));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.raised() => break,
            Ok(place) = Arc::clone(&room).acquire_owned() => place,
        };
        let (stream, address) = tokio::select! {
            () = stop.raised() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, address, router, patience, stop).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Who has not got an answer by then has got a broken connection, as from any server that goes away.
    drop(
        tokio::time::timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await,
    );
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    patience: Patience,
    stop: StopFlag,
) {
    // A connection without it is slower, nothing else.
    drop(stream.set_nodelay(true));
    let pace = Pace::new(patience);
    let io = TokioIo::new(Watched { stream, pace: Arc::clone(&pace) });
    let times = Arc::clone(&pace);
    let service = service_fn(move |request| {
        times.begin();
        let (router, pace) = (router.clone(), Arc::clone(&times));
        async move { Ok::<_, Infallible>(answer(request, address, router, pace).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(io, service);
    let mut tick = tokio::time::interval(pace.interval());
    let mut closing = false;
    loop {
        tokio::select! {
            // Whatever went wrong, it was between this client and its connection.
            _ = &mut connection => return,
            () = stop.raised(), if !closing => {
                closing = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            _ = tick.tick() => match pace.late() {
                None => {}
                Some(Late::Silent) => return,
                Some(Late::Head) => {
                    let parts = connection.into_parts();
                    return tell(parts.io.into_inner().stream).await;
                }
            },
        }
    }
}

async fn answer(
    request: Request<HyperBody>,
    address: SocketAddr,
    router: Router,
    pace: Arc<Pace>,
) -> Response<Outgoing> {
    let mut request = request.map(|body| axum::body::Body::new(Incoming::new(body, Arc::clone(&pace))));
    request.extensions_mut().insert(ConnectInfo(address));
    let path = request.uri().path().to_owned();
    let Ok(mut response) = router.oneshot(request).await;
    if pace.take_body_late() && response.status().is_client_error() {
        let body = too_slow("the body of the request came too slowly; send it again", &path);
        let json = [(header::CONTENT_TYPE, PROBLEM), (header::CONNECTION, "close")];
        response = (StatusCode::REQUEST_TIMEOUT, json, body).into_response();
    }
    response.map(|body| Outgoing::new(body, pace))
}

/// The problem of a client that is too slow: the router never had the whole request, or was answered with half of it.
fn too_slow(detail: &str, path: &str) -> String {
    let status = StatusCode::REQUEST_TIMEOUT;
    let problem = ProblemBody {
        r#type: "https://fleetest.dev/problems/too_slow".to_owned(),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        instance: path.to_owned(),
        code: "too_slow".to_owned(),
        errors: Vec::new(),
        request_id: format!("req_{:032x}", OsIds.uuid()),
    };
    serde_json::to_string(&problem).unwrap_or_default()
}

/// The last word to a client that did not get to the end of a head.
async fn tell(mut stream: TcpStream) {
    let body = too_slow("the head of the request came too slowly; send it again", "");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: {PROBLEM}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // Who is that slow may be gone as well.
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.shutdown().await);
}

#[cfg(test)]
mod tests;
