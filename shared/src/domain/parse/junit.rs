//! Reads JUnit XML in the dialects that tools really write, as a stream.
//!
//! `decode` makes text of the bytes, `lexer` tags and texts of the text, `walk` cases of the tags. Memory does not
//! depend on the size of the file or the number of cases. Nothing is looked up outside: there are no entities but the
//! five of XML, and a DTD ends the reading. Invariant: a case is handed out once, when its element is complete; what is
//! cut off is never handed out.

mod attributes;
mod case;
mod decode;
mod lexer;
mod walk;

use super::{Each, PIECE_BYTES, ParseReport, Reader, ReportCase, drive};
use decode::Decoder;
use lexer::Lexer;
use std::io::BufRead;
use walk::Walk;

/// Elements may nest this deep.
const DEPTH_LIMIT: usize = 64;

/// Reads one report in pieces.
#[derive(Debug, Default)]
pub struct JunitReader {
    decoder: Decoder,
    lexer: Lexer,
    walk: Walk,
}

impl Reader for JunitReader {
    fn push(&mut self, bytes: &[u8], each: Each<'_>) {
        for piece in bytes.chunks(PIECE_BYTES) {
            if self.lexer.is_over() {
                return;
            }
            let Self { decoder, lexer, walk } = self;
            decoder.push(piece, &mut |text| lexer.feed(text, walk));
            self.walk.hand_out(each);
        }
    }

    fn fail(&mut self, reason: String) {
        self.lexer.fail(&mut self.walk, reason);
    }

    fn finish(&mut self, each: Each<'_>) -> ParseReport {
        let Self { decoder, lexer, walk } = self;
        if !lexer.is_over() {
            decoder.finish(&mut |text| lexer.feed(text, walk));
        }
        lexer.end(walk);
        self.walk.hand_out(each);
        self.walk.take_report()
    }
}

/// Reads a report and hands out its cases in order.
///
/// It always returns: whatever is wrong with the file, including a failing read, is an issue in the answer,
/// and the cases before it have been handed out.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
    drive(&mut JunitReader::default(), input, each)
}
