//! Tames the bytes of a report before the XML reader sees them.
//!
//! It decodes them to UTF-8, drops comments and processing instructions (and with them repeated XML
//! declarations), refuses DTDs, and cuts texts and attribute values that are too long, so that no single event can be
//! large. It remembers which line of the file each of its own bytes came from.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::super::append_capped;
use crate::sanitise::decode_utf8;

/// Longest text, CDATA section or attribute value that passes.
const TEXT_LIMIT_BYTES: usize = 64 * 1024;
/// Longest tag, its attribute values not counted.
const TAG_LIMIT_BYTES: usize = 64 * 1024;
/// Most attribute bytes of one tag.
const ATTRIBUTES_LIMIT_BYTES: usize = 256 * 1024;
/// How many places are remembered for error messages.
const PLACES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    Utf16 { big_endian: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Text,
    Opened,
    Bang(String),
    Comment { dashes: usize },
    Instruction { question: bool },
    CData { brackets: usize },
    Tag { quote: Option<char> },
    Refused(&'static str),
}

/// A reader over the tamed bytes.
pub(super) struct Source<R> {
    input: R,
    encoding: Option<Encoding>,
    undecoded: Vec<u8>,
    ended: bool,
    failed: Option<String>,
    state: State,
    kept: usize,
    left_out: usize,
    tag_bytes: usize,
    attribute_bytes: usize,
    out: String,
    taken: usize,
    out_start: u64,
    line: u64,
    column: u64,
    places: VecDeque<(u64, u64, u64)>,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            encoding: None,
            undecoded: Vec::new(),
            ended: false,
            failed: None,
            state: State::Text,
            kept: 0,
            left_out: 0,
            tag_bytes: 0,
            attribute_bytes: 0,
            out: String::new(),
            taken: 0,
            out_start: 0,
            line: 1,
            column: 1,
            places: VecDeque::from([(0, 1, 1)]),
        }
    }

    /// Why the file was not read to a proper end, if it was not.
    pub(super) fn complaint(&self) -> Option<String> {
        if let Some(failed) = &self.failed {
            return Some(failed.clone());
        }
        let place = match &self.state {
            State::Refused(why) => return Some((*why).to_owned()),
            _ if !self.ended => return None,
            State::Text => return None,
            State::Opened | State::Bang(_) | State::Tag { .. } => "a tag",
            State::Comment { .. } => "a comment",
            State::Instruction { .. } => "a processing instruction",
            State::CData { .. } => "a CDATA section",
        };
        Some(format!("the file is cut off: it ends inside {place}"))
    }

    /// Line and column of the file from which the tamed byte at `offset` came.
    pub(super) fn place(&self, offset: u64) -> (u64, u64) {
        let known = self.places.partition_point(|(start, _, _)| *start <= offset);
        self.places.get(known.saturating_sub(1)).map_or((self.line, self.column), |(start, line, column)| {
            (*line, column + offset.saturating_sub(*start))
        })
    }

    /// Line and column up to which the file was read.
    pub(super) fn end(&self) -> (u64, u64) {
        (self.line, self.column)
    }

    fn refill(&mut self) {
        self.out_start += self.out.len() as u64;
        self.out.clear();
        self.taken = 0;
        while self.out.is_empty() && !self.ended {
            let text = self.next_text();
            for c in text.chars() {
                self.feed(c);
                if matches!(self.state, State::Refused(_)) {
                    self.ended = true;
                    break;
                }
            }
        }
    }

    fn next_text(&mut self) -> String {
        let count = match self.input.fill_buf() {
            Ok(bytes) => {
                self.undecoded.extend_from_slice(bytes);
                bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return String::new(),
            Err(error) => {
                self.failed = Some(format!("cannot read the file: {error}"));
                0
            }
        };
        self.input.consume(count);
        if count == 0 {
            self.ended = true;
        }
        if self.encoding.is_none() {
            // The declaration must be there in full before it is looked at.
            if self.undecoded.len() < 256 && !self.ended {
                return String::new();
            }
            self.encoding = Some(detect_encoding(&mut self.undecoded));
        }
        decode(self.encoding.unwrap_or(Encoding::Utf8), &mut self.undecoded, self.ended)
    }

    fn feed(&mut self, c: char) {
        self.step(c);
        if c == '\n' {
            self.line += 1;
            self.column = 1;
            self.remember();
        } else {
            self.column += 1;
        }
    }

    /// Ties the next tamed byte to the current place in the file.
    fn remember(&mut self) {
        if self.places.len() >= PLACES {
            self.places.pop_front();
        }
        self.places.push_back((self.out_start + self.out.len() as u64, self.line, self.column));
    }

    fn step(&mut self, c: char) {
        match &mut self.state {
            State::Text if c == '<' => {
                self.close_text();
                self.state = State::Opened;
            }
            State::Text => self.keep_text(c),
            State::Opened => self.decide(c),
            State::Bang(word) => {
                word.push(c.to_ascii_uppercase());
                self.decide_bang();
            }
            State::Comment { dashes } => match (c, *dashes) {
                ('-', seen) => *dashes = seen + 1,
                ('>', 2..) => self.back_to_text(),
                _ => *dashes = 0,
            },
            State::Instruction { question } => match (c, *question) {
                ('>', true) => self.back_to_text(),
                _ => *question = c == '?',
            },
            State::CData { brackets } => match (c, *brackets) {
                (']', seen) => *brackets = seen + 1,
                ('>', seen @ 2..) => self.close_cdata(seen),
                (_, seen) => {
                    *brackets = 0;
                    (0..seen).for_each(|_| self.keep_text(']'));
                    self.keep_text(c);
                }
            },
            State::Tag { quote } => {
                let quote = *quote;
                self.in_tag(c, quote);
            }
            State::Refused(_) => {}
        }
    }

    fn decide(&mut self, c: char) {
        match c {
            '!' => self.state = State::Bang(String::new()),
            '?' => self.state = State::Instruction { question: false },
            _ => {
                self.remember();
                self.out.push('<');
                (self.tag_bytes, self.attribute_bytes) = (0, 0);
                self.state = State::Tag { quote: None };
                self.in_tag(c, None);
            }
        }
    }

    fn decide_bang(&mut self) {
        let State::Bang(word) = &self.state else { return };
        match word.as_str() {
            "--" => self.state = State::Comment { dashes: 0 },
            "[CDATA[" => {
                self.remember();
                self.out.push_str("<![CDATA[");
                self.kept = 0;
                self.state = State::CData { brackets: 0 };
            }
            "DOCTYPE" => self.state = State::Refused("document type declarations (DTD) are refused"),
            word if ["--", "[CDATA[", "DOCTYPE"].iter().any(|known| known.starts_with(word)) => {}
            _ => self.state = State::Refused("broken XML: unknown markup after `<!`"),
        }
    }

    fn in_tag(&mut self, c: char, quote: Option<char>) {
        match (quote, c) {
            (None, '>') => {
                self.out.push('>');
                self.back_to_text();
                return;
            }
            (None, '<') => {
                self.state = State::Refused("broken XML: `<` inside a tag");
                return;
            }
            (None, '"' | '\'') => {
                self.kept = 0;
                self.state = State::Tag { quote: Some(c) };
            }
            (Some(open), _) if open == c => self.state = State::Tag { quote: None },
            (Some(_), _) => {
                self.keep_attribute(c);
                return;
            }
            (None, _) => {}
        }
        self.out.push(c);
        self.tag_bytes += 1;
        if self.tag_bytes > TAG_LIMIT_BYTES {
            self.state = State::Refused("a tag is too long");
        }
    }

    fn keep_attribute(&mut self, c: char) {
        if self.kept >= TEXT_LIMIT_BYTES || self.attribute_bytes >= ATTRIBUTES_LIMIT_BYTES {
            return;
        }
        self.kept += c.len_utf8();
        self.attribute_bytes += c.len_utf8();
        if c == '<' { self.out.push_str("&lt;") } else { self.out.push(c) }
    }

    fn keep_text(&mut self, c: char) {
        if self.kept >= TEXT_LIMIT_BYTES {
            self.left_out += c.len_utf8();
            return;
        }
        self.kept += c.len_utf8();
        self.out.push(c);
    }

    fn close_text(&mut self) {
        if self.left_out > 0 {
            let notice = format!("\n[... {} bytes left out ...]\n", self.left_out);
            append_capped(&mut self.out, &notice, usize::MAX);
            self.left_out = 0;
        }
    }

    fn close_cdata(&mut self, brackets: usize) {
        (2..brackets).for_each(|_| self.keep_text(']'));
        self.close_text();
        self.out.push_str("]]>");
        self.back_to_text();
    }

    fn back_to_text(&mut self) {
        self.state = State::Text;
        self.kept = 0;
        self.left_out = 0;
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.out.len() {
            self.refill();
        }
        Ok(self.out.as_bytes().get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.out.len());
    }
}

