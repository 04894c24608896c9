//! Tags and texts of a report, as they come.
//!
//! It drops comments and processing instructions (and with them repeated XML declarations), refuses DTDs, and cuts
//! texts and attribute values that are too long, so that nothing it holds can be large. It works on whole stretches
//! between markup, not on characters: that is where the speed of an import comes from.

use super::attributes::unescape;
use super::walk::Walk;
use std::borrow::Cow;

/// Longest text, CDATA section or attribute value that passes.
const TEXT_LIMIT_BYTES: usize = 64 * 1024;
/// Longest tag, its attribute values not counted.
const TAG_LIMIT_BYTES: usize = 64 * 1024;
/// Most attribute bytes of one tag.
const ATTRIBUTES_LIMIT_BYTES: usize = 256 * 1024;
const MARKUP: [&str; 3] = ["--", "[CDATA[", "DOCTYPE"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Text,
    Opened,
    Bang(String),
    Comment { dashes: usize },
    Instruction { question: bool },
    CData { brackets: usize },
    Tag { quote: Option<u8> },
}

/// What a stretch of input completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Nothing,
    Text,
    CData,
    Tag,
    Refused(&'static str),
}

/// The state of reading one stream.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    /// Whether somebody wants the text of the innermost element.
    wanted: bool,
    text: String,
    left_out: usize,
    tag: String,
    markup_bytes: usize,
    attribute_bytes: usize,
    value_bytes: usize,
    line: u64,
    column: u64,
    over: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            state: State::Text,
            wanted: true,
            text: String::new(),
            left_out: 0,
            tag: String::new(),
            markup_bytes: 0,
            attribute_bytes: 0,
            value_bytes: 0,
            line: 1,
            column: 1,
            over: false,
        }
    }
}

impl Lexer {
    /// Whether nothing more can be read.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the next stretch of text.
    pub(super) fn feed(&mut self, text: &str, walk: &mut Walk) {
        let mut rest = text;
        while !rest.is_empty() && !self.over {
            let (used, done) = self.step(rest);
            let (now, later) = rest.split_at(used.min(rest.len()));
            self.advance(now);
            rest = later;
            self.over = !self.settle(done, walk);
        }
    }

    /// Ends the stream; tells where, and why it is no proper end.
    pub(super) fn end(&mut self, walk: &mut Walk) {
        if self.over {
            return;
        }
        self.over = true;
        let place = match &self.state {
            State::Text => {
                self.settle(Done::Text, walk);
                return walk.end((self.line, self.column), None);
            }
            State::Opened | State::Bang(_) | State::Tag { .. } => "a tag",
            State::Comment { .. } => "a comment",
            State::Instruction { .. } => "a processing instruction",
            State::CData { .. } => "a CDATA section",
        };
        let message = format!("the file is cut off: it ends inside {place}");
        walk.end((self.line, self.column), Some(message));
    }

    /// Ends the stream before its end.
    pub(super) fn fail(&mut self, walk: &mut Walk, message: String) {
        if !std::mem::replace(&mut self.over, true) {
            walk.end((self.line, self.column), Some(message));
        }
    }

    fn advance(&mut self, stretch: &str) {
        let lines = stretch.bytes().filter(|byte| *byte == b'\n').count();
        let last = match stretch.rsplit_once('\n') {
            Some((_, last)) => {
                self.column = 1;
                last
            }
            None => stretch,
        };
        self.line += lines as u64;
        self.column += last.chars().count() as u64;
    }

    /// Passes on what is complete; false if nothing more may be read.
    fn settle(&mut self, done: Done, walk: &mut Walk) -> bool {
        let at = (self.line, self.column);
        match done {
            Done::Nothing => true,
            Done::Text | Done::CData => {
                if self.wanted && !self.text.is_empty() {
                    let text = if done == Done::Text { unescape(&self.text) } else { Cow::from(&self.text) };
                    match self.left_out {
                        0 => walk.text(&text, at),
                        bytes => walk.text(&format!("{text}\n[... {bytes} bytes left out ...]\n"), at),
                    }
                }
                self.text.clear();
                self.left_out = 0;
                true
            }
            Done::Tag => {
                let go_on = walk.tag(&self.tag, at);
                self.wanted = walk.wants_text();
                if !go_on {
                    walk.end(at, None);
                }
                go_on
            }
            Done::Refused(why) => {
                walk.end(at, Some(why.to_owned()));
                false
            }
        }
    }

