//! Turns Rust source into its code alone: comments and the contents of literals become blanks.
//!
//! Line numbers and columns stay, so that offences can be pointed at. This is a lexer for a yes/no question,
//! not a parser: it knows comments (nested), strings, raw strings, byte and C strings, characters and lifetimes.

/// The code of a source text.
pub(super) fn code(source: &str) -> String {
    let mut scrubber = Scrubber { rest: source, out: String::with_capacity(source.len()) };
    while !scrubber.rest.is_empty() {
        scrubber.step();
    }
    scrubber.out
}

struct Scrubber<'a> {
    rest: &'a str,
    out: String,
}

impl Scrubber<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(length);
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            self.blank(length);
        } else if self.at_word_start()
            && let Some(length) = raw_string(self.rest)
        {
            self.blank(length);
        } else if self.rest.starts_with('"') {
            let length = quoted(self.rest, '"');
            self.blank(length);
        } else if self.rest.starts_with('\'') && is_character(self.rest) {
            let length = quoted(self.rest, '\'');
            self.blank(length);
        } else {
            let length = self.rest.chars().next().map_or(0, char::len_utf8);
            self.keep(length);
        }
    }

    fn at_word_start(&self) -> bool {
        !self.out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
    }

    fn keep(&mut self, length: usize) {
        let (head, tail) = self.rest.split_at(length);
        self.out.push_str(head);
        self.rest = tail;
    }

    fn blank(&mut self, length: usize) {
        let (head, tail) = self.rest.split_at(length);
        self.out.extend(head.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = tail;
    }
}

/// Length of a block comment, nested ones included.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match (previous, c) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth = depth.saturating_sub(1),
            _ => {
                previous = c;
                continue;
            }
        }
        if depth == 0 {
            return at + 1;
        }
        // A character ends only one delimiter: `/*/` opens and does not close.
        previous = '\0';
    }
    text.len()
}

/// Length of a raw string that begins here, if one does.
fn raw_string(text: &str) -> Option<usize> {
    let after = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after.trim_start_matches('#').strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&closing).map_or(body.len(), |at| at + closing.len());
    Some(text.len() - body.len() + end)
}

/// Length of a literal with escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Whether a `'` begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut rest = text.chars().skip(1);
    matches!((rest.next(), rest.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blanks_of_the_same_shape() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("/*/ x */y", "        y"),
            ("f(\"a\\\"//\")", "f(       )"),
            ("r#\"x\"y\"#z", "        z"),
            ("for\"q\"", "for   "),
            ("'a' 'x: &'b str", "    'x: &'b str"),
            ("'\\'' b", "     b"),
            ("\"line\none\"x", "     \n    x"),
        ] {
            assert_eq!(code(source), expected, "{source}");
        }
    }
}
