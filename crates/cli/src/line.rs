//! Terminal lines as data: text with tones, measured in columns.
//!
//! Everything that is shown is built from [`Line`]s by pure functions; only [`Ink`] turns them into bytes.
//! Foreign text (names, messages, tool output) enters a line through [`clean`] alone, so no test can move the
//! cursor, change colours or reverse the reading direction of the reader's terminal.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

/// What a piece of text means; colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// Names and headings.
    Strong,
    /// Secondary facts.
    Faint,
    /// Passed.
    Good,
    /// Failed.
    Bad,
    /// Flaky, lost, cancelled.
    Warn,
    /// Things to copy: commands and paths.
    Accent,
}

impl Tone {
    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Plain => style,
            Self::Strong => style.bold(),
            Self::Faint => style.dimmed(),
            Self::Good => style.bold().fg_color(Some(AnsiColor::Green.into())),
            Self::Bad => style.bold().fg_color(Some(AnsiColor::Red.into())),
            Self::Warn => style.bold().fg_color(Some(AnsiColor::Yellow.into())),
            Self::Accent => style.fg_color(Some(AnsiColor::Cyan.into())),
        }
    }
}

/// A piece of text with one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    tone: Tone,
    text: String,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pieces: Vec<Piece>,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This line with more text at its end.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push(Piece { tone, text });
        }
        self
    }

    /// This line with more ordinary text at its end.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.with(Tone::Plain, text)
    }

    /// Columns it takes.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.pieces.iter().map(|piece| columns(&piece.text)).sum()
    }

    /// This line cut to `width` columns, with `…` where something was cut.
    #[must_use]
    pub fn fit(self, width: usize) -> Self {
        if self.columns() <= width {
            return self;
        }
        let mut room = width;
        let mut pieces = Vec::new();
        for piece in self.pieces {
            let taken = columns(&piece.text);
            if taken <= room.saturating_sub(1) {
                room -= taken;
                pieces.push(piece);
                continue;
            }
            pieces.push(Piece { tone: piece.tone, text: marked_beginning(&piece.text, room) });
            break;
        }
        Self { pieces }
    }

    /// The text alone.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

/// How lines are put on paper: with colours or without, with our own symbols or in ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ink {
    /// Whether tones become colours.
    pub colour: bool,
    /// Whether our own symbols are replaced by ASCII ones of the same width.
    pub ascii: bool,
}

impl Ink {
    /// The bytes of a line, without its end.
    #[must_use]
    pub fn paint(self, line: &Line) -> String {
        line.pieces.iter().map(|piece| self.piece(piece)).collect()
    }

    fn piece(self, piece: &Piece) -> String {
        let text: String =
            if self.ascii { piece.text.chars().map(ascii).collect() } else { piece.text.clone() };
        let style = piece.tone.style();
        if self.colour { format!("{style}{text}{style:#}") } else { text }
    }
}

/// Our symbols in ASCII; what tests print is left as it is.
fn ascii(c: char) -> char {
    match c {
        '━' => '=',
        '╸' => '>',
        '─' | '·' => '-',
        '│' => '|',
        '…' => '~',
        '⠋' | '⠼' | '⠇' => '|',
        '⠙' | '⠴' | '⠏' => '/',
        '⠹' | '⠦' => '-',
        '⠸' | '⠧' => '\\',
        other => other,
    }
}

/// Columns that a text takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

fn char_columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Foreign text made harmless for one line: no escapes, no control or direction characters, no line breaks.
#[must_use]
pub fn clean(text: &str) -> String {
    anstream::adapter::strip_str(text)
        .to_string()
        .chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() || is_direction(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in at most `width` columns, with `…` at its end where something was cut.
#[must_use]
pub fn cut_end(text: &str, width: usize) -> String {
    if columns(text) <= width { text.to_owned() } else { marked_beginning(text, width) }
}

/// The text in at most `width` columns, cut in its middle: the end of a test's name tells more than the middle.
#[must_use]
pub fn cut_middle(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let tail_room = width.saturating_sub(1) * 2 / 3;
    let head = marked_beginning(text, width.saturating_sub(tail_room));
    let tail = taken(text.chars().rev(), tail_room);
    head + &tail.chars().rev().collect::<String>()
}

/// The text in lines of at most `width` columns, broken at blanks; a longer word is left whole.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn marked_beginning(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let mut kept = taken(text.chars(), width - 1);
    kept.push('…');
    kept
}

fn taken(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|&c| {
            used += char_columns(c);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2J\x1b]0;title\x07b\rc\nd\u{202e}e\x08"), "ab c d\u{fffd}e");
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(cut_middle("tests/test_parser.py::test_numbers", 20), "tests/t…test_numbers");
    }

    #[test]
    fn a_fitting_line_is_left_alone() {
        let line = Line::new().with(Tone::Bad, "FAILED").plain(" x");
        assert_eq!(line.clone().fit(8), line);
        assert_eq!(line.fit(7).text(), "FAILED…");
    }

    #[test]
    fn colours_and_symbols_can_be_left_out() {
        let line = Line::new().with(Tone::Good, "━ é").plain("…");
        let paint = |colour, ascii| Ink { colour, ascii }.paint(&line);
        assert_eq!(paint(false, false), "━ é…");
        assert_eq!(paint(false, true), "= é~");
        assert_eq!(paint(true, false), "\u{1b}[1m\u{1b}[32m━ é\u{1b}[0m…");
    }

    proptest! {
        #[test]
        fn nothing_is_ever_wider_than_allowed(text in ".{0,60}", width in 0usize..40) {
            let text = clean(&text);
            prop_assert!(columns(&cut_middle(&text, width)) <= width);
            let line = Line::new().plain("head ").with(Tone::Strong, text.clone()).plain(text);
            prop_assert!(line.fit(width).columns() <= width);
        }

        #[test]
        fn wrapping_loses_no_word(words in prop::collection::vec("[a-zé日]{1,12}", 0..20), width in 1usize..40) {
            let lines = wrap(&words.join(" "), width);
            prop_assert!(lines.iter().all(|line| columns(line) <= width || !line.contains(' ')));
            prop_assert_eq!(lines.join(" "), words.join(" "));
        }

        #[test]
        fn cleaned_text_has_no_control_characters(text in any::<String>()) {
            prop_assert!(!clean(&text).chars().any(char::is_control));
        }
    }
}
