//! The settings file of `fleetest serve`, as the server that read it behaves.

use super::instance::{Instance, Server};
use super::stage::Stage;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const SETTINGS: &str = r#"
public_url = "https://fleetest.example.org/"

[metrics]
token_file = "metrics"

[[oidc]]
issuer = "https://id.example"
audiences = ["fleetest"]
algorithms = ["EdDSA"]
jwks_file = "keys.json"
admins = ["root"]
"#;
// Made for these tests; it opens nothing else.
const KEY: &str =
    "302e020100300506032b657004220420714c0a8f589bef3e275fa90bfef87f71f73992937413f4bc39aee84fe74cd43a";
const KEY_SET: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "zcq1hSnVWB1PJxS9vvk6bZvxw1x3re0AFnbNwfYqVsg"}]}"#;

fn get(server: &Server, path: &str, bearer: Option<&str>) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(format!("{}{path}", server.url));
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let mut response = request.call().unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

fn token(subject: &str) -> String {
    let der: Vec<u8> =
        (0..KEY.len()).step_by(2).map(|at| u8::from_str_radix(&KEY[at..at + 2], 16).unwrap()).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": "https://id.example", "sub": subject, "aud": "fleetest", "exp": now + 600, "iat": now });
    encode(&Header::new(Algorithm::EdDSA), &claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

#[test]
fn a_server_with_settings_knows_its_address_its_scraper_and_its_issuers() {
    let stage = Stage::new();
    for (name, text) in [("serve.toml", SETTINGS), ("metrics", "s3cret\n"), ("keys.json", KEY_SET)] {
        std::fs::write(stage.beside(name), text).unwrap();
    }
    let config = format!("--config={}", stage.beside("serve.toml").display());
    let server = Instance::new(&stage).start_with(&[&config]);
    let said = std::fs::read_to_string(&server.stdout).unwrap();
    assert!(said.contains("FLEETEST_URL=https://fleetest.example.org FLEETEST_TOKEN"), "{said}");

    assert_eq!(get(&server, "/metrics", None).0, 401);
    assert_eq!(get(&server, "/metrics", Some(&server.key)).0, 401);
    let (status, text) = get(&server, "/metrics", Some("s3cret"));
    assert!(status == 200 && text.contains("# TYPE fleetest_"), "{status} {text}");

    let me = |subject: &str| -> (u16, Value) {
        let (status, text) = get(&server, "/v1/me", Some(&token(subject)));
        (status, serde_json::from_str(&text).unwrap())
    };
    let (status, root) = me("root");
    assert_eq!((status, root["subject"].as_str()), (200, Some("oidc:https://id.example#root")), "{root}");
    assert_eq!(get(&server, "/v1/keys", Some(&token("root"))).0, 200);
    assert_eq!(get(&server, "/v1/keys", Some(&token("anna"))).0, 403);
    server.stop();
}

#[test]
fn wrong_settings_are_refused_before_anything_is_made() {
    let stage = Stage::new();
    let path = stage.beside("serve.toml");
    std::fs::write(&path, "public_url = 'x'\n[metrics]\ntoken_file = 'missing'\n").unwrap();
    let folder = stage.beside("instance");
    let mut command = stage.command(&["serve", "--listen=127.0.0.1:0"]);
    command.arg("--config").arg(&path).arg("--data").arg(&folder);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`public_url`") && said.contains("`metrics.token_file`"), "{said}");
    assert!(!folder.exists());
}
