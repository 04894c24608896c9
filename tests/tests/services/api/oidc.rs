//! Tokens of identity providers: good ones open what memberships say, hostile ones open nothing.

use super::members::ANNA;
use super::{Answer, Front};
use http_api::api::oidc::{Algorithm, IssuerSettings, JwksSource, JwksUnavailable, OidcSettings};
use http_api::api::settings::ApiSettings;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const ISSUER: &str = "https://id.example";
// Made for these tests; they open nothing else.
const EC_KEY: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b020101042036251823d0fcf4fab250418eedda2b1331809c1d83349d824860b97195f291d7a1440342000496ab3cb70fd1121f212675dcc6591fcf66c38aa178073e352438255af0aba6a81268c3af461aee623d6c8de11baea202b1577f2b96b11daa62ec0a1835e5f0c4";
const EC: (&str, &str) =
    ("lqs8tw_REh8hJnXcxlkfz2bDiqF4Bz41JDglWvCrpqg", "EmjDr0Ya7mI9bI3hG66iArFXfyuWsR2qYuwKGDXl8MQ");
const ED_KEY: &str =
    "302e020100300506032b657004220420714c0a8f589bef3e275fa90bfef87f71f73992937413f4bc39aee84fe74cd43a";
const ED: &str = "zcq1hSnVWB1PJxS9vvk6bZvxw1x3re0AFnbNwfYqVsg";
const RSA: &str = "62HeeW7j2KiMBpLev3303vDExX2yH0TSmqZ_LYFnrs5Y77ZTWx-qPwZkpGc_cGLlqtvLgjTZl-tRSSTvDHdmo6ApNN12SURshpRYBnQ1OPH41sscduly7RmWH7ZTR8r0cN3ezvUG_YPGbPVjuUbEy_6kICPbBoAawBIHOcXEzMXXab3AwngwyRPrhLxeDPhELMCDVCvyXvZYOpevHoEenaIvNunARzXn6gCEUbh8Ep-7dFHoW-blIBTunfsjphN_J5wWy2lGA5lQitdck3v_VgJPjwHR8phMK8O7a1SEKSxBFzv4QtLLBxcCOdJerDQI2w1R2argcOGHEKGlERYs_w";
/// Of `rita`, for `["other", "fleetest"]`, from second 1000 to 2000.
const RSA_TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCIsICJraWQiOiAicnNhIn0.eyJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlIiwgInN1YiI6ICJyaXRhIiwgImF1ZCI6IFsib3RoZXIiLCAiZmxlZXRlc3QiXSwgImV4cCI6IDIwMDAsICJpYXQiOiAxMDAwfQ.h4fHSXlCWur2LzADHJ7nY8YnwkPdGxCr8YbtR6ULbefasq9qA5uaSsKXTIibfCqM9NPwXDznV2xDsfPRO2ON_N79MMK4P7Zc_WlWUtq0IZAV88gksoLKButSDqzM8rn0ZfzQvCDhL0y9swNny_46RdQSDxUa8KwBXDmwqLJW4VRv3KUGmEmmB7RDeONbrO2pxeXWce0Gy-Tx88rWAGF9H20Cye9B1E6WPJtOHzXPXRIJf-g-sbeKQ4DTs1iRjvEfoMmwJEl8JlcZb-CDVqztravPPNu2Lw7QajmWk2iPaD_3JT4VDO0LSz5-s5JRrVieRop5aWES8pjALw1Ej6M9PQ";

/// An issuer's key set that can change, be away, and counts how often it was asked for.
#[derive(Debug, Default)]
struct Keys {
    text: Mutex<Option<String>>,
    fetched: AtomicU64,
}

#[async_trait::async_trait]
impl JwksSource for Keys {
    async fn fetch(&self) -> Result<String, JwksUnavailable> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let text = self.text.lock().unwrap().clone();
        text.ok_or_else(|| JwksUnavailable("away".to_owned()))
    }
}

fn ec(kid: &str) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": EC.0, "y": EC.1, "kid": kid, "use": "sig", "alg": "ES256" })
}

