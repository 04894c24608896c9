//! Lines of a stream, cut at a limit, so that one endless line costs no memory.

use std::io::{self, BufRead};

/// Longest line that is kept; the rest of it is dropped.
const LINE_LIMIT_BYTES: usize = 64 * 1024;

/// Hands out each line without its end, as text; what is no UTF-8 becomes U+FFFD.
pub(super) fn each_line(mut input: impl BufRead, each: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut line = Vec::new();
    let mut begun = false;
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            break;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = LINE_LIMIT_BYTES.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        begun = true;
        let used = end.map_or(bytes.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            hand_out(&line, each);
            line.clear();
            begun = false;
        }
    }
    if begun {
        hand_out(&line, each);
    }
    Ok(())
}

fn hand_out(line: &[u8], each: &mut dyn FnMut(&str)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    each(&String::from_utf8_lossy(line));
}
