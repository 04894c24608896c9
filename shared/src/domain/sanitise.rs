//! Makes foreign output safe to show: terminal escapes except colours go, control characters go, characters
//! that reorder text are shown by number.
//!
//! It works on a stream in any chunks; the same bytes give the same text however they are cut.

use std::fmt::Write as _;
use vte::{Params, Parser, Perform};

/// An unfinished escape sequence longer than this is given up: its sender forgot to end it, or never meant to.
const SEQUENCE_LIMIT_BYTES: usize = 4096;

/// Cleans a stream of output.
pub struct Sanitiser {
    parser: Parser,
    screen: Screen,
    silent_bytes: usize,
    undecoded: Vec<u8>,
}

impl std::fmt::Debug for Sanitiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sanitiser").finish_non_exhaustive()
    }
}

impl Default for Sanitiser {
    fn default() -> Self {
        Self::new()
    }
}

impl Sanitiser {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self { parser: Parser::new(), screen: Screen::default(), silent_bytes: 0, undecoded: Vec::new() }
    }

    /// Takes the next bytes and returns the text that is clear by now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.undecoded.extend_from_slice(bytes);
        let text = decode_utf8(&mut self.undecoded, false);
        self.feed(&text);
        std::mem::take(&mut self.screen.text)
    }

    /// The escape parser gets whole characters only: it treats those cut in two by other rules.
    fn feed(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let mut end = SEQUENCE_LIMIT_BYTES.min(rest.len());
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (part, more) = rest.split_at(end);
            rest = more;
            self.screen.heard = false;
            self.parser.advance(&mut self.screen, part.as_bytes());
            self.silent_bytes = if self.screen.heard { 0 } else { self.silent_bytes + part.len() };
            if self.silent_bytes > SEQUENCE_LIMIT_BYTES {
                self.parser = Parser::new();
                self.silent_bytes = 0;
            }
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self) -> String {
        let text = decode_utf8(&mut self.undecoded, true);
        self.feed(&text);
        self.screen.settle_return();
        self.parser = Parser::new();
        std::mem::take(&mut self.screen.text)
    }
}

/// Decodes what is complete and leaves the beginning of an unfinished character for the next time; what is no
/// text becomes U+FFFD.
pub fn decode_utf8(bytes: &mut Vec<u8>, ended: bool) -> String {
    let keep = if ended { 0 } else { unfinished(bytes) };
    let rest = bytes.split_off(bytes.len() - keep);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default()) {
        Ok(_) => 0,
        Err(_) => (1..=3.min(bytes.len()))
            .find(|count| {
                let tail = bytes.get(bytes.len() - count..).unwrap_or_default();
                matches!(std::str::from_utf8(tail), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
            })
            .unwrap_or(0),
    }
}

/// Cleans a whole text.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) => text.to_owned(),
        Ok(_) | Err(_) => cleaned(bytes),
    }
}

/// Cleans a text that may be kept as it is: most are clean already, and looking is much cheaper than parsing.
#[must_use]
pub fn clean_owned(text: String) -> String {
    if is_plain(&text) { text } else { cleaned(text.as_bytes()) }
}

fn cleaned(bytes: &[u8]) -> String {
    let mut sanitiser = Sanitiser::new();
    let mut text = sanitiser.push(bytes);
    text.push_str(&sanitiser.finish());
    text
}

/// Whether cleaning would change nothing.
fn is_plain(text: &str) -> bool {
    let harmless = |byte: u8| matches!(byte, b'\n' | b'\t' | 0x20..=0x7e);
    text.bytes().all(harmless)
        || text.chars().all(|c| matches!(c, '\n' | '\t') || !(c.is_control() || reorders(c)))
}

#[derive(Default)]
struct Screen {
    text: String,
    /// A carriage return came last: with a line feed it is one line end, alone it is one too.
    returned: bool,
    /// Whether the parser reported anything since this was cleared.
    heard: bool,
}

