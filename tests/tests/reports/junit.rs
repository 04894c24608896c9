//! JUnit XML.

use crate::show;
use proptest::prelude::*;
use shared::domain::parse::{ParseReport, ReportCase, junit};
use std::io::{BufReader, Read};

fn parse(bytes: &[u8]) -> (Vec<ReportCase>, ParseReport) {
    let mut cases = Vec::new();
    let report = junit::parse(bytes, &mut |case| cases.push(case));
    (cases, report)
}

#[test]
fn every_dialect() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/reports/junit");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20);
    let mut shown = String::new();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let (cases, report) = parse(&bytes);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        shown.extend(["== ", &name, "\n", &show::all(&cases, &report), "\n"]);
        // A reader that gets one byte at a time sees the same.
        let mut slowly = Vec::new();
        let slow = junit::parse(BufReader::with_capacity(1, &bytes[..]), &mut |case| slowly.push(case));
        assert_eq!((slowly, slow), (cases, report), "{name}");
    }
    insta::assert_snapshot!(shown);
}

/// A file that is made while it is read.
struct Made<I: Iterator<Item = Vec<u8>>> {
    parts: I,
    rest: Vec<u8>,
}

impl<I: Iterator<Item = Vec<u8>>> Read for Made<I> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.parts.next().unwrap_or_default();
        }
        let count = self.rest.len().min(buf.len());
        buf[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn giants_cost_no_memory() {
    let before = resident_bytes();
    let head = std::iter::once(b"<testsuite name='g'>".to_vec());
    let cases =
        (0..100_000).map(|n| format!("<testcase classname='c' name='n{n}' time='0.1'/>\n").into_bytes());
    let open = std::iter::once(b"<testcase name='big'><system-out><![CDATA[".to_vec());
    let flood = (0..5_000).map(|_| vec![b'z'; 10_000]);
    let end = std::iter::once(b"]]></system-out></testcase></testsuite>".to_vec());
    let made = Made { parts: head.chain(cases).chain(open).chain(flood).chain(end), rest: Vec::new() };
    let (mut seen, mut longest) = (0_u64, 0);
    let report = junit::parse(BufReader::new(made), &mut |case| {
        seen += 1;
        longest = longest.max(case.output.len());
    });
    assert_eq!((seen, report.cases), (100_001, 100_001));
    assert!(report.issues.is_empty(), "{:?}", report.issues);
    assert!((60_000..70_000).contains(&longest), "{longest}");
    assert!(resident_bytes().saturating_sub(before) < 8 * 1024 * 1024);
}

#[test]
fn a_flood_of_notes_does_not_hide_the_fault() {
    let suites = "<testsuite name='n' tests='0'><testcase name='a'/></testsuite>".repeat(500);
    let report = parse(format!("{suites}<!DOCTYPE x>").as_bytes()).1;
    assert!(report.fault().is_some());
    assert!(report.issues.len() < 60);
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse(&bytes);
    }

    #[test]
    fn noise_of_markup_never_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "<testsuite name='a'>", "</testsuite>", "<testcase name=\"x\"", "/>", ">", "<failure>", "</failure>", "<![CDATA[",
        "]]>", "]]", "<!--", "-->", "<?xml", "?>", "&amp;", "&#", "<", "'", "\"", " a=1", "<skipped/>", "</testcase>", "é", "\u{0}",
    ]), 0..40)) {
        let (cases, report) = parse(parts.concat().as_bytes());
        prop_assert_eq!(cases.len() as u64, report.cases);
        for case in cases {
            prop_assert_eq!(case.failure.is_some(), case.outcome.is_failure());
        }
    }

    #[test]
    fn a_cut_file_keeps_its_good_part_and_is_a_fault(at in 0usize..1000) {
        let whole: &[u8] = include_bytes!("../../fixtures/reports/junit/surefire_reruns.xml");
        let whole = whole.trim_ascii();
        let (all, _) = parse(whole);
        let at = at.min(whole.len() - 1);
        let (some, report) = parse(&whole[..at]);
        prop_assert!(report.fault().is_some());
        prop_assert_eq!(&some[..], &all[..some.len()]);
    }
}
