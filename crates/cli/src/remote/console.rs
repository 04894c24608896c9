//! The two streams of a remote command: stdout has what was asked for, stderr has the chatter.
//!
//! A reader that has gone away is no reason to fail, so nothing here answers an error.

use super::args::Shown;
use crate::config::Config;
use crate::line::{Ink, Line, Tone, clean};
use crate::run;
use shared::domain::time::Timestamp;
use std::io::{IsTerminal as _, Write};

/// The streams.
pub struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    out_ink: Ink,
    err_ink: Ink,
    /// Columns of stdout, if it is a terminal.
    pub width: Option<usize>,
    /// Whether stderr is a terminal whose lines can be drawn again.
    pub live: bool,
    /// Whether progress is not wanted.
    pub quiet: bool,
    /// Whether the answer is wanted as JSON.
    pub json: bool,
    /// Tells the time.
    pub now: fn() -> Timestamp,
}

impl std::fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("width", &self.width)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

impl<'a> Console<'a> {
    /// The streams of this process.
    #[must_use]
    pub fn of_process(
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
        shown: &Shown,
        config: &Config,
    ) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let colour = match shown.color {
            crate::args::Colour::Always => true,
            crate::args::Colour::Never => false,
            crate::args::Colour::Auto => {
                anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
            }
        };
        Self {
            out,
            err,
            out_ink: Ink { colour, ascii: config.ascii_only },
            err_ink: run::ink(shown.color, config),
            width: is_terminal.then(|| usize::from(console::Term::stdout().size().1)),
            live: std::io::stderr().is_terminal() && !config.dumb_terminal,
            quiet: false,
            json: shown.json,
            now: run::wall_clock,
        }
    }

    /// Streams of plain text, for anything that is no terminal.
    #[must_use]
    pub fn plain(out: &'a mut dyn Write, err: &'a mut dyn Write, now: fn() -> Timestamp) -> Self {
        let ink = Ink::default();
        Self {
            out,
            err,
            out_ink: ink,
            err_ink: ink,
            width: None,
            live: false,
            quiet: false,
            json: false,
            now,
        }
    }

    /// Lines of the answer.
    pub fn answer(&mut self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| self.out_ink.paint(line) + "\n").collect();
        self.bytes(text.as_bytes());
    }

    /// One line of the answer that programs may read, as it is.
    pub fn fact(&mut self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// The answer as one JSON document.
    pub fn document(&mut self, document: &serde_json::Value) {
        let text = serde_json::to_string_pretty(document).unwrap_or_default();
        self.fact(&text);
    }

    /// Bytes of the answer; answers whether somebody still reads them.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).is_ok()
    }

    /// Lines of chatter.
    pub fn chat(&mut self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| self.err_ink.paint(line) + "\n").collect();
        drop(self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush()));
    }

    /// Something the user should know.
    pub fn note(&mut self, text: &str) {
        self.chat(&[Line::new().with(Tone::Warn, "note: ").plain(clean(text))]);
    }

    /// How chatter is painted.
    #[must_use]
    pub fn chat_ink(&self) -> Ink {
        self.err_ink
    }
}