fn all_keys() -> Vec<Value> {
    vec![
        ec("ec"),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": ED, "kid": "ed", "alg": "EdDSA" }),
        json!({ "kty": "RSA", "n": RSA, "e": "AQAB", "kid": "rsa", "use": "sig" }),
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "oct" }),
        json!({ "kty": "new", "kid": "never heard of" }),
    ]
}

fn settings(keys: &Arc<Keys>, algorithms: &[Algorithm]) -> ApiSettings {
    let issuer = IssuerSettings {
        issuer: ISSUER.to_owned(),
        audiences: vec!["fleetest".to_owned(), "fleetest-ci".to_owned()],
        algorithms: algorithms.to_vec(),
        keys: Arc::clone(keys) as _,
    };
    let oidc = OidcSettings { issuers: vec![issuer] };
    let admins = BTreeSet::from([format!("oidc:{ISSUER}#root")]);
    ApiSettings { oidc, admins, ..ApiSettings::default() }
}

/// An installation with one project that believes the issuer.
fn believing(set: Option<&[Value]>) -> (Front, Arc<Keys>) {
    let keys = Arc::new(Keys::default());
    *keys.text.lock().unwrap() = set.map(|set| json!({ "keys": set }).to_string());
    let all = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
    let front = Front::with_settings(settings(&keys, &all));
    front.make_project("web");
    (front, keys)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn claims(sub: &str) -> Value {
    json!({ "iss": ISSUER, "sub": sub, "aud": "fleetest", "exp": 2000, "iat": 1000, "nbf": 1000 })
}

fn signed(claims: &Value, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(jsonwebtoken::Algorithm::ES256) };
    encode(&header, claims, &EncodingKey::from_ec_der(&bytes(EC_KEY))).unwrap()
}

fn me(front: &Front, token: &str) -> Answer {
    front.call("GET", "/v1/me", Some(token), None)
}

/// Base64 as tokens write it.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let number =
            chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(DIGITS[(number >> (18 - 6 * place)) as usize & 63]));
        }
    }
    out
}

#[test]
fn a_token_opens_what_memberships_say_and_nothing_else() {
    let (front, _) = believing(Some(&all_keys()));
    front.make_project("other");
    let anna = signed(&claims("anna"), Some("ec"));
    assert_eq!(me(&front, &anna).ok()["grants"], json!([]));
    assert_eq!(front.call("GET", "/v1/projects/web", Some(&anna), None).problem(), (404, "not_found"));
    front.call("PUT", ANNA, Some(&front.admin), Some(&json!({ "role": "developer" }))).ok();
    assert_eq!(me(&front, &anna).ok()["grants"], json!([{ "project": "web", "role": "developer" }]));
    assert_eq!(front.call("GET", "/v1/projects/web", Some(&anna), None).status, 200);
    assert_eq!(front.call("GET", "/v1/projects/other", Some(&anna), None).problem(), (404, "not_found"));
    let listed = front.call("GET", "/v1/projects", Some(&anna), None).ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let refused = front.call("PATCH", "/v1/projects/web", Some(&anna), Some(&json!({ "title": "x" })));
    assert_eq!(refused.problem(), (403, "role_too_low"));
    let order = json!({ "config": "[suite.unit]\nframework = \"pytest\"\n" });
    let run = front.post("/v1/projects/web/runs", &order).ok();
    assert_eq!(
        front.call("GET", &format!("/v1/runs/{}", run["id"].as_str().unwrap()), Some(&anna), None).status,
        200
    );
    front.call("DELETE", ANNA, Some(&front.admin), None).ok();
    assert_eq!(front.call("GET", "/v1/projects/web", Some(&anna), None).problem(), (404, "not_found"));
    let root = signed(&claims("root"), Some("ec"));
    assert_eq!(front.call("GET", "/v1/keys", Some(&root), None).status, 200);
}

#[test]
fn the_last_admin_cannot_step_down_but_others_can_make_it() {
    let (front, _) = believing(Some(&all_keys()));
    let role = |role: &str| json!({ "role": role });
    front.call("PUT", ANNA, Some(&front.admin), Some(&role("admin"))).ok();
    let anna = signed(&claims("anna"), Some("ec"));
    assert_eq!(front.call("DELETE", ANNA, Some(&anna), None).problem(), (409, "last_admin"));
    assert_eq!(front.call("PUT", ANNA, Some(&anna), Some(&role("viewer"))).problem(), (409, "last_admin"));
    let bob = ANNA.replace("anna", "bob");
    front.call("PUT", &bob, Some(&anna), Some(&role("admin"))).ok();
    front.call("DELETE", ANNA, Some(&anna), None).ok();
    front.call("DELETE", &bob, Some(&front.admin), None).ok();
}

