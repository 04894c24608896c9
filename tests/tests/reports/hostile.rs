//! Reports made to break readers: each ends soon, in little memory, with a fault and never green.

use crate::formats::read;
use shared::domain::parse::Severity;
use std::time::{Duration, Instant};

/// Reads it; whether it counts as green.
fn green(name: &str, bytes: &[u8]) -> bool {
    let begun = Instant::now();
    let (cases, report, _) = read(bytes, 64 * 1024);
    assert!(begun.elapsed() < Duration::from_secs(60), "{name} took {:?}", begun.elapsed());
    for case in &cases {
        let texts = [&case.name, &case.class, &case.output];
        assert!(texts.iter().all(|text| text.len() <= 70_000), "{name}");
    }
    report.fault().is_none() && cases.iter().all(|case| !case.outcome.is_failure())
}

#[test]
fn what_is_made_to_break_readers_is_a_fault() {
    let lol: String =
        (0..9).map(|n| format!("<!ENTITY l{} \"{}\">", n + 1, format!("&l{n};").repeat(10))).collect();
    let attributes: String = (0..1_000_000).map(|n| format!(" a{n}=\"\"")).collect();
    let table = [
        (
            "dtd",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><testsuite><testcase name='a'/></testsuite>"
                .to_owned(),
        ),
        (
            "billion laughs",
            format!("<!DOCTYPE l [<!ENTITY l0 \"lol\">{lol}]><testsuite><testcase name='&l9;'/></testsuite>"),
        ),
        ("dtd inside", "<testsuite><!DOCTYPE a><testcase name='a'/></testsuite>".to_owned()),
        ("million attributes", format!("<testsuite><testcase name='a'{attributes}/></testsuite>")),
        ("deep", format!("<testsuite>{}<testcase name='a'/>", "<a>".repeat(100_000))),
        ("endless tag", format!("<testsuite><testcase name='a' {}", "x".repeat(10_000_000))),
        ("truncated", "<testsuite><testcase name='a'/><testcase na".to_owned()),
        ("truncated after a case", "<testsuite><testcase name='a'/>".to_owned()),
        ("crossed", "<testsuite><testcase name='a'></testsuite></testcase>".to_owned()),
        ("stray end", "<testsuite><testcase name='a'/></testsuite></testsuite>".to_owned()),
        ("nameless", "<testsuite><testcase name='a'/>< ></testsuite>".to_owned()),
        ("empty", String::new()),
        ("blank", " \n\t\n".to_owned()),
        ("prose", "everything is fine, trust me".to_owned()),
        ("deep JSON", format!("{{\"results\":{}", "[".repeat(1_000_000))),
        (
            "deep test",
            format!(
                "{{\"results\":{{\"tests\":[{{\"name\":\"a\",\"status\":\"passed\",\"x\":{}{}}}],\"summary\":{{\"tests\":1}}}}}}",
                "[".repeat(1000),
                "]".repeat(1000)
            ),
        ),
        (
            "wide test",
            format!(
                "{{\"results\":{{\"tests\":[{{\"name\":\"a\",\"status\":\"passed\",\"x\":[{}1]}}],\"summary\":{{\"tests\":1}}}}}}",
                "1,".repeat(2_000_000)
            ),
        ),
        ("two documents", "{\"results\":{\"tests\":[],\"summary\":{\"tests\":0}}}{}".to_owned()),
        ("wrong brackets", "{\"results\":{\"tests\":[},\"summary\":{\"tests\":0}}]".to_owned()),
        ("endless line", format!("{{\"Action\":\"start\",\"Package\":\"{}", "x".repeat(10_000_000))),
        ("no package", "{\"Action\":\"pass\",\"Package\":\"\",\"Test\":\"A\"}".to_owned()),
        ("no harness", "{\"type\":\"test\",\"event\":\"ok\",\"name\":\"a\"}".to_owned()),
        ("plan too long", "1..99999999999\nok 1\n".to_owned()),
    ];
    for (name, text) in &table {
        assert!(!green(name, text.as_bytes()), "{name}");
    }
    // Another encoding than the file says, and none at all: bytes become U+FFFD, so nothing can be trusted that is cut.
    assert!(!green("half a file in UTF-16", b"\xff\xfe<\0t\0e\0s\0t\0s\0u\0i\0t\0e\0>\0"));
    assert!(!green("zeros", &[0; 100_000]));
}

#[test]
fn giants_are_cut_and_counted() {
    let text = "y".repeat(20_000_000);
    let whole = format!(
        "<testsuite tests='1'><testcase name='{text}'><system-out>{text}</system-out></testcase></testsuite>"
    );
    assert!(green("giant XML", whole.as_bytes()));
    let json = format!(
        "{{\"results\":{{\"tests\":[{{\"name\":\"a\",\"status\":\"passed\",\"stdout\":[\"{text}\"]}}],\"summary\":{{\"tests\":1}}}}}}"
    );
    assert!(green("giant JSON", json.as_bytes()));
}

#[test]
fn a_flood_of_faults_is_counted_and_the_first_are_kept() {
    let flood = "{\"Action\":\"start\",\"Package\":\"p\"}\n".to_owned() + &"{\"Action\":1}\n".repeat(5_000);
    let (_, report, _) = read(flood.as_bytes(), 1000);
    assert_eq!(report.faults, 5_001);
    assert_eq!(report.issues.iter().filter(|issue| issue.severity == Severity::Fault).count(), 100);
    assert_eq!(report.fault().unwrap().line, 2);
}
