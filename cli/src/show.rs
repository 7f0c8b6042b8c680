//! An answer on standard output, for eyes or for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::args::Output;

/// Writes it as JSON, or as `people` read it.
pub(crate) fn show<T: Serialize + ?Sized>(
    output: Output,
    answer: &T,
    people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, answer)?;
            writeln!(out)?;
        }
        Output::Table => people(&mut out)?,
    }
    Ok(())
}
