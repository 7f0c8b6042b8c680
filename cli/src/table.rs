//! Columns as `kubectl get` prints them: a head, two spaces between, no lines.

use std::fmt;

use anstyle::Style;

use crate::term::{HEAD, PLAIN, paint};

/// Rows under a head.
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A text in a style.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, PLAIN)
    }
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; a missing last cell is empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize, head: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.max().unwrap_or(0).max(head.chars().count())
        };
        let widths: Vec<usize> = self.head.iter().enumerate().map(|(column, head)| width(column, head)).collect();
        let head = self.head.iter().map(|text| (*text, HEAD)).collect::<Vec<_>>();
        line(f, &widths, &head)?;
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|cell| (cell.text.as_str(), cell.style)).collect();
            line(f, &widths, &cells)?;
        }
        Ok(())
    }
}

/// One line; nothing is padded after the last cell that holds something.
fn line(f: &mut fmt::Formatter<'_>, widths: &[usize], cells: &[(&str, Style)]) -> fmt::Result {
    let end = cells.iter().rposition(|(text, _)| !text.is_empty()).map_or(0, |last| last + 1);
    for (column, (text, style)) in cells.iter().take(end).enumerate() {
        f.write_str(&paint(*style, text))?;
        if column + 1 < end {
            let width = widths.get(column).copied().unwrap_or(0) + 2;
            write!(f, "{:pad$}", "", pad = width - text.chars().count().min(width))?;
        }
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::GOOD;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_whatever_its_style() {
        let mut table = Table::new(&["NAME", "STATE", "WHY"]);
        table.row(["a-long-name".into(), Cell::styled("ready", GOOD), "".into()]);
        table.row(["b".into(), "failed".into(), "no file".into()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "NAME         STATE   WHY\na-long-name  ready\nb            failed  no file\n");
    }
}
