//! A strict S3 for presigned requests: what the emulator lets through, this refuses as AWS does.
//!
//! Written from the description of Signature Version 4 with query parameters: every signed header must be there and
//! unchanged, the key and the query too, the period must not be over, and the bytes must have the digest that was
//! signed. It stores what it accepts, in memory.

#![expect(clippy::panic, reason = "a test without its server must not pass")]

use crate::http::{Request, Response, Server};
use crate::memory::lock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use shared::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    ahead_s: u64,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Gate {
    /// A gate that knows one pair of credentials.
    #[must_use]
    pub fn start(key_id: &str, secret: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (key_id, secret, inside) = (key_id.to_owned(), secret.to_owned(), Arc::clone(&state));
        let server = Server::start(Arc::new(move |request| {
            let mut state = lock(&inside);
            answer(&mut state, &request, &key_id, &secret).unwrap_or_else(|refused| refused)
        }));
        let server = server.unwrap_or_else(|error| panic!("no server on loopback: {error}"));
        Self { server, state }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Moves its clock ahead.
    pub fn advance_s(&self, seconds: u64) {
        lock(&self.state).ahead_s += seconds;
    }

    /// What is stored at a key, of whatever bucket.
    #[must_use]
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let ending = format!("/{key}");
        state.objects.iter().find(|(path, _)| path.ends_with(&ending)).map(|(_, bytes)| bytes.clone())
    }
}

fn refused(status: u16, code: &str) -> Response {
    Response::new(status, format!("<Error><Code>{code}</Code></Error>"))
}

fn answer(state: &mut State, request: &Request, key_id: &str, secret: &str) -> Result<Response, Response> {
    let (path, query) = request.target.split_once('?').ok_or_else(|| refused(403, "AccessDenied"))?;
    let parameters: BTreeMap<&str, &str> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    check_period(state, &parameters)?;
    let signature = parameters.get("X-Amz-Signature").copied().unwrap_or_default();
    let wanted = signature_of(request, path, &parameters, key_id, secret);
    if wanted.as_deref() != Some(signature) {
        return Err(refused(403, "SignatureDoesNotMatch"));
    }
    match request.method.as_str() {
        "PUT" => put(state, request, path, &parameters),
        "GET" => {
            let found = state.objects.get(path).ok_or_else(|| refused(404, "NoSuchKey"))?;
            Ok(Response::new(200, found.clone()))
        }
        _ => Err(refused(405, "MethodNotAllowed")),
    }
}

/// `20261121T160000Z` in seconds since 1970.
fn seconds_of(date: &str) -> Option<u64> {
    let part = |from: usize, to: usize| date.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?
    );
    Timestamp::parse(&text).map(|time| time.0 / 1000)
}

fn check_period(state: &State, parameters: &BTreeMap<&str, &str>) -> Result<(), Response> {
    let signed_at = parameters.get("X-Amz-Date").copied().and_then(seconds_of);
    let period: Option<u64> = parameters.get("X-Amz-Expires").and_then(|text| text.parse().ok());
    let (Some(signed_at), Some(period)) = (signed_at, period) else {
        return Err(refused(400, "AuthorizationQueryParametersError"));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + state.ahead_s;
    if period > 7 * 24 * 3600 {
        return Err(refused(400, "AuthorizationQueryParametersError"));
    }
    if now > signed_at + period { Err(refused(403, "AccessDenied")) } else { Ok(()) }
}

/// The signature that the request should have; `None` if a header that was signed is not there.
fn signature_of(
    request: &Request,
    path: &str,
    parameters: &BTreeMap<&str, &str>,
    key_id: &str,
    secret: &str,
) -> Option<String> {
    let scope = parameters.get("X-Amz-Credential")?.replace("%2F", "/");
    let scope = scope.strip_prefix(key_id)?.strip_prefix('/')?;
    let signed = parameters.get("X-Amz-SignedHeaders")?.replace("%3B", ";");
    let mut headers = String::new();
    for name in signed.split(';') {
        let value = request.headers.get(name)?;
        headers = format!("{headers}{name}:{value}\n");
    }
    let query: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| **name != "X-Amz-Signature")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let whole =
        format!("{}\n{path}\n{}\n{headers}\n{signed}\nUNSIGNED-PAYLOAD", request.method, query.join("&"));
    let date = parameters.get("X-Amz-Date")?;
    let digest = hex::encode(Sha256::digest(whole.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let start = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').try_fold(start, |key, part| keyed(&key, part.as_bytes()))?;
    keyed(&key, to_sign.as_bytes()).map(hex::encode)
}

fn keyed(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac.finalize().into_bytes().to_vec())
}

fn put(
    state: &mut State,
    request: &Request,
    path: &str,
    parameters: &BTreeMap<&str, &str>,
) -> Result<Response, Response> {
    let in_query = parameters
        .get("x-amz-checksum-sha256")
        .map(|text| text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="));
    let wanted = in_query.unwrap_or_else(|| request.header("x-amz-checksum-sha256").to_owned());
    if !wanted.is_empty() && wanted != base64_of(&Sha256::digest(&request.body)) {
        return Err(refused(400, "BadDigest"));
    }
    if request.header("if-none-match") == "*" && state.objects.contains_key(path) {
        return Err(refused(412, "PreconditionFailed"));
    }
    state.objects.insert(path.to_owned(), request.body.clone());
    Ok(Response::new(200, ""))
}

fn base64_of(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            (0..3).fold(0_u32, |number, n| number << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let six = usize::try_from(number >> (18 - 6 * n) & 63).unwrap_or(0);
            let letter = LETTERS.get(six).copied().unwrap_or(b'=');
            text.push(if n <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_the_form_that_aws_writes() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64_of(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds_of("20231114T221320Z"), Some(1_700_000_000));
        assert_eq!(seconds_of("2023"), None);
    }
}
