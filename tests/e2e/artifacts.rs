//! Files that a suite keeps: sent by the runner, handed out by the server.

use super::instance::{Instance, repository};
use super::stage::{Stage, eventually};
use serde_json::{Value, json};
use std::io::Read as _;
use std::time::Duration;

const TEST: &str = r#"
import pathlib
def test_writes():
    out = pathlib.Path("out/deep"); out.mkdir(parents=True)
    (out / "empty").write_bytes(b"")
    (out / "large.bin").write_bytes(bytes(range(256)) * 10_000)
    pathlib.Path("out/ü b.txt").write_text("hello")
    pathlib.Path("out/link").symlink_to("/etc/hostname")
    pathlib.Path("other.txt").write_text("not wanted")
    assert False
"#;
const CONFIG: &str =
    "[suite.unit]\nframework = \"pytest\"\nretries = 0\nartifacts = [\"out\", \"missing/*.xml\"]\n";

#[test]
fn what_tests_leave_is_kept_though_they_fail() {
    let stage = Stage::new();
    let repository = repository(&stage, "project", &[("test_writes.py", TEST)]);
    let server = Instance::new(&stage).start();
    server.project("web", &repository, CONFIG, &json!({}));
    let run = server.run("web", &json!({}));
    assert_eq!(server.finished(&run)["verdict"], "failed");

    let mut items = Vec::new();
    let all_here = eventually(Duration::from_secs(60), || {
        items = server.get(&format!("/v1/runs/{run}/artifacts"))["items"].as_array().unwrap().clone();
        items.len() == 3 && items.iter().all(|item| item["complete"] == true)
    });
    assert!(all_here, "{items:?}");
    let found = |name: &str| -> Value { items.iter().find(|item| item["name"] == name).unwrap().clone() };
    assert_eq!(found("out/deep/empty")["size_bytes"], 0);
    assert_eq!(fetched(&server.url, &server.key, &found("out/ü b.txt")), b"hello");
    let large = fetched(&server.url, &server.key, &found("out/deep/large.bin"));
    let expected: Vec<u8> = (0..2_560_000_u32).map(|at| (at % 256).try_into().unwrap()).collect();
    assert!(large == expected, "{} bytes", large.len());
    server.stop();
}

fn fetched(url: &str, key: &str, item: &Value) -> Vec<u8> {
    let path = item["path"].as_str().unwrap();
    let mut response =
        ureq::get(format!("{url}{path}")).header("authorization", format!("Bearer {key}")).call().unwrap();
    assert_eq!(response.headers()["content-security-policy"], "sandbox");
    assert!(response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let mut bytes = Vec::new();
    response.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
    bytes
}
