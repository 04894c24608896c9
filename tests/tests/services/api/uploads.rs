//! Uploaded sources: taken once, within their size, for one project, and run by the real runner.

use super::{Answer, Front};
use crate::desk::{Desk, now};
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_api::api::settings::ApiSettings;
use runner::{RunnerConfig, RunnerExit};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::domain::access::{Role, Scope};
use shared::domain::verdict::Verdict;
use shared::ports::Blobs as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use testkit::memory::{MemoryBlobs, UPLOAD_SCHEME};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn offer(front: &Front, body: &Value) -> Value {
    front.post("/v1/projects/web/sources", body).ok()
}

fn put(front: &Front, offer: &Value, body: Body) -> Answer {
    let path = offer["upload_url"].as_str().unwrap();
    front.send(Request::builder().method("PUT").uri(path).body(body).unwrap())
}

/// A working tree as `tar` packs it.
fn packed(files: &[(&str, &[u8])], compress: bool) -> Vec<u8> {
    let tree = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        if content.starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    tar(tree.path(), compress)
}

fn tar(tree: &Path, compress: bool) -> Vec<u8> {
    let flags = if compress { "-czf" } else { "-cf" };
    let output = Command::new("tar").arg("-C").arg(tree).args([flags, "-", "."]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn config(command: &str) -> String {
    format!("[suite.unit]\nframework = \"command\"\ncommand = \"{command}\"\nretries = 0\n")
}

fn blobs(front: &Front) -> Vec<String> {
    now(front.desk.services.blobs.list("sources/")).unwrap()
}

#[test]
fn an_upload_is_taken_once_and_its_bytes_are_told() {
    let front = Front::with_project("web");
    let offered = offer(&front, &json!({}));
    assert_eq!(offered["limit_bytes"], 512 * 1024 * 1024);
    let archive = packed(&[("a", &[b'x'; 3 * 1024 * 1024])], false);
    let stored = put(&front, &offered, Body::from(archive.clone()));
    assert_eq!(stored.status, 201, "{}", stored.body);
    assert_eq!((&stored.body["id"], &stored.body["gzip"]), (&offered["id"], &json!(false)));
    assert_eq!(stored.body["size_bytes"], archive.len());
    assert_eq!(stored.body["sha256"].as_str().unwrap().len(), 64);
    let left = blobs(&front);
    assert_eq!(left.len(), 1, "pieces are gone: {left:?}");
    assert_eq!(now(front.desk.services.blobs.fetch(&left[0], None)).unwrap(), archive);
    let again = put(&front, &offered, Body::from(packed(&[("b", b"")], true)));
    assert_eq!(again.problem(), (409, "already_uploaded"));
    assert_eq!(now(front.desk.services.blobs.fetch(&left[0], None)).unwrap(), archive);
}

/// A body whose end comes as an error.
struct Broken(u32);

impl axum::body::HttpBody for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.0 += 1;
        let piece = [vec![0x1f, 0x8b], vec![0; 700_000]].concat();
        let frame = if self.0 < 3 {
            Ok(http_body::Frame::data(piece.into()))
        } else {
            Err(std::io::Error::other("cut"))
        };
        std::task::Poll::Ready(Some(frame))
    }
}