    /// Takes a stretch from the front of `rest`: its length, and what it completes.
    fn step(&mut self, rest: &str) -> (usize, Done) {
        match &mut self.state {
            State::Text => {
                let end = rest.find('<');
                self.keep_text(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
                match end {
                    Some(at) => {
                        self.state = State::Opened;
                        (at + 1, Done::Text)
                    }
                    None => (rest.len(), Done::Nothing),
                }
            }
            State::Opened => self.opened(rest),
            State::Bang(_) => self.bang(rest),
            State::Comment { dashes } => {
                let (used, over) = comment(rest, dashes);
                if over {
                    self.state = State::Text;
                }
                (used, Done::Nothing)
            }
            State::Instruction { question } => {
                let (used, over) = instruction(rest, question);
                if over {
                    self.state = State::Text;
                }
                (used, Done::Nothing)
            }
            State::CData { brackets } => {
                let seen = *brackets;
                self.in_cdata(rest, seen)
            }
            State::Tag { quote } => {
                let quote = *quote;
                self.in_tag(rest, quote)
            }
        }
    }

    fn opened(&mut self, rest: &str) -> (usize, Done) {
        let (state, used) = match rest.as_bytes().first() {
            Some(b'!') => (State::Bang(String::new()), 1),
            Some(b'?') => (State::Instruction { question: false }, 1),
            _ => (State::Tag { quote: None }, 0),
        };
        self.state = state;
        self.tag.clear();
        (self.markup_bytes, self.attribute_bytes) = (0, 0);
        (used, Done::Nothing)
    }

    fn bang(&mut self, rest: &str) -> (usize, Done) {
        let State::Bang(word) = &mut self.state else { return (0, Done::Nothing) };
        let Some(next) = rest.chars().next() else { return (0, Done::Nothing) };
        word.push(next.to_ascii_uppercase());
        let mut done = Done::Nothing;
        match word.as_str() {
            "--" => self.state = State::Comment { dashes: 0 },
            "[CDATA[" => self.state = State::CData { brackets: 0 },
            "DOCTYPE" => done = Done::Refused("document type declarations (DTD) are refused"),
            word if MARKUP.iter().any(|known| known.starts_with(word)) => {}
            _ => done = Done::Refused("broken XML: unknown markup after `<!`"),
        }
        (next.len_utf8(), done)
    }

    fn in_tag(&mut self, rest: &str, quote: Option<u8>) -> (usize, Done) {
        let end = match quote {
            Some(quote) => rest.bytes().position(|byte| byte == quote),
            None => rest.bytes().position(|byte| matches!(byte, b'>' | b'<' | b'"' | b'\'')),
        };
        let stretch = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if quote.is_some() {
            self.keep_value(stretch);
        } else {
            self.markup_bytes += stretch.len() + 1;
            self.tag.push_str(stretch);
        }
        if self.markup_bytes > TAG_LIMIT_BYTES {
            return (stretch.len(), Done::Refused("a tag is too long"));
        }
        let Some(at) = end else { return (rest.len(), Done::Nothing) };
        match (quote, rest.as_bytes().get(at)) {
            (Some(quote), _) => {
                self.tag.push(char::from(quote));
                self.state = State::Tag { quote: None };
            }
            (None, Some(b'<')) => return (at + 1, Done::Refused("broken XML: `<` inside a tag")),
            (None, Some(byte @ (b'"' | b'\''))) => {
                self.tag.push(char::from(*byte));
                self.value_bytes = 0;
                self.state = State::Tag { quote: Some(*byte) };
            }
            (None, _) => {
                self.state = State::Text;
                return (at + 1, Done::Tag);
            }
        }
        (at + 1, Done::Nothing)
    }

    fn keep_value(&mut self, stretch: &str) {
        let room = TEXT_LIMIT_BYTES
            .saturating_sub(self.value_bytes)
            .min(ATTRIBUTES_LIMIT_BYTES.saturating_sub(self.attribute_bytes));
        let kept = cut(stretch, room);
        self.value_bytes += stretch.len();
        self.attribute_bytes += kept.len();
        self.tag.push_str(kept);
    }

    fn keep_text(&mut self, stretch: &str) {
        if self.wanted {
            let kept = cut(stretch, TEXT_LIMIT_BYTES.saturating_sub(self.text.len()));
            self.left_out += stretch.len() - kept.len();
            self.text.push_str(kept);
        }
    }

    fn in_cdata(&mut self, rest: &str, brackets: usize) -> (usize, Done) {
        if brackets == 0 {
            let end = rest.find(']').unwrap_or(rest.len());
            if end > 0 {
                self.keep_text(rest.get(..end).unwrap_or_default());
                return (end, Done::Nothing);
            }
        }
        match rest.as_bytes().first() {
            Some(b']') => {
                // Two may be the end; what stands before them is text.
                if brackets >= 2 {
                    self.keep_text("]");
                }
                self.state = State::CData { brackets: (brackets + 1).min(2) };
                (1, Done::Nothing)
            }
            Some(b'>') if brackets >= 2 => {
                self.state = State::Text;
                (1, Done::CData)
            }
            _ => {
                self.keep_text(if brackets >= 2 { "]]" } else { "]" });
                self.state = State::CData { brackets: 0 };
                (0, Done::Nothing)
            }
        }
    }
}

/// The beginning of a text, at most `room` bytes.
fn cut(text: &str, room: usize) -> &str {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn comment(rest: &str, dashes: &mut usize) -> (usize, bool) {
    if *dashes == 0
        && let Some(at) = rest.find('-').filter(|at| *at > 0)
    {
        return (at, false);
    }
    match (rest.chars().next(), *dashes) {
        (Some('-'), seen) => {
            *dashes = (seen + 1).min(2);
            (1, false)
        }
        (Some('>'), 2) => (1, true),
        (Some(_), 0) | (None, _) => (rest.len(), false),
        (Some(other), _) => {
            *dashes = 0;
            (other.len_utf8(), false)
        }
    }
}

fn instruction(rest: &str, question: &mut bool) -> (usize, bool) {
    if std::mem::take(question) && rest.starts_with('>') {
        return (1, true);
    }
    match rest.find('?') {
        Some(at) => {
            *question = true;
            (at + 1, false)
        }
        None => (rest.len(), false),
    }
}
