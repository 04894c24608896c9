//! A receiver on loopback that remembers what it was sent.

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use notify::guard::Allow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A receiver.
pub(crate) struct Receiver {
    pub(crate) at: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    /// One that answers as `answer` says.
    pub(crate) async fn start(answer: impl Fn(&Got) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&got);
        let router = Router::new().fallback(move |request: Request| {
            let (book, answer) = (Arc::clone(&book), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let one = Got { path: parts.uri.to_string(), headers: parts.headers, body };
                book.lock().unwrap().push(one.clone());
                answer(&one)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { at, got }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// What lets loopback pass, and nothing else.
pub(crate) fn loopback() -> Allow {
    Allow { hosts: BTreeSet::from(["127.0.0.1".to_owned()]), ..Allow::default() }
}