#[test]
fn every_configured_algorithm_is_verified() {
    let (front, _) = believing(Some(&all_keys()));
    let header = Header { kid: Some("ed".to_owned()), ..Header::new(jsonwebtoken::Algorithm::EdDSA) };
    let ed = encode(&header, &claims("eddy"), &EncodingKey::from_ed_der(&bytes(ED_KEY))).unwrap();
    for (token, who) in [
        (ed.as_str(), "eddy"),
        (RSA_TOKEN, "rita"),
        (&signed(&claims("anna"), Some("ec")), "anna"),
        (&signed(&claims("anna"), None), "anna"),
    ] {
        assert_eq!(me(&front, token).ok()["subject"], format!("oidc:{ISSUER}#{who}"));
    }
    let broken = format!("{}AA{}", &RSA_TOKEN[..RSA_TOKEN.len() - 12], &RSA_TOKEN[RSA_TOKEN.len() - 10..]);
    assert_eq!(me(&front, &broken).problem(), (401, "unauthorised"));
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut claims = claims("anna");
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims("anna");
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[test]
fn hostile_tokens_open_nothing() {
    let (front, _) = believing(Some(&all_keys()));
    let sign = |claims: &Value| signed(claims, Some("ec"));
    let good = sign(&claims("anna"));
    let (head, rest) = good.split_once('.').unwrap();
    let (body, seal) = rest.split_once('.').unwrap();
    let unsigned = base64url("{\"alg\":\"none\",\"typ\":\"JWT\"}");
    let shared = |secret: &[u8], kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(jsonwebtoken::Algorithm::HS256) };
        encode(&header, &claims("anna"), &EncodingKey::from_secret(secret)).unwrap()
    };
    let critical = base64url("{\"alg\":\"ES256\",\"kid\":\"ec\",\"crit\":[\"exp\"],\"exp\":1}");
    let table = [
        ("alg none", "well formed", format!("{unsigned}.{body}.")),
        ("alg none, sealed", "well formed", format!("{unsigned}.{body}.{seal}")),
        ("alg None", "well formed", format!("{}.{body}.", base64url("{\"alg\":\"None\"}"))),
        ("HS256 with the public key", "in a way", shared(RSA.as_bytes(), "rsa")),
        ("HS256 with the key set's secret", "in a way", shared(b"secret", "oct")),
        ("a kid that is a path", "the key", signed(&claims("anna"), Some("../../../dev/null"))),
        ("a kid that is a query", "the key", signed(&claims("anna"), Some("' OR 1=1 --"))),
        ("the kid of another key", "the key", signed(&claims("anna"), Some("rsa"))),
        ("aud of others", "someone else", sign(&with(&[("aud", json!(["other", "fleetest.evil"]))]))),
        ("no aud", "well formed", sign(&without("aud"))),
        ("empty aud", "someone else", sign(&with(&[("aud", json!([]))]))),
        ("aud that is an object", "well formed", sign(&with(&[("aud", json!({ "a": "fleetest" }))]))),
        ("no exp", "well formed", sign(&without("exp"))),
        ("exp as text", "well formed", sign(&with(&[("exp", json!("99999"))]))),
        ("expired", "expired", sign(&with(&[("exp", json!(940))]))),
        ("not yet", "not valid yet", sign(&with(&[("nbf", json!(1061))]))),
        ("nbf as text", "well formed", sign(&with(&[("nbf", json!("1"))]))),
        ("issued in the future", "not valid yet", sign(&with(&[("iat", json!(1061))]))),
        ("another issuer", "the issuer", sign(&with(&[("iss", json!("https://evil.example"))]))),
        ("an issuer with a slash more", "the issuer", sign(&with(&[("iss", json!("https://id.example/"))]))),
        ("no sub", "well formed", sign(&without("sub"))),
        ("empty sub", "well formed", sign(&with(&[("sub", json!(""))]))),
        ("a sub with a line break", "well formed", sign(&with(&[("sub", json!("a\nb"))]))),
        ("a long sub", "well formed", sign(&with(&[("sub", json!("a".repeat(400)))]))),
        ("too long", "longer than", sign(&with(&[("more", json!("a".repeat(8192)))]))),
        ("no seal", "signature", format!("{head}.{body}.")),
        ("another body", "signature", format!("{head}.{}.{seal}", base64url(&claims("root").to_string()))),
        ("a critical header", "well formed", format!("{critical}.{body}.{seal}")),
        ("dots", "well formed", "..".to_owned()),
        ("nonsense", "well formed", "a.b.c".to_owned()),
    ];
    for (what, why, token) in table {
        let refused = me(&front, &token);
        assert_eq!(refused.problem(), (401, "unauthorised"), "{what}");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{what}: {detail}");
    }
    let edges = [("exp", json!(941)), ("nbf", json!(1060)), ("iat", json!(1060))];
    assert_eq!(me(&front, &sign(&with(&edges))).status, 200, "a minute of leeway");
}

