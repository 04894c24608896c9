//! The blobs' contract on S3, and what only S3 can get wrong.

use crate::adapters;
use crate::hosted::Hosted;
use crate::hosting::hosted;
use crate::stage;
use aws::connection::Connection;
use aws::limits::{PRESIGN_LIMIT_S, PUT_LIMIT_BYTES};
use aws::s3::{Presigned, S3Blobs};
use shared::domain::id::digest_hex;
use shared::ports::{Blobs as _, PortError, UploadTerms};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::contract::block_on;
use testkit::emulator;
use testkit::gate::Gate;
use testkit::http::{self, Request, Response, Server};

testkit::blobs_contract!(s3_blobs, adapters::blobs().await);

const MINUTE_S: u64 = 60;

fn sha256(text: &str) -> [u8; 32] {
    let hex = digest_hex(text);
    std::array::from_fn(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
}

fn terms(text: &str) -> UploadTerms {
    UploadTerms {
        size_bytes: text.len().try_into().unwrap(),
        sha256: sha256(text),
        only_if_absent: false,
        expires_in_s: MINUTE_S,
    }
}

/// Sends a presigned request as a runner would, without the SDK.
fn send(presigned: &Presigned, body: &str) -> Response {
    let rest = presigned.url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut headers: std::collections::BTreeMap<String, String> = presigned.headers.iter().cloned().collect();
    headers.insert("host".to_owned(), host.to_owned());
    if presigned.method == "PUT" {
        headers.insert("content-length".to_owned(), body.len().to_string());
    }
    let request = Request {
        method: presigned.method.clone(),
        target: format!("/{path}"),
        headers,
        body: body.as_bytes().to_vec(),
    };
    http::forward(&format!("http://{host}"), &request).unwrap()
}

#[test]
fn a_replacement_of_a_known_version_happens_once() {
    let (blobs, _connection) = block_on(adapters::blobs());
    block_on(blobs.put("a", b"one".to_vec())).unwrap();
    let first = block_on(hosted(blobs.0.facts("a"))).unwrap();
    assert_eq!(first.size_bytes, 3);
    block_on(hosted(blobs.0.put_match("a", b"two".to_vec(), &first.etag))).unwrap();
    let stale = block_on(hosted(blobs.0.put_match("a", b"three".to_vec(), &first.etag)));
    assert!(matches!(stale, Err(PortError::Conflict { .. })), "{stale:?}");
    assert_eq!(block_on(blobs.fetch("a", None)).unwrap(), b"two");
    let missing = block_on(hosted(blobs.0.facts("b")));
    assert!(matches!(missing, Err(PortError::NotFound { .. })), "{missing:?}");
}

#[test]
fn a_blob_of_many_parts_is_joined_in_order() {
    let (blobs, connection) = block_on(adapters::blobs());
    let mib = 1024 * 1024;
    let names: Vec<String> = (0..19).map(|n| format!("p/{n:02}")).collect();
    for (n, name) in (0_u8..).zip(&names) {
        block_on(blobs.put(name, vec![n; mib + usize::from(n)])).unwrap();
    }
    block_on(blobs.compose("whole", names.clone())).unwrap();
    let whole = block_on(blobs.fetch("whole", None)).unwrap();
    let wanted: Vec<u8> = (0_u8..19).flat_map(|n| vec![n; mib + usize::from(n)]).collect();
    assert!(whole == wanted, "{} bytes instead of {}", whole.len(), wanted.len());
    let counted = connection.counts().so_far();
    assert_eq!(counted[&("S3".to_owned(), "UploadPart".to_owned())], 3);

    let missing: Vec<String> = names.into_iter().chain(["p/none".to_owned()]).collect();
    let failed = block_on(blobs.compose("whole", missing));
    assert!(matches!(failed, Err(PortError::NotFound { .. })), "{failed:?}");
    assert_eq!(block_on(blobs.fetch("whole", None)).unwrap().len(), wanted.len());
    assert_eq!(connection.counts().so_far()[&("S3".to_owned(), "AbortMultipartUpload".to_owned())], 1);
}

#[test]
fn a_listing_goes_on_after_a_thousand_keys() {
    let (blobs, _connection) = block_on(adapters::blobs());
    let wanted: Vec<String> = (0..1005).map(|n| format!("k/{n:04}")).collect();
    for key in &wanted {
        block_on(blobs.put(key, Vec::new())).unwrap();
    }
    assert_eq!(block_on(blobs.list("k/")).unwrap(), wanted);
}

#[test]
fn a_missing_bucket_is_named_and_denied() {
    let connection = stage::connection();
    let blobs = Hosted(S3Blobs::new(connection.s3(), "no-such-bucket"));
    for error in [
        block_on(blobs.put("a", Vec::new())).unwrap_err(),
        block_on(blobs.fetch("a", None)).unwrap_err(),
        block_on(blobs.list("")).unwrap_err(),
    ] {
        assert!(
            matches!(&error, PortError::Denied { subject, .. } if subject == "no-such-bucket"),
            "{error}"
        );
    }
}

#[test]
fn a_put_whose_answer_was_lost_does_not_name_itself_as_the_winner() {
    let direct = stage::connection();
    let bucket = block_on(stage::bucket(&direct));
    let lost = AtomicU32::new(0);
    let door = Server::start(Arc::new(move |request| {
        let answer = http::forward(&emulator::endpoint(), &request).unwrap();
        let lose = request.method == "PUT" && lost.fetch_add(1, Ordering::SeqCst) == 0;
        if lose { Response::new(500, "") } else { answer }
    }))
    .unwrap();
    let blobs = Hosted(S3Blobs::new(Connection::new(stage::account(&door.url())).s3(), bucket));
    let first = block_on(blobs.put_absent("a", b"mine".to_vec()));
    assert!(matches!(first, Err(PortError::Unavailable { .. })), "{first:?}");
    assert_eq!(block_on(blobs.fetch("a", None)).unwrap(), b"mine");
    let again = block_on(blobs.put_absent("a", b"mine".to_vec()));
    assert!(matches!(again, Err(PortError::AlreadyExists { .. })), "{again:?}");
}

#[test]
fn other_regions_and_wrong_clocks_are_told_apart() {
    for (status, code, lasting) in [
        (301, "PermanentRedirect", true),
        (400, "AuthorizationHeaderMalformed", true),
        (403, "AccessDenied", true),
        (403, "RequestTimeTooSkewed", false),
        (503, "SlowDown", false),
    ] {
        let door = Server::start(Arc::new(move |_| {
            let body =
                format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>");
            Response::new(status, body)
        }))
        .unwrap();
        let blobs = Hosted(S3Blobs::new(Connection::new(stage::account(&door.url())).s3(), "bucket"));
        let error = block_on(blobs.put("a", Vec::new())).unwrap_err();
        assert_eq!(matches!(error, PortError::Denied { .. }), lasting, "{code}: {error}");
        assert_eq!(matches!(error, PortError::Unavailable { .. }), !lasting, "{code}: {error}");
    }
}

#[test]
fn what_is_uploaded_with_a_url_is_what_was_agreed_on() {
    let gate = Gate::start("test", "test");
    let blobs = S3Blobs::new(Connection::new(stage::account(&gate.url())).s3(), "bucket");
    let sign = |key: &str, terms: &UploadTerms| block_on(hosted(blobs.presign_put(key, terms))).unwrap();

    assert_eq!(send(&sign("a", &terms("agreed")), "agreed").status, 200);
    let fetch = block_on(hosted(blobs.presign_fetch("a", MINUTE_S, None))).unwrap();
    assert_eq!(send(&fetch, "").body, b"agreed");

    let signed = sign("b", &terms("agreed"));
    assert_eq!(send(&signed, "greed").status, 403, "another length");
    assert_eq!(send(&signed, "disagr").status, 400, "other bytes");
    let elsewhere = Presigned { url: signed.url.replace("/b?", "/c?"), ..signed.clone() };
    assert_eq!(send(&elsewhere, "agreed").status, 403, "another key");
    let bare = Presigned { headers: Vec::new(), ..signed.clone() };
    assert_eq!(send(&bare, "agreed").status, 403, "without its headers");
    let mut forged = signed.clone();
    forged.headers.retain(|(name, _)| name != "x-amz-checksum-sha256");
    forged.headers.push(("x-amz-checksum-sha256".to_owned(), "AAAA".to_owned()));
    assert_eq!(send(&forged, "agreed").status, 403, "another digest");
    assert_eq!(gate.stored("b"), None);

    let once = sign("a", &UploadTerms { only_if_absent: true, ..terms("second") });
    assert_eq!(send(&once, "second").status, 412, "the key is taken");
    gate.advance_s(MINUTE_S - 5);
    assert_eq!(send(&signed, "agreed").status, 200, "still good");
    gate.advance_s(10);
    assert_eq!(send(&signed, "agreed").status, 403, "expired");
    assert_eq!(send(&fetch, "").status, 403, "expired");
}

#[test]
fn periods_and_lengths_beyond_the_limits_are_denied() {
    let blobs = S3Blobs::new(stage::connection().s3(), "bucket");
    let sign = |terms: &UploadTerms| block_on(hosted(blobs.presign_put("a", terms)));
    for (expires_in_s, size_bytes, fits) in [
        (1, 0, true),
        (PRESIGN_LIMIT_S, PUT_LIMIT_BYTES, true),
        (0, 0, false),
        (PRESIGN_LIMIT_S + 1, 0, false),
        (1, PUT_LIMIT_BYTES + 1, false),
    ] {
        let signed = sign(&UploadTerms { expires_in_s, size_bytes, ..terms("") });
        assert_eq!(signed.is_ok(), fits, "{expires_in_s} s, {size_bytes} bytes");
    }
    let outside = block_on(hosted(blobs.presign_put("../a", &terms(""))));
    assert!(matches!(outside, Err(PortError::Denied { .. })), "{outside:?}");
}
