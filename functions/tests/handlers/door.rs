//! What an HTTP API does to requests and answers.

use crate::cloud::{accept_sample_run, calm, cloud, key, received, sample};
use aws::sqs::message::Body;
use functions::cloud::Cloud;
use functions::door::Door;
use functions::start::{Failed, Function as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::ports::Topic;
use testkit::emulator;

struct Caller {
    door: Door,
    key: String,
}

impl Caller {
    async fn of(cloud: &Cloud) -> Self {
        Self { door: Door::api(cloud.clone()), key: key(cloud).await }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        header: Option<(&str, &str)>,
    ) -> Value {
        let mut event = sample("api/create-run");
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["method"] = method.into();
        event["headers"]["authorization"] = format!("Bearer {}", self.key).into();
        event["body"] = body.map_or(Value::Null, |body| body.to_string().into());
        if let Some((name, value)) = header {
            event["headers"][name] = value.into();
        }
        self.door.call(event, calm()).await.unwrap()
    }
}

#[tokio::test]
async fn the_first_key_is_given_to_whoever_may_invoke_the_function() {
    let cloud = cloud().await;
    let mut caller = Caller::of(&cloud).await;
    let asked = json!({"fleetest": "new-admin-key"});
    let given = caller.door.call(asked.clone(), calm()).await.unwrap();
    assert_eq!(given["url"], cloud.config.fleet.link_url);
    caller.key = given["key"].as_str().unwrap().to_owned();
    let answer = caller.send("GET", "/v1/projects", None, None).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let other = caller.door.call(json!({"fleetest": "anything"}), calm()).await;
    assert!(matches!(other, Err(Failed::Event(_))), "{other:?}");
    let link = Door::link(cloud).call(asked, calm()).await;
    assert!(matches!(link, Err(Failed::Event(_))), "{link:?}");
}

#[tokio::test]
async fn a_subject_that_was_decoded_on_the_way_is_found() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    let path = "/v1/projects/click/members/oidc:https://issuer.example.org#user 1";
    let put = caller.send("PUT", path, Some(json!({"role": "viewer"})), None).await;
    assert!(matches!(put["statusCode"].as_u64(), Some(200 | 201 | 204)), "{put}");
    let listed = caller.send("GET", "/v1/projects/click/members", None, None).await;
    assert!(listed["body"].as_str().unwrap().contains("oidc:https://issuer.example.org#user 1"), "{listed}");
}

#[tokio::test]
async fn a_request_is_counted_for_whom_it_comes_from() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    let made = caller.send("POST", "/v1/projects", Some(json!({"id": "new"})), None).await;
    assert_eq!(made["statusCode"], 201, "{made}");
    let audit = caller.send("GET", "/v1/projects/new/audit", None, None).await;
    assert!(audit["body"].as_str().unwrap().contains("203.0.113."), "{audit}");
}

#[tokio::test]
async fn a_long_report_is_fetched_from_where_it_lies() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    let run = accept_sample_run(&cloud).await;
    let report = "<testsuites>".repeat(200_000);
    for (name, text) in [("junit.xml", report.as_str()), ("ctrf.json", "{}")] {
        cloud.services.blobs.put(&format!("runs/{run}/{name}"), text.into()).await.unwrap();
    }
    let path = format!("/v1/runs/{run}/reports");
    let short = caller.send("GET", &format!("{path}/ctrf.json"), None, None).await;
    assert_eq!((&short["statusCode"], &short["body"]), (&json!(200), &json!("{}")), "{short}");
    let long = caller.send("GET", &format!("{path}/junit.xml"), None, None).await;
    assert_eq!(long["statusCode"], 307, "{long}");
    let place = long["headers"]["location"].as_str().unwrap().to_owned();
    let fetch = move || ureq::get(place).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(tokio::task::spawn_blocking(fetch).await.unwrap(), report);
}

#[tokio::test]
async fn an_archive_that_is_announced_goes_to_the_bucket_past_the_function() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    // Larger than what the platform hands to a function.
    let archive = [vec![0x1f, 0x8b], vec![7; 8 * 1024 * 1024]].concat();
    let announced = json!({"size_bytes": archive.len(), "sha256": hex::encode(Sha256::digest(&archive))});
    let post = async |path: &str, body: Value| {
        let answer = caller.send("POST", path, Some(body), Some(("idempotency-key", path))).await;
        (answer["statusCode"].clone(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
    };
    let (status, offered): (_, Value) = post("/v1/projects/click/sources", announced).await;
    assert_eq!(status, 201, "{offered}");
    let url = offered["upload_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&emulator::endpoint()) && url.contains("X-Amz-Signature="), "{url}");
    let headers = offered["upload_headers"].as_object().unwrap().clone();
    let put = move || {
        let mut request = ureq::put(url);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(name, value.as_str().unwrap());
        }
        request.send(&archive[..]).unwrap().status().as_u16()
    };
    assert_eq!(tokio::task::spawn_blocking(put).await.unwrap(), 200);
    let config = "[suite.unit]\nframework = \"command\"\ncommand = \"true\"\n";
    let order = json!({"source": offered["id"], "config": config});
    let (status, run) = post("/v1/projects/click/runs", order).await;
    assert_eq!(status, 202, "{run}");
}

#[tokio::test]
async fn a_repository_that_nobody_here_can_look_up_is_refused_when_it_is_named() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    for (id, url, status) in [
        ("one", "git@github.com:acme/one.git", 201),
        ("two", "https://gitlab.com/acme/two", 422),
        ("three", "https://github.com/acme", 422),
    ] {
        let body = json!({"id": id, "repository": url});
        let made = caller.send("POST", "/v1/projects", Some(body), Some(("idempotency-key", id))).await;
        assert_eq!(made["statusCode"], status, "{made}");
        let told = made["body"].as_str().unwrap().contains("at github.com only");
        assert_eq!(told, status == 422, "{made}");
    }
}

/// Handles every wake, for ever.
async fn drive(cloud: &Cloud) {
    loop {
        for topic in [Topic::Plan, Topic::Launch, Topic::Aggregate] {
            for message in received(cloud, topic).await {
                let Body::Wake { wake, .. } = Body::decode(&message.text).unwrap() else {
                    panic!("{message:?}")
                };
                cloud.services.handle(wake).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_gateway_does() {
    let cloud = cloud().await;
    let caller = Caller::of(&cloud).await;
    let (path, order) = ("/v1/projects/click/runs", json!({"ref": "main"}));
    let made = tokio::select! {
        made = caller.send("POST", path, Some(order), Some(("prefer", "wait=60"))) => made,
        () = drive(&cloud) => panic!("it never ends"),
    };
    assert_eq!(made["headers"]["preference-applied"], "wait=20", "{made}");
    assert!(made["body"].as_str().unwrap().contains("\"finished\""), "{made}");
    assert!(caller.door.waited(&made), "the alarm on slow answers must not see it");
    let listed = caller.send("GET", path, None, None).await;
    assert!(!caller.door.waited(&listed), "{listed}");
}
