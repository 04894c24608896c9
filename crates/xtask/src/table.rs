//! Markdown tables, aligned so that they also read well in a terminal.

/// A table: a header and rows of the same length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row; missing cells stay empty.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let clean: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| (0..columns).map(|at| row.get(at).map_or_else(String::new, |c| escape(c))).collect())
            .collect();
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                clean.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut lines: Vec<String> = clean.iter().map(|row| render(row, &widths)).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat((*width).max(3))).collect();
        if !lines.is_empty() {
            lines.insert(1, render(&rule, &widths));
        }
        lines.join("\n") + "\n"
    }
}

fn render(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}", width = (*width).max(3)))
        .collect();
    format!("| {} |", cells.join(" | "))
}

fn escape(cell: &str) -> String {
    cell.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_cannot_break_the_table() {
        let mut table = Table::new(&["suite", "n"]);
        table.row(vec!["a|b\nc".to_owned(), "10".to_owned()]);
        table.row(vec!["x".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| suite  | n   |\n| ------ | --- |\n| a\\|b c | 10  |\n| x      |     |\n"
        );
    }
}
