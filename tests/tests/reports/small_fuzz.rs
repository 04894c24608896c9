//! A small fuzzer for the ordinary test run: every file of the corpus, damaged a few hundred times by seeded chance.
//!
//! No damage may panic or take long, and a report with a failure may not become green by one damaged byte, nor any
//! report by being cut.

use crate::formats::{corpus, read};
use shared::domain::id::RunId;
use shared::domain::import::Importer;
use shared::domain::outcome::Outcome;
use shared::domain::time::Timestamp;
use std::time::{Duration, Instant};

const ROUNDS: u64 = 300;

/// A generator whose numbers are the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// Anything: cut out, doubled, swapped with a piece of another file, overwritten, many times.
    fn mangled(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..=self.below(6) {
            let (from, length) = (self.below(damaged.len()), self.below(60));
            let to = (from + length).min(damaged.len());
            let begin = self.below(other.len());
            let piece = match self.below(4) {
                0 => Vec::new(),
                1 => damaged[from..to].repeat(2),
                2 => other[begin..(begin + length).min(other.len())].to_vec(),
                _ => (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect(),
            };
            damaged.splice(from..to, piece);
        }
        damaged
    }
}

/// Reads it, imports it, and tells whether it would be green: cases, none of them failed, and nothing refused.
fn green(bytes: &[u8]) -> bool {
    let (cases, report, _) = read(bytes, 4096);
    let mut importer = Importer::new(RunId(1), Timestamp(1), None);
    let mut passed = false;
    let mut failed = false;
    for case in cases {
        passed |= case.outcome == Outcome::Passed;
        failed |= case.outcome.is_failure();
        assert_eq!(case.failure.is_some(), case.outcome.is_failure());
        importer.case(case);
    }
    importer.finish();
    passed && !failed && report.fault().is_none() && importer.refused().is_empty()
}

#[test]
fn damage_never_panics_and_never_takes_long() {
    let corpus = corpus();
    for (number, (name, bytes)) in corpus.iter().enumerate() {
        let mut chance = Chance(number as u64 + 1);
        for round in 0..ROUNDS {
            let other = &corpus[chance.below(corpus.len())].1;
            let damaged = chance.mangled(bytes, other);
            let begun = Instant::now();
            green(&damaged);
            assert!(begun.elapsed() < Duration::from_secs(10), "{name}, round {round}");
        }
    }
}

/// Files that say how many cases they have, or that each began: only those can show that something is missing.
const COUNTED: [&str; 9] = [
    "ctrf/playwright.json",
    "go-json/mixed.json",
    "junit/jest.xml",
    "junit/phpunit.xml",
    "junit/pytest.xml",
    "libtest-json/mixed.json",
    "libtest-json/nextest.json",
    "tap/plain.tap",
    "tap/subtests.tap",
];

#[test]
fn one_damaged_bit_hides_no_failure() {
    let corpus = corpus();
    for name in COUNTED {
        let bytes = &corpus.iter().find(|(file, _)| file == name).unwrap().1;
        let (cases, _, _) = read(bytes, usize::MAX);
        assert!(cases.iter().any(|case| case.outcome.is_failure()), "{name}");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!green(&damaged), "{name}, bit {bit}: {}", String::from_utf8_lossy(&damaged));
        }
    }
}

#[test]
fn a_cut_report_is_never_green() {
    for (name, bytes) in corpus() {
        let whole = bytes.trim_ascii_end();
        let begun = !read(whole, usize::MAX).0.is_empty();
        // Of short files every cut is tried. Several roots in one file may be cut between them.
        for end in (0..whole.len().saturating_sub(1)).step_by(whole.len() / 2_000 + 1) {
            let cut = &whole[..end];
            let between = name.contains("concatenated") || (name.contains("libtest") && ends_a_harness(cut));
            let done = name.starts_with("go-json") && ends_a_package(cut);
            assert!(between || done || !begun || !green(cut), "{name} cut at {end}");
        }
    }
}

/// Whether a stream of harnesses is whole so far: nobody can know that another was to follow.
fn ends_a_harness(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let last = text.lines().last().unwrap_or_default();
    last.contains("\"suite\"") && last.contains("\"passed\"") && last.trim_end().ends_with('}')
}

/// The same for packages.
fn ends_a_package(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let last = text.lines().last().unwrap_or_default();
    !last.contains("\"Test\"") && last.contains("\"Elapsed\"") && last.trim_end().ends_with('}')
}