fn detect_encoding(bytes: &mut Vec<u8>) -> Encoding {
    let (skip, encoding) = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => (3, Encoding::Utf8),
        [0xff, 0xfe, ..] => (2, Encoding::Utf16 { big_endian: false }),
        [0xfe, 0xff, ..] => (2, Encoding::Utf16 { big_endian: true }),
        [b'<', 0, ..] => (0, Encoding::Utf16 { big_endian: false }),
        [0, b'<', ..] => (0, Encoding::Utf16 { big_endian: true }),
        declared => (0, declared_encoding(declared)),
    };
    bytes.drain(..skip);
    encoding
}

fn declared_encoding(bytes: &[u8]) -> Encoding {
    let head = String::from_utf8_lossy(bytes.get(..256.min(bytes.len())).unwrap_or_default()).to_lowercase();
    let declaration = head.split("?>").next().unwrap_or_default();
    let single_byte = ["iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252"];
    let named = declaration.split_once("encoding").map(|(_, rest)| rest).unwrap_or_default();
    if single_byte.iter().any(|name| named.contains(name)) { Encoding::Latin1 } else { Encoding::Utf8 }
}

/// Decodes what is complete and leaves the rest; what is no text becomes U+FFFD.
fn decode(encoding: Encoding, bytes: &mut Vec<u8>, ended: bool) -> String {
    match encoding {
        Encoding::Latin1 => bytes.drain(..).map(char::from).collect(),
        Encoding::Utf16 { big_endian } => {
            let mut whole = if ended { bytes.len() } else { bytes.len() & !1 };
            if !ended && ends_in_half_a_pair(bytes.get(..whole).unwrap_or_default(), big_endian) {
                whole -= 2;
            }
            let units: Vec<u16> = bytes
                .drain(..whole)
                .collect::<Vec<u8>>()
                .chunks(2)
                .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
                .map(|pair| if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
                .collect();
            String::from_utf16_lossy(&units)
        }
        Encoding::Utf8 => decode_utf8(bytes, ended),
    }
}

/// Whether UTF-16 text ends in the first half of a surrogate pair.
fn ends_in_half_a_pair(bytes: &[u8], big_endian: bool) -> bool {
    let high = match bytes {
        [.., high, _] if big_endian => *high,
        [.., high] => *high,
        [] => 0,
    };
    (0xd8..0xdc).contains(&high)
}
