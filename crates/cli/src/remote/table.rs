//! Compact tables: a heading, rows, columns as wide as they need to be.
//!
//! Pure. If the lines are too long for a terminal, optional columns are left out, soft ones are cut, and at last the
//! last one gives way; what is no terminal gets everything. Cells hold foreign text and are cleaned here.

use crate::line::{Line, Tone, clean, columns, cut_middle};

/// Between two columns.
const GAP: usize = 2;
/// The last column is not cut to less.
const LAST_MIN: usize = 12;
/// A soft column is not cut to less.
const SOFT_MIN: usize = 8;

/// What happens to a column if there is not enough room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firmness {
    Firm,
    Soft,
    Optional,
}

/// A piece of a row.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
    firmness: Firmness,
}

impl Cell {
    /// A text.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), tone: Tone::Plain, right: false, firmness: Firmness::Firm }
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

    /// In a column that may be cut; the first row says so for all.
    #[must_use]
    pub fn soft(self) -> Self {
        Self { firmness: Firmness::Soft, ..self }
    }

    /// In a column that may be left out; the first row says so for all.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { firmness: Firmness::Optional, ..self }
    }
}

/// A column that is shown: its place in the rows, its width.
#[derive(Debug, Clone, Copy)]
struct Column {
    at: usize,
    wide: usize,
    right: bool,
    firmness: Firmness,
}

/// The lines of a table; without rows there is none.
#[must_use]
pub fn lines(head: &[&str], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<Line> {
    let Some(first) = rows.first() else { return Vec::new() };
    let measured = head.iter().zip(first).enumerate().map(|(at, (title, cell))| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| columns(&cell.text));
        let wide = cells.chain([columns(title)]).max().unwrap_or(0);
        Column { at, wide, right: cell.right, firmness: cell.firmness }
    });
    let shown = fitted(measured.collect(), width);
    let titles: Vec<Cell> = head.iter().map(|title| Cell { tone: Tone::Faint, ..Cell::new(title) }).collect();
    std::iter::once(&titles).chain(rows).map(|row| line(row, &shown, width)).collect()
}

/// The columns that there is room for, from the right on.
fn fitted(mut shown: Vec<Column>, width: Option<usize>) -> Vec<Column> {
    let Some(width) = width else { return shown };
    let last = shown.last().map(|column| column.at);
    let least = |column: &Column| {
        if Some(column.at) == last && !column.right { column.wide.min(LAST_MIN) } else { column.wide }
    };
    let needed = |shown: &[Column]| shown.iter().map(|column| least(column) + GAP).sum::<usize>();
    while needed(&shown) > width + GAP {
        let Some(at) = shown.iter().rposition(|column| column.firmness == Firmness::Optional) else { break };
        shown.remove(at);
    }
    while needed(&shown) > width + GAP {
        let soft =
            shown.iter_mut().filter(|column| column.firmness == Firmness::Soft && column.wide > SOFT_MIN);
        let Some(widest) = soft.max_by_key(|column| column.wide) else { break };
        widest.wide -= 1;
    }
    shown
}

fn line(row: &[Cell], shown: &[Column], width: Option<usize>) -> Line {
    let mut line = Line::new();
    let filled = shown.iter().filter(|column| row.get(column.at).is_some_and(|cell| !cell.text.is_empty()));
    let end = filled.map(|column| column.at).max();
    for column in shown {
        let Some(cell) = row.get(column.at).filter(|_| Some(column.at) <= end) else { break };
        let gap = if column.at == 0 { 0 } else { GAP };
        line = line.plain(" ".repeat(gap));
        if Some(column.at) == end && !column.right {
            let room = width.map_or(usize::MAX, |width| width.saturating_sub(line.columns()).max(LAST_MIN));
            let room = if column.firmness == Firmness::Soft { room.min(column.wide) } else { room };
            line = line.with(cell.tone, cut_middle(&cell.text, room));
            continue;
        }
        let text = cut_middle(&cell.text, column.wide);
        let padding = " ".repeat(column.wide.saturating_sub(columns(&text)));
        line = if column.right {
            line.plain(padding).with(cell.tone, text)
        } else {
            line.with(cell.tone, text).plain(padding)
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

    #[test]
    fn a_narrow_terminal_gets_what_matters_and_a_pipe_gets_all() {
        let row = |last: &str| {
            vec![
                Cell::new("run_0190b0f0c0de7000"),
                Cell::new("0123456").optional(),
                Cell::new("a-very-long-branch-name").soft(),
                Cell::number("17"),
                Cell::new(last),
            ]
        };
        let rows = [row("3 passed"), row("")];
        let text = |width| {
            let lines = lines(&["RUN", "COMMIT", "BRANCH", "TOOK", "CASES"], &rows, width);
            lines.iter().map(Line::text).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!([text(None), text(Some(70)), text(Some(56))].join("\n\n"), @r"
        RUN                   COMMIT   BRANCH                   TOOK  CASES
        run_0190b0f0c0de7000  0123456  a-very-long-branch-name    17  3 passed
        run_0190b0f0c0de7000  0123456  a-very-long-branch-name    17

        RUN                   COMMIT   BRANCH                   TOOK  CASES
        run_0190b0f0c0de7000  0123456  a-very-long-branch-name    17  3 passed
        run_0190b0f0c0de7000  0123456  a-very-long-branch-name    17

        RUN                   BRANCH              TOOK  CASES
        run_0190b0f0c0de7000  a-very…branch-name    17  3 passed
        run_0190b0f0c0de7000  a-very…branch-name    17
        ");
        assert!(text(Some(56)).lines().all(|line| columns(line) <= 56));
        assert!(text(None).lines().all(|line| line.trim_end() == line), "no blanks at the end");
    }
}
