//! Where figures go: `bench/results` as they are, and `bench/README.md` as tables.

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine;

/// This folder.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes `results/NAME.jsonl` and `results/NAME.md`; the text also goes between the README's marks of that name, unless
/// it is to stay as it is.
///
/// # Errors
/// If a file cannot be written, or if the README has lost its marks.
pub fn write(name: &str, raw: &str, text: &str, readme: bool) -> Result<()> {
    let results = folder().join("results");
    fs::create_dir_all(&results)?;
    fs::write(results.join(format!("{name}.jsonl")), raw)?;
    fs::write(results.join(format!("{name}.md")), text)?;
    if readme {
        let file = folder().join("README.md");
        let filled = fill(&fs::read_to_string(&file)?, name, text)
            .with_context(|| format!("bench/README.md has lost its marks <!-- {name} --> and <!-- /{name} -->"))?;
        fs::write(&file, filled)?;
    }
    Ok(())
}

/// One JSON object a line.
///
/// # Errors
/// If a figure cannot be written as JSON.
pub fn lines(figures: &[impl Serialize]) -> Result<String> {
    let lines = figures.iter().map(|figure| Ok(serde_json::to_string(figure)? + "\n"));
    lines.collect()
}

/// The list that stands above every table: when and on what, which programs, which command.
#[must_use]
pub fn conditions(binary: &str, programs: &[String], method: &str) -> String {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let command = format!("cargo run --release -p penstock-bench --bin {binary} -- {}", arguments.join(" "));
    let mut all = vec![format!("penstock {}", env!("CARGO_PKG_VERSION"))];
    all.extend_from_slice(programs);
    all.push(machine::first_line("rustc", &["--version"]));
    format!(
        "- {}, {}\n- {}\n- {method}\n- `{}`\n",
        machine::first_line("date", &["-u", "+%F"]),
        machine::describe(),
        all.join(", "),
        command.trim_end_matches([' ', '-']),
    )
}

/// Says so if other work keeps the machine busy: the figures would not be worth much. Gives the tasks per CPU.
pub fn warn_if_busy() -> f64 {
    let busy = machine::busy();
    if busy > 0.25 {
        eprintln!(
            "warning: other work keeps the machine busy ({busy:.2} tasks per CPU); the figures will not be worth much"
        );
    }
    busy
}

/// Replaces what stands between the two marks; `None` if they are not there.
fn fill(text: &str, name: &str, tables: &str) -> Option<String> {
    let marks = [format!("<!-- {name} -->"), format!("<!-- /{name} -->")];
    let (head, rest) = text.split_once(&marks[0])?;
    let (_, tail) = rest.split_once(&marks[1])?;
    Some(format!("{head}{}\n\n{}\n\n{}{tail}", marks[0], tables.trim_end(), marks[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_replace_results() {
        let text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
        let expected = "a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb\n";
        assert_eq!(fill(text, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(fill(expected, "x", "new").as_deref(), Some(expected));
        assert_eq!(fill("no marks", "x", "new"), None);
    }
}
