//! Prints how fast results are imported and what memory that takes: `cargo run --release -p embedded --example import_rate`.
//!
//! One JUnit report is made up while it is read, so that neither a disk nor a network is measured. Arguments: `read`,
//! `store`, `import` or `reports`, then the size in MiB. One line of JSON comes out.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement, not a product"
)]

use embedded::blobs::LocalBlobs;
use embedded::files::FileBlobs;
use embedded::sqlite::SqliteStore;
use embedded::system::{OsIds, SystemClock};
use shared::domain::id::ProjectId;
use shared::domain::parse::Reader as _;
use shared::domain::parse::junit::JunitReader;
use shared::domain::shard::Clocks;
use shared::domain::verdict::Verdict;
use shared::ports::Unobserved;
use shared::ports::forge::NoForge;
use shared::service::import::{Import, ImportOrder};
use shared::service::token::TokenKey;
use shared::service::{Services, Settings, Stride};
use std::path::Path;
use std::sync::Arc;
use testkit::contract::block_on;
use testkit::memory::{MemoryLauncher, MemoryQueue};

const MIB: usize = 1024 * 1024;
/// What a socket hands over at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A report as it comes: classes of 20 tests, every 50th with output, every 1,000th failed.
struct Report {
    cases: u64,
    rest: Vec<u8>,
    left_bytes: usize,
}

impl Report {
    fn new(size_bytes: usize) -> Self {
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"bench\">\n<testsuite name=\"all\">\n";
        Self { cases: 0, rest: head.into(), left_bytes: size_bytes }
    }

    fn piece(&mut self) -> Option<Vec<u8>> {
        if self.left_bytes == 0 {
            return None;
        }
        while self.rest.len() < PIECE_BYTES.min(self.left_bytes) {
            self.case();
        }
        let mut piece: Vec<u8> = self.rest.drain(..PIECE_BYTES.min(self.rest.len())).collect();
        self.left_bytes = self.left_bytes.saturating_sub(piece.len());
        if self.left_bytes == 0 {
            piece.append(&mut self.rest);
            piece.extend_from_slice(b"</testsuite>\n</testsuites>\n");
        }
        Some(piece)
    }

    fn case(&mut self) {
        let n = self.cases;
        self.cases += 1;
        let class = n / 20;
        let open = format!(
            "  <testcase classname=\"com.example.shop.module{}.Class{class}Test\" name=\"test_behaviour_{n}[case-{}]\" file=\"src/test/java/com/example/Class{class}Test.java\" line=\"{}\" time=\"0.{:03}\"",
            class % 40,
            n % 7,
            n % 500 + 1,
            n % 1000,
        );
        let text = match n {
            _ if n % 1000 == 999 => format!(
                "{open}>\n    <failure type=\"AssertionError\" message=\"expected &lt;{n}&gt; but was 0\"><![CDATA[{}]]></failure>\n  </testcase>\n",
                "    at com.example.shop.Class.method(Class.java:42)\n".repeat(40),
            ),
            _ if n % 50 == 49 => format!(
                "{open}>\n    <system-out>{}</system-out>\n  </testcase>\n",
                "2026-01-01T00:00:00Z INFO com.example.Shop - did &amp; said something of interest\n"
                    .repeat(50),
            ),
            _ => format!("{open}/>\n"),
        };
        self.rest.extend_from_slice(text.as_bytes());
    }
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Time this thread had a core, in seconds: other work on the machine does not count.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn read(mib: usize) -> (u64, f64) {
    let mut report = Report::new(mib * MIB);
    let mut reader = JunitReader::default();
    let (mut cases, mut spent) = (0, 0.0);
    while let Some(piece) = report.piece() {
        let begun = busy();
        reader.push(&piece, &mut |_case| cases += 1);
        spent += busy() - begun;
    }
    let read = reader.finish(&mut |_case| cases += 1);
    assert!(read.fault().is_none() && read.cases == report.cases, "{read:?}");
    (cases, spent)
}

/// Time the whole process had cores, in seconds.
fn process_busy() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // User and system time in ticks, of which there are 100 in a second on every Linux.
    fields[11..=12].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn services(folder: &Path) -> Arc<Services> {
    let clock = Arc::new(SystemClock::default());
    let store =
        Arc::new(SqliteStore::open(&folder.join("state.db"), Arc::<SystemClock>::clone(&clock)).unwrap());
    let files = FileBlobs::open(folder.join("blobs")).unwrap();
    Arc::new(Services {
        blobs: Arc::new(LocalBlobs::new(Arc::clone(&store), files)),
        store,
        queue: Arc::new(MemoryQueue::new(Arc::<SystemClock>::clone(&clock) as _)),
        launcher: Arc::new(MemoryLauncher::default()),
        forge: Arc::new(NoForge),
        clock,
        ids: Arc::new(OsIds),
        observer: Arc::new(Unobserved),
        settings: Settings {
            clocks: Clocks::default(),
            token_key: TokenKey::new("k".repeat(64)),
            max_shards: 1,
            batch_overhead_ms: 1,
            slots: None,
            stride: Stride::default(),
            version: "0".to_owned(),
            closing_bytes: 0,
            keep_history: true,
        },
    })
}

/// From the first byte to the last result stored, or to the run with its verdict and its reports, on the embedded
/// adapters.
fn import(mib: usize, (whole, reports): (bool, bool)) -> (u64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let services = services(folder.path());
    let mut report = Report::new(mib * MIB);
    let order = ImportOrder { project: ProjectId("bench".to_owned()), ..ImportOrder::default() };
    let mut import = Import::begin(&services, order);
    let (begun, mut made) = (process_busy(), 0.0);
    loop {
        let before = busy();
        let piece = report.piece();
        made += busy() - before;
        let Some(piece) = piece else { break };
        block_on(import.push(&piece)).unwrap();
    }
    if !whole {
        let spent = process_busy() - begun - made;
        block_on(import.abandon());
        return (report.cases, spent);
    }
    let imported = block_on(import.finish()).unwrap();
    if reports {
        // The first that is asked for has all of them rendered.
        block_on(services.report_piece(imported.run.value.id, "junit.xml", 0)).unwrap();
    }
    let spent = process_busy() - begun - made;
    assert_eq!(imported.not_accepted, Vec::new());
    let verdict = imported.run.value.judgement.map(|judgement| judgement.verdict);
    assert_eq!((imported.accepted, verdict), (report.cases, Some(Verdict::Failed)));
    (imported.accepted, spent)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "read".to_owned());
    let mib = arguments.next().map_or(200, |text| text.parse().unwrap());
    let (cases, seconds) = match what.as_str() {
        "read" => read(mib),
        other => import(mib, (other != "store", other == "reports")),
    };
    let rate = f64::from(u32::try_from(mib).unwrap()) * 1.048_576 / seconds;
    let peak = peak_mib();
    println!(
        "{{\"what\":\"{what}\",\"mib\":{mib},\"cases\":{cases},\"mb_per_s\":{rate:.1},\"peak_mib\":{peak:.1}}}"
    );
}