impl Screen {
    fn settle_return(&mut self) {
        if std::mem::take(&mut self.returned) {
            self.text.push('\n');
        }
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        self.heard = true;
        self.settle_return();
        if reorders(c) {
            // Writing to a String cannot fail.
            let _fine = write!(self.text, "<U+{:04X}>", u32::from(c));
        } else if !c.is_control() {
            self.text.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        self.heard = true;
        match byte {
            b'\n' => {
                self.returned = false;
                self.text.push('\n');
            }
            b'\t' => {
                self.settle_return();
                self.text.push('\t');
            }
            b'\r' => {
                self.settle_return();
                self.returned = true;
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.heard = true;
        if action != 'm' || ignore || !intermediates.is_empty() {
            return;
        }
        self.settle_return();
        let fields: Vec<String> = params
            .iter()
            .map(|sub| sub.iter().map(ToString::to_string).collect::<Vec<_>>().join(":"))
            .collect();
        let _fine = write!(self.text, "\u{1b}[{}m", fields.join(";"));
    }
}

/// Whether a character changes the direction of the text around it, and so can make a line read as another.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// The line that stands for what was left out.
#[must_use]
pub fn left_out(bytes: u64) -> String {
    format!("\n[... {bytes} bytes left out ...]\n")
}

/// Cuts a text to at most `limit` bytes: a third from its beginning, the rest from its end, and a line that says
/// how much is missing.
#[must_use]
pub fn cut_text(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let notice_room = left_out(text.len() as u64).len();
    let room = limit.saturating_sub(notice_room);
    let mut head = room / 3;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len() - (room - room / 3);
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    let (Some(first), Some(last)) = (text.get(..head), text.get(tail..)) else { return String::new() };
    format!("{first}{}{last}", left_out((tail - head) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(input: &str, expect: &str) {
        assert_eq!(clean(input.as_bytes()), expect, "{input:?}");
    }

    #[test]
    fn keeps_text_and_colours() {
        check("a\tb\nc", "a\tb\nc");
        check("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m");
        check("\u{1b}[38:2:1:2:3mx", "\u{1b}[38:2:1:2:3mx");
        check("grün 你好", "grün 你好");
    }

    #[test]
    fn drops_what_a_terminal_would_obey() {
        check("a\u{1b}[2Jb\u{1b}[Hc", "abc");
        check("\u{1b}]0;title\u{7}x", "x");
        check("\u{1b}]8;;http://x\u{1b}\\link", "link");
        check("bell\u{7}\u{8}\u{0}", "bell");
        check("c1\u{9b}2J", "c12J");
        check("\u{1b}Pq#0;2\u{1b}\\after", "after");
    }

    #[test]
    fn shows_direction_marks_and_settles_returns() {
        check("a\u{202e}b", "a<U+202E>b");
        check("10%\r20%\r\ndone\r", "10%\n20%\ndone\n");
    }

    #[test]
    fn an_endless_sequence_does_not_swallow_the_rest() {
        let mut sanitiser = Sanitiser::new();
        sanitiser.push(b"\x1b]0;");
        for _ in 0..100 {
            sanitiser.push(&[b'x'; 1000]);
        }
        let text = sanitiser.push(b"visible\n");
        assert!(text.ends_with("visible\n"), "{text:?}");
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            let mut sanitiser = Sanitiser::new();
            let text = sanitiser.push(a) + &sanitiser.push(b) + &sanitiser.finish();
            prop_assert_eq!(text, clean(&bytes));
        }

        #[test]
        fn the_short_way_gives_the_same(text in "[a-z\u{80}-\u{a0}é\u{202e}\u{7f}\n\t\r\u{1b}\u{fffe}\u{10ffff} ]{0,40}") {
            prop_assert_eq!(clean(text.as_bytes()), cleaned(text.as_bytes()));
            prop_assert_eq!(clean_owned(text.clone()), cleaned(text.as_bytes()));
        }

        #[test]
        fn only_colours_escape(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = clean(&bytes);
            for (index, c) in text.char_indices() {
                prop_assert!(!reorders(c));
                if c == '\u{1b}' {
                    let end = text[index..].find('m').map(|m| &text[index + 1..index + m]);
                    let plain = |body: &str| body.starts_with('[')
                        && body[1..].chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
                    prop_assert!(end.is_some_and(plain));
                } else if c != '\n' && c != '\t' {
                    prop_assert!(!c.is_control());
                }
            }
        }

        #[test]
        fn a_cut_text_fits(text in "\\PC{0,400}", limit in 60usize..300) {
            let cut = cut_text(&text, limit);
            prop_assert!(cut.len() <= limit);
            prop_assert_eq!(cut == text, text.len() <= limit);
        }
    }
}
