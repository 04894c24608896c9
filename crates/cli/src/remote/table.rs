//! Compact tables: a heading, rows, columns as wide as they need to be.
//!
//! Pure. The last column gives way if the lines are too long; cells hold foreign text and are cleaned here.

use crate::line::{Line, Tone, clean, columns, cut_middle};

/// Between two columns.
const GAP: usize = 2;
/// The last column is not cut to less.
const LAST_MIN: usize = 12;

/// A piece of a row.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// A text.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), tone: Tone::Plain, right: false }
    }

    /// A number, aligned to the right.
    #[must_use]
    pub fn number(text: impl AsRef<str>) -> Self {
        Self { right: true, ..Self::new(text) }
    }

    /// With this tone.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// The lines of a table; without rows there is none.
#[must_use]
pub fn lines(head: &[&str], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<Line> {
    if rows.is_empty() {
        return Vec::new();
    }
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, title)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| columns(&cell.text));
            cells.chain([columns(title)]).max().unwrap_or(0)
        })
        .collect();
    let right = |at: usize| rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.right);
    let titles: Vec<Cell> = head
        .iter()
        .enumerate()
        .map(|(at, title)| Cell { text: (*title).to_owned(), tone: Tone::Faint, right: right(at) })
        .collect();
    std::iter::once(&titles).chain(rows).map(|row| line(row, &widths, width)).collect()
}

fn line(row: &[Cell], widths: &[usize], width: Option<usize>) -> Line {
    let mut line = Line::new();
    let last = row.len().saturating_sub(1);
    for (at, (cell, wide)) in row.iter().zip(widths).enumerate() {
        let gap = if at == 0 { 0 } else { GAP };
        line = line.plain(" ".repeat(gap));
        if at == last && !cell.right {
            let room = width.map_or(usize::MAX, |width| width.saturating_sub(line.columns()).max(LAST_MIN));
            line = line.with(cell.tone, cut_middle(&cell.text, room));
            continue;
        }
        let padding = " ".repeat(wide.saturating_sub(columns(&cell.text)));
        line = if cell.right {
            line.plain(padding).with(cell.tone, cell.text.clone())
        } else {
            line.with(cell.tone, cell.text.clone()).plain(padding)
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_gives_way() {
        let rows = vec![
            vec![Cell::new("a"), Cell::number("1,200"), Cell::new("tests/test_a.py::test_something_long")],
            vec![Cell::new("日本\n"), Cell::number("7"), Cell::new("x")],
        ];
        let text = |width| {
            let lines = lines(&["NAME", "RUNS", "CASE"], &rows, width);
            lines.iter().map(Line::text).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(text(Some(30)), @r"
        NAME    RUNS  CASE
        a      1,200  tests…thing_long
        日本       7  x
        ");
        assert!(text(None).contains("::test_something_long"));
        assert!(lines(&["A"], &[], None).is_empty());
    }
}
