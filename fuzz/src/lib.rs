//! What every fuzz target demands of a reader: it ends, holds little, adds up, and says the same however its input comes.

use shared::domain::case::TEXT_LIMIT_BYTES;
use shared::domain::id::RunId;
use shared::domain::import::Importer;
use shared::domain::parse::format::{AnyReader, Format};
use shared::domain::parse::{ParseReport, Reader as _, ReportCase};
use shared::domain::proof::Ledger;
use shared::domain::time::Timestamp;

fn read(format: Option<Format>, bytes: &[u8], piece: usize) -> (Vec<ReportCase>, ParseReport) {
    let mut cases = Vec::new();
    let mut reader = AnyReader::new(format);
    for part in bytes.chunks(piece) {
        reader.push(part, &mut |case| cases.push(case));
    }
    let report = reader.finish(&mut |case| cases.push(case));
    (cases, report)
}

/// Reads a report in one piece and in many, imports it, and has the import proven.
pub fn report(format: Option<Format>, bytes: &[u8]) {
    let (cases, report) = read(format, bytes, usize::MAX);
    assert_eq!((&cases, &report), (&read(format, bytes, 7).0, &read(format, bytes, 7).1));
    assert_eq!(cases.len() as u64, report.cases);
    let mut importer = Importer::new(RunId(1), Timestamp(1), None);
    for case in cases {
        assert_eq!(case.failure.is_some(), case.outcome.is_failure());
        assert!(case.output.len() <= 3 * TEXT_LIMIT_BYTES && case.name.len() <= 1100);
        importer.case(case);
    }
    importer.finish();
    proven(importer);
}

fn proven(mut importer: Importer) {
    let portions = importer.take();
    for job in importer.into_jobs() {
        let mut ledger = Ledger::new(job.queue.len);
        for lease in &job.leases {
            for portion in portions.iter().filter(|portion| portion.lease.id == lease.id) {
                portion.events.iter().for_each(|event| ledger.event(lease, event));
            }
            ledger.lease(lease);
        }
        assert_eq!(ledger.contradictions(&job.queue), Vec::<String>::new());
    }
}
