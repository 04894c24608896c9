//! Lines of a stream, cut at a limit, so that one endless line costs no memory.

/// Longest line that is kept; the rest of it is dropped.
const LINE_LIMIT_BYTES: usize = 64 * 1024;

/// A line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    begun: bool,
}

impl Lines {
    /// Takes the next bytes and hands out each complete line without its end, as text; what is no UTF-8 becomes U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (now, later) = rest.split_at(end);
            rest = later.get(1..).unwrap_or_default();
            self.keep(now);
            self.hand_out(each);
        }
        self.keep(rest);
        self.begun |= !rest.is_empty();
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(&str)) {
        if self.begun {
            self.hand_out(each);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_LIMIT_BYTES.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or_default());
    }

    fn hand_out(&mut self, each: &mut dyn FnMut(&str)) {
        each(&String::from_utf8_lossy(self.line.strip_suffix(b"\r").unwrap_or(&self.line)));
        self.line.clear();
        self.begun = false;
    }
}
