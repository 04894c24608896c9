//! Reads JUnit XML in the dialects that tools really write, as a stream.
//!
//! It owns the meaning of elements and attributes. `source` has made the bytes tame before (encoding, DTDs,
//! giant texts), `walk` builds cases. Memory does not depend on the size of the file or the number of cases.
//! Invariant: a case is handed out once, when its element is complete; what is cut off is never handed out.

mod attributes;
mod source;
mod walk;

use super::{ParseReport, ReportCase};
use quick_xml::Reader;
use quick_xml::events::Event;
use source::Source;
use std::io::BufRead;
use walk::Walk;

/// Elements may nest this deep.
const DEPTH_LIMIT: usize = 64;

/// Reads a report and hands out its cases in order.
///
/// It always returns: whatever is wrong with the file, including a failing read, is an issue in the answer,
/// and the cases before it have been handed out.
pub fn parse(input: impl BufRead, each: &mut dyn FnMut(ReportCase)) -> ParseReport {
    let mut reader = Reader::from_reader(Source::new(input));
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.allow_dangling_amp = true;
    config.check_comments = false;
    let mut walk = Walk::new(each);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => {
                let at = reader.get_ref().place(reader.error_position());
                let message = broken(reader.get_ref(), &error);
                return walk.end(at, Some(message));
            }
        };
        let at = reader.get_ref().place(reader.buffer_position());
        let go_on = match event {
            Event::Start(tag) => walk.open(&tag, at),
            Event::End(_) => walk.close(at),
            Event::Text(text) => walk.text(&text, at),
            Event::CData(text) => walk.text(&text, at),
            Event::GeneralRef(reference) => walk.text(&attributes::resolve(&reference), at),
            Event::Eof => {
                let at = reader.get_ref().end();
                let message = reader.get_ref().complaint();
                return walk.end(at, message);
            }
            // The source lets none of these through.
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => true,
        };
        if !go_on {
            return walk.end(at, None);
        }
    }
}

fn broken<R: BufRead>(source: &Source<R>, error: &quick_xml::Error) -> String {
    source.complaint().unwrap_or_else(|| {
        let cut_off = matches!(error, quick_xml::Error::Syntax(_));
        format!("{}: {error}", if cut_off { "the file is cut off" } else { "broken XML" })
    })
}
