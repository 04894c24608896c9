//! JSON in pieces: one value at a time out of a stream, with strings cut, so that none of them is large.
//!
//! A capture copies a value byte by byte and leaves out what is too much of a string in such a way that the rest is
//! still JSON. Whether it is JSON at all is found out when it is read.

/// Longest string that is kept, as it is written.
const STRING_LIMIT_BYTES: usize = 64 * 1024;
/// Longest value that is kept.
const VALUE_LIMIT_BYTES: usize = 2 * 1024 * 1024;
/// Values may nest this deep.
pub(super) const DEPTH_LIMIT: usize = 64;
const STRAY_LIMIT_BYTES: usize = 200;

/// What a capture says to a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// There is more to come.
    More,
    /// The value is whole.
    Whole,
    /// It can never be read.
    Refused(&'static str),
}

/// A value that is being copied, an object or an array.
#[derive(Debug, Default)]
pub(super) struct Capture {
    text: Vec<u8>,
    depth: usize,
    in_string: bool,
    string_bytes: usize,
    /// Bytes of an escape sequence that are still to come.
    escape: usize,
    unicode: Vec<u8>,
    /// The last character was the first half of a pair: it must not be parted from the second.
    half: bool,
    dropping: bool,
}

impl Capture {
    /// The copy.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Brackets that are open, whether a string is, and whether its next character is escaped.
    pub(super) fn state(&self) -> (usize, bool, bool) {
        (self.depth, self.in_string, self.escape > 0 && self.unicode.is_empty())
    }

