//! The `penstock-operator` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    penstock_operator::main()
}
