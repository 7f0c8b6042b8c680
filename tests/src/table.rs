//! Tables in Markdown, padded so that they read well as plain text too.

/// A table, row by row.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    #[must_use]
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![heads.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row; missing cells are empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell =
            |row: &Vec<String>, column: usize| row.get(column).map_or(String::new(), |cell| cell.replace('|', "\\|"));
        let width = |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0).max(3);
        for (index, row) in self.rows.iter().enumerate() {
            for column in 0..columns {
                write!(f, "| {:<width$} ", cell(row, column), width = width(column))?;
            }
            writeln!(f, "|")?;
            if index == 0 {
                for column in 0..columns {
                    write!(f, "| {} ", "-".repeat(width(column)))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["server", "req/s"]);
        table.row(["plain", "41,200"]);
        table.row(["a|b"]);
        assert_eq!(
            table.to_string(),
            "| server | req/s  |\n| ------ | ------ |\n| plain  | 41,200 |\n| a\\|b   |        |\n"
        );
    }
}