    /// Takes the next byte.
    pub(super) fn take(&mut self, byte: u8) -> Taken {
        if self.in_string {
            self.string(byte);
        } else {
            self.text.push(byte);
            match byte {
                b'"' => (self.in_string, self.string_bytes, self.half) = (true, 0, false),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth == 0 {
                return Taken::Whole;
            }
        }
        if self.depth > DEPTH_LIMIT {
            return Taken::Refused("it nests too deep");
        }
        if self.text.len() > VALUE_LIMIT_BYTES { Taken::Refused("it is too large") } else { Taken::More }
    }

    fn string(&mut self, byte: u8) {
        self.string_bytes += 1;
        if self.escape > 0 {
            return self.escaped(byte);
        }
        let begins_character = !(0x80..0xc0).contains(&byte);
        if self.string_bytes > STRING_LIMIT_BYTES && begins_character && !self.half {
            self.dropping = true;
        }
        match byte {
            b'"' => {
                (self.in_string, self.dropping) = (false, false);
            }
            b'\\' => {
                self.escape = 1;
                self.unicode.clear();
            }
            _ => self.half = false,
        }
        self.keep(byte);
    }

    fn escaped(&mut self, byte: u8) {
        self.keep(byte);
        self.escape -= 1;
        if self.unicode.is_empty() {
            self.half = false;
            if byte != b'u' {
                return;
            }
            self.escape = 4;
        }
        self.unicode.push(byte.to_ascii_lowercase());
        if self.escape == 0 {
            self.half = matches!(self.unicode.as_slice(), [b'u', b'd', b'8'..=b'9' | b'a' | b'b', ..]);
        }
    }

    fn keep(&mut self, byte: u8) {
        if !self.dropping {
            self.text.push(byte);
        }
    }
}

/// Something in a stream of objects, one on each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// An object, perhaps.
    Object(&'l [u8]),
    /// Anything else, its beginning.
    Stray(&'l [u8]),
    /// The beginning of an object, and why it is not whole.
    Broken(&'static str),
}

/// A stream of objects, one on each line.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    capture: Option<Capture>,
    stray: Vec<u8>,
    /// The rest of the line is of no use.
    skipping: bool,
    lines: u64,
}

impl JsonLines {
    /// The number of the line that is being read, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// Takes the next bytes; each line is told with its number.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(u64, Line<'_>)) {
        for byte in bytes {
            let line = self.line();
            match byte {
                b'\n' => {
                    self.end_line(each);
                    self.lines += 1;
                }
                _ if self.skipping => {}
                b'{' if self.capture.is_none() && self.stray.is_empty() => {
                    self.begin(*byte);
                }
                _ => self.inside(*byte, line, each),
            }
        }
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(u64, Line<'_>)) {
        self.end_line(each);
    }

    fn begin(&mut self, byte: u8) {
        let mut capture = Capture::default();
        capture.take(byte);
        self.capture = Some(capture);
    }

    fn inside(&mut self, byte: u8, line: u64, each: &mut dyn FnMut(u64, Line<'_>)) {
        let Some(capture) = &mut self.capture else {
            let blank =
                self.stray.is_empty() && (byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf));
            if !blank && self.stray.len() < STRAY_LIMIT_BYTES {
                self.stray.push(byte);
            }
            return;
        };
        match capture.take(byte) {
            Taken::More => {}
            Taken::Whole => {
                each(line, Line::Object(capture.text()));
                self.capture = None;
            }
            Taken::Refused(why) => {
                each(line, Line::Broken(why));
                self.capture = None;
                self.skipping = true;
            }
        }
    }

    fn end_line(&mut self, each: &mut dyn FnMut(u64, Line<'_>)) {
        let line = self.line();
        self.skipping = false;
        if self.capture.take().is_some() {
            each(line, Line::Broken("it is cut off"));
        }
        if !self.stray.is_empty() {
            each(line, Line::Stray(&self.stray));
            self.stray.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        let mut lines = JsonLines::default();
        let mut each = |line: u64, seen: Line<'_>| {
            told.push(match seen {
                Line::Object(text) => format!("{line} object {}", String::from_utf8_lossy(text)),
                Line::Stray(text) => format!("{line} stray {}", String::from_utf8_lossy(text)),
                Line::Broken(why) => format!("{line} broken {why}"),
            });
        };
        lines.push(text, &mut each);
        lines.finish(&mut each);
        told
    }

    #[test]
    fn lines_are_objects_strays_or_broken() {
        let text = b"\xef\xbb\xbf{\"a\":\"}\\\"\"}\n\nFAIL x\n{\"b\":[1\n{\"c\":{}}\r\n{\"d\":\"cut";
        assert_eq!(
            told(text),
            [
                "1 object {\"a\":\"}\\\"\"}",
                "3 stray FAIL x",
                "4 broken it is cut off",
                "5 object {\"c\":{}}",
                "6 broken it is cut off"
            ]
        );
    }

    #[test]
    fn giants_are_cut_and_what_nests_too_deep_is_refused() {
        let long = format!("{{\"a\":\"{}\",\"b\":1}}\n", "x".repeat(5_000_000));
        let told_long = told(long.as_bytes());
        assert!(told_long[0].len() < 70_000 && told_long[0].ends_with("\",\"b\":1}"), "{}", told_long.len());
        let deep = format!("{{\"a\":{}\n{{}}\n", "[".repeat(100));
        assert_eq!(told(deep.as_bytes()), ["1 broken it nests too deep", "2 object {}"]);
        let wide = format!("{{\"a\":[{}1]}}\n", "1,".repeat(2_000_000));
        assert_eq!(told(wide.as_bytes()), ["1 broken it is too large"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_is_cut_is_still_json(filler in "[a-zé🎉\\\\\"\n]{1,8}", ascii in any::<bool>()) {
            let text = filler.repeat(100_000 / filler.len());
            let value = serde_json::json!({ "a": text, "b": [1, { "c": "}" }] });
            let mut json = value.to_string();
            if ascii {
                json = json.chars().map(|c| {
                    let mut units = [0u16; 2];
                    if c.is_ascii() { c.to_string() } else {
                        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                    }
                }).collect();
            }
            let mut capture = Capture::default();
            let taken: Vec<Taken> = json.bytes().map(|byte| capture.take(byte)).collect();
            prop_assert_eq!(taken.last(), Some(&Taken::Whole));
            let cut: serde_json::Value = serde_json::from_slice(capture.text()).unwrap();
            prop_assert_eq!(&cut["b"], &value["b"]);
            let kept = cut["a"].as_str().unwrap();
            prop_assert!(text.starts_with(kept) && kept.len() < STRING_LIMIT_BYTES + 4);
        }
    }
}
