//! CTRF, `go test -json`, JSON of Rust's test harness and TAP from files, whole and byte by byte.

use crate::show;
use shared::domain::parse::format::{AnyReader, Format};
use shared::domain::parse::{ParseReport, Reader as _, ReportCase};

/// Reads a report in pieces of this size, without being told its format.
pub(crate) fn read(bytes: &[u8], piece: usize) -> (Vec<ReportCase>, ParseReport, Option<Format>) {
    let mut cases = Vec::new();
    let mut reader = AnyReader::new(None);
    for part in bytes.chunks(piece) {
        reader.push(part, &mut |case| cases.push(case));
    }
    let report = reader.finish(&mut |case| cases.push(case));
    assert_eq!(cases.len() as u64, report.cases);
    (cases, report, reader.format())
}

/// Every file of the corpus with its folder, in order.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/reports");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    assert!(files.len() >= 35);
    files
}

#[test]
fn every_file_is_read_the_same_however_it_comes() {
    let mut shown = String::new();
    for (name, bytes) in corpus() {
        let (cases, report, format) = read(&bytes, usize::MAX);
        let (slowly, slow, _) = read(&bytes, 1);
        assert_eq!((&slowly, &slow), (&cases, &report), "{name}");
        let folder = name.split('/').next().unwrap();
        if folder != "junit" {
            assert_eq!(format.map(Format::as_str), Some(folder), "{name}");
            shown.extend(["== ", &name, "\n", &show::all(&cases, &report), "\n"]);
        }
    }
    insta::assert_snapshot!(shown);
}