#[test]
fn what_is_no_archive_too_large_or_cut_leaves_nothing_behind() {
    let front = Front::with_project("web");
    let offered = offer(&front, &json!({ "size_bytes": 2_000_000 }));
    assert_eq!(offered["limit_bytes"], 2_000_000);
    for (body, problem) in [
        (Body::from(vec![b'x'; 5000]), (422, "not_a_tar")),
        (Body::from("PK\u{3}\u{4}"), (422, "not_a_tar")),
        (Body::empty(), (422, "not_a_tar")),
        (Body::from([vec![0x1f, 0x8b], vec![0; 2_100_000]].concat()), (413, "too_large")),
        (Body::new(Broken(0)), (400, "unreadable_body")),
    ] {
        assert_eq!(put(&front, &offered, body).problem(), problem);
        assert_eq!(blobs(&front), Vec::<String>::new());
    }
    let path = offered["upload_url"].as_str().unwrap();
    let boast = Request::builder().method("PUT").uri(path).header(header::CONTENT_LENGTH, "2000001");
    assert_eq!(front.send(boast.body(Body::empty()).unwrap()).problem(), (413, "too_large"));
    for size in [json!(0), json!(600 * 1024 * 1024)] {
        let refused = front.post("/v1/projects/web/sources", &json!({ "size_bytes": size }));
        assert_eq!(refused.body["errors"][0]["pointer"], "/size_bytes");
    }
    // The offer is still good.
    assert_eq!(put(&front, &offered, Body::from(packed(&[("a", b"")], true))).status, 201);
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn what_was_announced_is_what_is_taken() {
    let front = Front::with_project("web");
    let archive = packed(&[("a", b"")], false);
    let announced = json!({ "size_bytes": archive.len(), "sha256": sha256(&archive) });
    let offered = offer(&front, &announced);
    assert_eq!(offered["upload_headers"], json!({}));
    let other = put(&front, &offered, Body::from(packed(&[("b", b"")], false)));
    assert_eq!(other.problem(), (422, "digest_differs"));
    assert_eq!(blobs(&front), Vec::<String>::new());
    assert_eq!(put(&front, &offered, Body::from(archive)).status, 201);
    for (body, pointer) in [
        (json!({ "sha256": "0".repeat(64) }), "/size_bytes"),
        (json!({ "size_bytes": 1, "sha256": "0".repeat(63) }), "/sha256"),
        (json!({ "size_bytes": 1, "sha256": "A".repeat(64) }), "/sha256"),
    ] {
        let refused = front.post("/v1/projects/web/sources", &body);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
}

#[test]
fn an_archive_goes_past_the_server_where_blobs_have_addresses() {
    let store = Arc::new(MemoryBlobs::default());
    store.allow_uploads();
    let front = Front::of(Desk::beside(Arc::clone(&store) as _), ApiSettings::default());
    front.make_project("web");
    // Not announced in full, it comes through the server.
    let vague = offer(&front, &json!({ "size_bytes": 100_000 }));
    assert!(vague["upload_url"].as_str().unwrap().starts_with("/v1/uploads/"), "{vague}");

    let orders = |offered: &Value| {
        let body = json!({ "source": offered["id"], "config": config("true") });
        front.post("/v1/projects/web/runs", &body)
    };
    let puts = |bytes: &[u8], comes: bool| {
        let offered = offer(&front, &json!({ "size_bytes": bytes.len(), "sha256": sha256(bytes) }));
        let key = offered["upload_url"].as_str().unwrap().strip_prefix(UPLOAD_SCHEME).unwrap().to_owned();
        assert_eq!(offered["upload_headers"]["x-size"], bytes.len().to_string());
        if comes {
            now(store.put(&key, bytes.to_vec())).unwrap();
        }
        offered
    };
    let archive = packed(&[("a", b"")], true);
    let empty = orders(&puts(&archive, false));
    assert_eq!(empty.body["errors"][0]["pointer"], "/source", "{}", empty.body);
    let no_archive = orders(&puts(b"PK\x03\x04", true));
    assert_eq!(no_archive.problem(), (422, "invalid"));
    let offered = puts(&archive, true);
    for _ in 0..2 {
        assert_eq!(orders(&offered).status, 202);
    }
    front.desk.clock.advance_ms(92 * DAY_MS);
    now(front.desk.services.forget_sources(front.desk.services.clock.now())).unwrap();
    assert_eq!(blobs(&front), Vec::<String>::new(), "what came by itself is forgotten, too");
}

#[test]
fn a_token_is_good_for_its_upload_alone_and_for_an_hour() {
    let front = Front::with_project("web");
    let offered = offer(&front, &json!({}));
    let path = offered["upload_url"].as_str().unwrap().to_owned();
    let token = path.rsplit('/').next().unwrap();
    for bad in ["x", "", &token[2..], &token.replace('.', ""), &format!("{token}0"), "%2e%2e"] {
        let request = Request::builder().method("PUT").uri(format!("/v1/uploads/{bad}"));
        let status = front.send(request.body(Body::empty()).unwrap()).status;
        assert!(status == 401 || status == 404, "{bad}: {status}");
    }
    front.desk.clock.advance_ms(60 * 60 * 1000 + 1);
    let late = put(&front, &offered, Body::from(packed(&[("a", b"")], true)));
    assert_eq!(late.problem(), (401, "unauthorised"));
    let viewer = front.key(Some("web"), Role::Viewer, &Scope::ALL);
    let refused = front.call("POST", "/v1/projects/web/sources", Some(&viewer), Some(&json!({})));
    assert_eq!(refused.problem(), (403, "role_too_low"));
}

#[test]
fn a_run_names_a_filled_upload_of_its_own_project_and_a_configuration() {
    let front = Front::with_project("web");
    front.make_project("other");
    let (filled, empty) = (offer(&front, &json!({})), offer(&front, &json!({})));
    put(&front, &filled, Body::from(packed(&[("a", b"")], true))).ok();
    let body = |offer: &Value, config: Option<&str>| json!({ "source": offer["id"], "config": config });
    let text = config("true");
    for (project, body, pointer) in [
        ("other", body(&filled, Some(&text)), "/source"),
        ("web", body(&empty, Some(&text)), "/source"),
        ("web", json!({ "source": "src_00000000000000000000000000000009" }), "/source"),
        ("web", body(&filled, None), "/config"),
        ("web", json!({ "source": filled["id"], "config": text, "ref": "main" }), "/ref"),
        ("web", json!({ "source": filled["id"], "config": text, "commit": "--x" }), "/commit"),
    ] {
        let refused = front.post(&format!("/v1/projects/{project}/runs"), &body);
        assert_eq!(refused.problem(), (422, "invalid"), "{body}");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.body);
    }
}

#[test]
fn what_no_run_uses_is_forgotten_after_a_day_and_the_rest_with_its_project_s_runs() {
    let front = Front::with_project("web");
    let (used, unused) = (offer(&front, &json!({})), offer(&front, &json!({})));
    for offered in [&used, &unused] {
        put(&front, offered, Body::from(packed(&[("a", b"")], true))).ok();
    }
    let body = json!({ "source": used["id"], "config": config("true") });
    front.post("/v1/projects/web/runs", &body).ok();
    let forget = || now(front.desk.services.forget_sources(front.desk.services.clock.now())).unwrap();
    assert_eq!(forget(), 0);
    front.desk.clock.advance_ms(DAY_MS + 1);
    assert_eq!((forget(), blobs(&front).len()), (1, 1));
    assert!(blobs(&front)[0].contains(used["id"].as_str().unwrap()));
    assert_eq!(front.post("/v1/projects/web/runs", &body).status, 202);
    front.desk.clock.advance_ms(91 * DAY_MS);
    assert_eq!((forget(), blobs(&front).len()), (1, 0));
    let gone = front.post("/v1/projects/web/runs", &body);
    assert_eq!(gone.body["errors"][0]["pointer"], "/source");
}

/// The link over a real socket, until the end of the test.
fn serve(front: &Front) -> (String, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = http_api::link::router(Arc::clone(&front.desk.services));
    runtime.spawn(async move { axum::serve(listener, router).await });
    (url, runtime)
}

/// Uploads a tree, runs it with the real runner, and gives the run as the API shows it.
fn run_upload(archive: Vec<u8>, command: &str) -> (Value, RunnerExit) {
    let front = Front::with_project("web");
    let (url, _runtime) = serve(&front);
    let offered = offer(&front, &json!({}));
    put(&front, &offered, Body::from(archive)).ok();
    let body = json!({ "source": offered["id"], "commit": "0123456789abcdef", "config": config(command) });
    let accepted = front.post("/v1/projects/web/runs", &body).ok();
    front.desk.sweep();
    let token = front.desk.launcher.orders().values().next().unwrap().bootstrap_token.clone();
    let exit = runner::run(&RunnerConfig::new(&url, &token, 1), &runner::driver::open);
    for _ in 0..4 {
        front.desk.sweep();
    }
    let id = accepted["id"].as_str().unwrap();
    assert_eq!(accepted["commit"], "0123456789abcdef");
    (front.get(&format!("/v1/runs/{id}")).ok(), exit)
}

#[test]
fn a_working_tree_runs_remotely_from_upload_to_verdict() {
    for compress in [false, true] {
        // Larger than one piece of the link, and not the same byte again and again.
        let large: Vec<u8> =
            (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let size = large.len();
        let archive = packed(&[("deep/large", &large), ("bin/tool", b"#!/bin/sh\nexit 0\n")], compress);
        let (run, exit) = run_upload(archive, &format!("bin/tool && test $(wc -c < deep/large) = {size}"));
        assert_eq!(run["verdict"], Verdict::Passed.as_str(), "{run}");
        assert_eq!(exit, RunnerExit::Done);
    }
}

#[test]
fn a_hostile_archive_ends_its_run_with_the_reason() {
    let tree = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.path().join("link")).unwrap();
    let (run, _) = run_upload(tar(tree.path(), true), "cat link");
    assert_eq!(
        (&run["verdict"], &run["cause"]["code"]),
        (&json!("errored"), &json!("source_failed")),
        "{run}"
    );
    assert!(run["cause"]["message"].as_str().unwrap().contains("link to an absolute path"), "{run}");
}