#[test]
fn an_algorithm_that_its_issuer_does_not_use_is_refused() {
    let keys = Arc::new(Keys::default());
    *keys.text.lock().unwrap() = Some(json!({ "keys": all_keys() }).to_string());
    let front = Front::with_settings(settings(&keys, &[Algorithm::Rs256]));
    assert_eq!(me(&front, &signed(&claims("anna"), Some("ec"))).problem(), (401, "unauthorised"));
    assert_eq!(me(&front, RSA_TOKEN).status, 200);
}

#[test]
fn keys_are_fetched_seldom_and_new_ones_are_found() {
    let (front, keys) = believing(Some(&[ec("old")]));
    let fetched = || keys.fetched.load(Ordering::SeqCst);
    let status = |kid: &str| me(&front, &signed(&with(&[("exp", json!(99_999))]), Some(kid))).status;
    assert_eq!((status("old"), status("old"), fetched()), (200, 200, 1));
    assert!((0..50).all(|n| status(&format!("made up {n}")) == 401));
    assert_eq!(fetched(), 1, "unknown keys do not make it ask within a minute");
    *keys.text.lock().unwrap() = Some(json!({ "keys": [ec("new")] }).to_string());
    front.desk.clock.advance_ms(60_000);
    assert_eq!((status("new"), status("old"), fetched()), (200, 401, 2));
    front.desk.clock.advance_ms(599_999);
    assert_eq!((status("new"), fetched()), (200, 2));
    *keys.text.lock().unwrap() = None;
    front.desk.clock.advance_ms(1);
    assert_eq!((status("new"), status("new"), fetched()), (200, 200, 3), "an old set is better than none");
    front.desk.clock.advance_ms(3_600_000);
    let away = me(&front, &signed(&with(&[("exp", json!(99_999))]), Some("new")));
    assert_eq!(away.problem(), (503, "issuer_unavailable"));
    assert!(away.headers.contains_key("retry-after"));
}

#[test]
fn a_set_that_is_none_is_not_used() {
    let many: Vec<Value> = (0..21).map(|n| ec(&n.to_string())).collect();
    for text in ["", "[]", "{\"keys\": 1}", &json!({ "keys": many }).to_string()] {
        let (front, keys) = believing(None);
        *keys.text.lock().unwrap() = Some(text.to_owned());
        assert_eq!(me(&front, &signed(&claims("anna"), Some("1"))).problem(), (503, "issuer_unavailable"));
    }
    let encrypting = json!({ "kty": "EC", "crv": "P-256", "x": EC.0, "y": EC.1, "kid": "ec", "use": "enc" });
    let (front, _) = believing(Some(&[encrypting]));
    assert_eq!(me(&front, &signed(&claims("anna"), Some("ec"))).problem(), (401, "unauthorised"));
    let twins = [ec("one"), ec("two")];
    let (front, _) = believing(Some(&twins));
    assert_eq!(
        me(&front, &signed(&claims("anna"), None)).problem(),
        (401, "unauthorised"),
        "without a kid there must be no choice"
    );
}
