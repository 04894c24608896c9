//! Bytes of a report as text: which encoding it has, and decoding it piece by piece.
//!
//! Bytes that are no text become U+FFFD. The same bytes give the same text however they are cut.

use crate::domain::sanitise::decode_utf8;

/// So much must be there before a declaration is looked at.
const HEAD_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    Utf16 { big_endian: bool },
}

/// Decodes a stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    encoding: Option<Encoding>,
    undecoded: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes and hands out what is text by now.
    pub(super) fn push(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        if self.encoding == Some(Encoding::Utf8) && self.undecoded.is_empty() {
            return self.push_utf8(bytes, take);
        }
        self.undecoded.extend_from_slice(bytes);
        if self.undecoded.len() >= HEAD_BYTES || self.encoding.is_some() {
            self.decode(false, take);
        }
    }

    /// The common case: nothing is copied.
    fn push_utf8(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        match std::str::from_utf8(bytes) {
            Ok(text) => take(text),
            Err(_) => {
                self.undecoded.extend_from_slice(bytes);
                self.decode(false, take);
            }
        }
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(&str)) {
        self.decode(true, take);
    }

    fn decode(&mut self, ended: bool, take: &mut dyn FnMut(&str)) {
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None => detect(&mut self.undecoded),
        };
        self.encoding = Some(encoding);
        take(&decode(encoding, &mut self.undecoded, ended));
    }
}

fn detect(bytes: &mut Vec<u8>) -> Encoding {
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
    let head = bytes.get(..HEAD_BYTES.min(bytes.len())).unwrap_or_default();
    let head = String::from_utf8_lossy(head).to_lowercase();
    let declaration = head.split("?>").next().unwrap_or_default();
    let single_byte = ["iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252"];
    let named = declaration.split_once("encoding").map(|(_, rest)| rest).unwrap_or_default();
    if single_byte.iter().any(|name| named.contains(name)) { Encoding::Latin1 } else { Encoding::Utf8 }
}

/// Decodes what is complete and leaves the rest.
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
