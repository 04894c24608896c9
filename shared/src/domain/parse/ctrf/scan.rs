//! Finds `results.tests[…]` and `results.summary` in a JSON document that comes in pieces.
//!
//! It follows brackets, strings and keys and nothing else: what it finds is read, and so judged, by others. It holds one
//! test at a time.

use super::super::pieces::{Capture, DEPTH_LIMIT, Taken};

const KEY_LIMIT_BYTES: usize = 64;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'f> {
    /// An element of `results.tests`.
    Test(&'f [u8]),
    /// An element that can never be read.
    Lost(&'static str),
    /// `results.summary`.
    Summary(&'f [u8]),
    /// The document cannot be followed any further.
    Broken(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Test,
    Summary,
}

#[derive(Debug)]
struct Level {
    is_object: bool,
    key: Vec<u8>,
    expects_key: bool,
}

/// The place in a document.
#[derive(Debug)]
pub(super) struct Scan {
    levels: Vec<Level>,
    capture: Option<(Target, Capture)>,
    /// Brackets of a refused element that are still open.
    refused: Option<Refused>,
    in_string: bool,
    escaped: bool,
    begun: bool,
    over: bool,
    line: u64,
    column: u64,
}

#[derive(Debug, Default)]
struct Refused {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            levels: Vec::new(),
            capture: None,
            refused: None,
            in_string: false,
            escaped: false,
            begun: false,
            over: false,
            line: 1,
            column: 1,
        }
    }
}

type Tell<'t> = &'t mut dyn FnMut((u64, u64), Found<'_>);

impl Scan {
    /// Line and column up to which the document was read.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.line, self.column)
    }

    /// Whether the document began and ended.
    pub(super) fn is_whole(&self) -> bool {
        self.begun && self.levels.is_empty() && self.capture.is_none()
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8], tell: Tell<'_>) {
        for byte in bytes {
            if self.over {
                return;
            }
            self.byte(*byte, tell);
            if *byte == b'\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += u64::from(!(0x80..0xc0).contains(byte));
            }
        }
    }

    fn byte(&mut self, byte: u8, tell: Tell<'_>) {
        if let Some(refused) = &mut self.refused {
            if refused.skip(byte) {
                self.refused = None;
            }
        } else if self.capture.is_some() {
            self.captured(byte, tell);
        } else if self.in_string {
            self.string(byte);
        } else {
            self.structure(byte, tell);
        }
    }

    fn captured(&mut self, byte: u8, tell: Tell<'_>) {
        let at = self.place();
        let Some((target, capture)) = &mut self.capture else { return };
        match (capture.take(byte), *target) {
            (Taken::More, _) => return,
            (Taken::Whole, Target::Test) => tell(at, Found::Test(capture.text())),
            (Taken::Whole, Target::Summary) => tell(at, Found::Summary(capture.text())),
            (Taken::Refused(why), target) => {
                let lost = if target == Target::Test { Found::Lost(why) } else { Found::Broken(why) };
                tell(at, lost);
                self.refused = Some(capture.rest());
            }
        }
        self.capture = None;
    }

    fn string(&mut self, byte: u8) {
        if std::mem::take(&mut self.escaped) {
            self.key(byte);
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        } else {
            self.key(byte);
        }
    }

    fn key(&mut self, byte: u8) {
        if let Some(level) = self.levels.last_mut().filter(|level| level.expects_key)
            && level.key.len() < KEY_LIMIT_BYTES
        {
            level.key.push(byte);
        }
    }

    fn structure(&mut self, byte: u8, tell: Tell<'_>) {
        match byte {
            b'"' => {
                self.in_string = true;
                if let Some(level) = self.levels.last_mut().filter(|level| level.expects_key) {
                    level.key.clear();
                }
            }
            b'{' | b'[' => self.open(byte, tell),
            b'}' | b']' => {
                let fits = self.levels.pop().is_some_and(|level| level.is_object == (byte == b'}'));
                if !fits {
                    self.broken("brackets do not match", tell);
                }
            }
            b':' => {
                if let Some(level) = self.levels.last_mut() {
                    level.expects_key = false;
                }
            }
            b',' => {
                if let Some(level) = self.levels.last_mut() {
                    level.expects_key = level.is_object;
                }
            }
            _ if !self.begun && !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf) => {
                self.broken("it does not begin with an object", tell);
            }
            _ => {}
        }
    }

    fn broken(&mut self, why: &'static str, tell: Tell<'_>) {
        self.over = true;
        tell(self.place(), Found::Broken(why));
    }

    fn open(&mut self, byte: u8, tell: Tell<'_>) {
        if self.begun && self.levels.is_empty() {
            return self.broken("more than one document", tell);
        }
        self.begun = true;
        if self.levels.len() >= DEPTH_LIMIT {
            return self.broken("it nests too deep", tell);
        }
        if let Some(target) = self.target(byte) {
            let mut capture = Capture::default();
            capture.take(byte);
            self.capture = Some((target, capture));
            return;
        }
        let is_object = byte == b'{';
        self.levels.push(Level { is_object, key: Vec::new(), expects_key: is_object });
    }

    fn target(&self, byte: u8) -> Option<Target> {
        let key = |level: &Level, name: &str| level.is_object && level.key == name.as_bytes();
        match self.levels.as_slice() {
            [root, results] if byte == b'{' && key(root, "results") && key(results, "summary") => {
                Some(Target::Summary)
            }
            [root, results, tests]
                if byte == b'{' && key(root, "results") && key(results, "tests") && !tests.is_object =>
            {
                Some(Target::Test)
            }
            _ => None,
        }
    }
}

impl Refused {
    /// Takes a byte of what is passed over; whether that was the last.
    fn skip(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if std::mem::take(&mut self.escaped) => {}
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

impl Capture {
    fn rest(&self) -> Refused {
        let (depth, in_string, escaped) = self.state();
        Refused { depth, in_string, escaped }
    }
}
