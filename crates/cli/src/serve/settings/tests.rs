//! Settings files, good and wrong, and key sets of an identity provider on loopback.

use super::identity::{Discovered, KeySetUrl};
use super::*;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(files: &[(&str, &str)]) -> Result<ServeSettings, String> {
    let folder = folder(files);
    let path = folder.path().join("serve.toml");
    let shown = folder.path().display().to_string();
    ServeSettings::read(&path).map_err(|problem| in_full(&problem).replace(&shown, "DIR"))
}

#[test]
fn everything_that_can_be_set() {
    let settings = read(&[
        (
            "serve.toml",
            r#"
            public_url = "https://fleetest.example.org/"

            [metrics]
            token_file = "metrics"

            [mail]
            host = "relay.example.org"
            port = 2525
            tls = "implicit"
            user = "ci"
            password_file = "password"
            from = "Fleetest <ci@example.org>"

            [notifications]
            allow_hosts = ["chat.internal"]

            [[oidc]]
            issuer = "https://token.actions.githubusercontent.com"
            audiences = ["fleetest"]

            [[oidc]]
            issuer = "https://login.example.org"
            audiences = ["fleetest"]
            algorithms = ["EdDSA"]
            jwks_file = "keys.json"
            admins = ["ada"]
            "#,
        ),
        ("metrics", "s3cret\n"),
        ("password", "hunter2\n"),
        ("keys.json", r#"{"keys": []}"#),
    ])
    .unwrap();
    assert_eq!(settings.public_url.as_deref(), Some("https://fleetest.example.org"));
    assert_eq!(settings.metrics_token.as_deref(), Some("s3cret"));
    assert!(settings.mailer.is_some());
    assert!(settings.allow_hosts.contains("chat.internal"));
    let algorithms: Vec<_> = settings.oidc.issuers.iter().map(|issuer| issuer.algorithms.clone()).collect();
    assert_eq!(algorithms, [vec![Algorithm::Rs256, Algorithm::Es256], vec![Algorithm::EdDsa]]);
    assert_eq!(settings.admins, BTreeSet::from(["oidc:https://login.example.org#ada".to_owned()]));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told = read(&[
        (
            "serve.toml",
            r#"
            public_url = "fleetest.example.org"

            [metrics]
            token_file = "missing"

            [mail]
            host = "relay"
            user = "ci"
            from = "nobody"

            [github_app]
            id = "7"
            private_key_file = "key.pem"

            [[oidc]]
            issuer = "http://login.example.org"
            audiences = []
            algorithms = []
            "#,
        ),
        ("key.pem", "no key"),
    ])
    .unwrap_err();
    insta::assert_snapshot!("everything_that_is_wrong", told);
}

#[test]
fn what_is_no_setting_is_named_with_its_line() {
    insta::assert_snapshot!("no_setting", read(&[("serve.toml", "public_ulr = 'x'\n")]).unwrap_err());
    insta::assert_snapshot!(
        "missing_setting",
        read(&[("serve.toml", "[[oidc]]\nissuer = 'x'\n")]).unwrap_err()
    );
    insta::assert_snapshot!("no_file", read(&[]).unwrap_err());
}

/// An identity provider on loopback; its address.
async fn provider(issuer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = issuer.map_or_else(|| address.clone(), str::to_owned);
    let configuration = json!({ "issuer": own, "jwks_uri": format!("{address}/keys") });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(move || async { Json(configuration) }))
        .route("/keys", get(|| async { Json(json!({ "keys": [] })) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn keys_are_where_the_issuer_says() {
    let address = provider(None).await;
    let found = Discovered::new(address.clone()).unwrap().fetch().await.unwrap();
    assert_eq!(found, r#"{"keys":[]}"#);
    assert_eq!(KeySetUrl::new(format!("{address}/keys")).unwrap().fetch().await.unwrap(), found);
    let missing = KeySetUrl::new(format!("{address}/none")).unwrap().fetch().await.unwrap_err();
    assert!(missing.to_string().contains("404"), "{missing}");
}

#[tokio::test]
async fn another_issuers_keys_are_not_taken() {
    let address = provider(Some("https://other.example.org")).await;
    let error = Discovered::new(address).unwrap().fetch().await.unwrap_err();
    assert!(error.to_string().contains("speaks of the issuer `https://other.example.org`"), "{error}");
}
