//! Reports that other programs write, right and wrong: nothing that is not proved is green.

use crate::stage::Stage;

/// A command that writes these bytes as its report and ends with this code.
fn reporting(report: &str, code: u8) -> Stage {
    let stage = Stage::with(&[
        (
            "fleetest.toml",
            "[suite.foreign]\nframework = \"command\"\ncommand = \"sh suite.sh\"\nresults = [\"out/*.xml\"]\nretries = 0\n",
        ),
        ("report", report),
    ]);
    stage.write("suite.sh", &format!("mkdir -p out; cp report out/report.xml; exit {code}\n"));
    stage
}

const GOOD: &str = "<testsuite name=\"s\" tests=\"1\"><testcase classname=\"c\" name=\"one\"/></testsuite>";

#[test]
fn a_good_report_with_a_good_exit_is_green() {
    let ended = reporting(GOOD, 0).run(&["."]);
    assert_eq!(ended.judged(0).ids(), ["c::one"]);
}

#[test]
fn an_error_element_is_not_a_pass() {
    let text = GOOD.replace("name=\"one\"/>", "name=\"one\"><error message=\"gone\"/></testcase>");
    let ended = reporting(&text, 0).run(&["."]);
    let account = ended.judged(1);
    assert_eq!(account.case("c::one").outcome, "errored");
}

#[test]
fn broken_reports_are_never_green() {
    let dtd = "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>";
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let truncated = &GOOD[..GOOD.len() - 14];
    let deep = format!("{}{}", "<testsuite>".repeat(5_000), "</testsuite>".repeat(5_000));
    for (name, text, word) in [
        ("malformed", "<testsuite><testcase name=\"x\"></testsuite>".to_owned(), ""),
        ("truncated", truncated.to_owned(), ""),
        ("empty file", String::new(), ""),
        ("not XML", "all is well\n".to_owned(), ""),
        ("other XML", "<html><body/></html>".to_owned(), ""),
        ("external entity", format!("{dtd}{}", GOOD.replace("one", "&a;")), "DTD"),
        ("entity bomb", format!("{bomb}{}", GOOD.replace("one", "&b;")), "DTD"),
        ("too deep", deep, ""),
        ("no case", "<testsuite name=\"s\" tests=\"0\"></testsuite>".to_owned(), "no test case"),
    ] {
        let ended = reporting(&text, 0).run(&["."]);
        assert!(matches!(ended.code, 1 | 3 | 4), "{name}: exit code {}\n{}", ended.code, ended.stderr);
        let account = ended.judged(ended.code);
        assert_ne!(account.run.verdict, "passed", "{name}");
        ended.says(&["report", word]);
        assert!(!ended.stderr.contains("root:"), "{name}: a file was read in\n{}", ended.stderr);
    }
}

#[test]
fn an_exit_code_that_contradicts_the_report_is_red() {
    let ended = reporting(GOOD, 9).run(&["."]);
    let account = ended.judged(1);
    assert_eq!(account.case("c::one").outcome, "passed");
    ended.says(&["exit code 9"]);
}

#[test]
fn a_report_from_before_the_run_is_not_believed() {
    let stage = reporting(GOOD, 0);
    stage.write("suite.sh", "exit 0\n");
    stage.write("out/report.xml", GOOD);
    let ended = stage.run(&["."]);
    assert_ne!(ended.code, 0, "{}", ended.stderr);
    assert_ne!(ended.judged(ended.code).run.verdict, "passed");
    ended.says(&["report"]);
}

#[test]
fn a_report_that_is_missing_is_named() {
    let stage = reporting(GOOD, 0);
    stage.write("suite.sh", "exit 0\n");
    let ended = stage.run(&["."]);
    assert_ne!(ended.judged(ended.code).run.verdict, "passed");
    ended.says(&["out/*.xml"]);
}

#[test]
fn a_huge_report_is_read_as_a_stream() {
    let stage = reporting("", 0);
    stage.write(
        "suite.sh",
        "mkdir -p out; awk 'BEGIN { print \"<testsuite name=\\\"s\\\">\"; for (i = 0; i < 20000; i++) \
         printf \"<testcase classname=\\\"c\\\" name=\\\"n%d\\\" time=\\\"0.001\\\"><system-out>%d lines of text</system-out></testcase>\\n\", i, i; \
         print \"</testsuite>\" }' > out/report.xml\n",
    );
    let ended = stage.run(&["."]);
    assert_eq!(ended.judged(0).run.counts.passed, 20_000);
    assert!(ended.peak_kib < 80 * 1024, "{} KiB", ended.peak_kib);
}

#[test]
fn escapes_in_a_report_do_not_reach_the_terminal() {
    let text = GOOD.replace(
        "name=\"one\"/>",
        "name=\"o\u{9b}2Jne\"><failure message=\"a&#27;]0;x&#7;b\">\u{9d}text</failure></testcase>",
    );
    let ended = reporting(&text, 1).run(&["."]);
    ended.judged(1);
    let bad = |c: char| c.is_control() && c != '\n';
    assert!(!ended.stderr.contains(bad), "{:?}", ended.stderr);
}
