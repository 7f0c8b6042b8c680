//! The `penstock` command: components behind the router with one command and no cluster, and answers about what runs.

mod admin;
mod args;
mod artifacts;
mod check;
mod cluster;
mod dev;
mod doctor;
mod inspect;
mod planning;
mod problem;
mod rollout;
mod routes;
mod show;
mod table;
mod term;

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser};

use args::{Cli, Command};

/// Runs the command that the arguments name. The exit code is 0 if it did what was asked, 1 if not, and 2 if the
/// arguments make no sense or `doctor` cannot look.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Dev(args) => dev::run(args),
        Command::Routes(args) => routes::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "penstock", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        // A reader that went away, such as `| head`, is no failure.
        if error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        anstream::eprintln!("{}error:{} {error:#}", term::BAD.render(), term::BAD.render_reset());
        ExitCode::FAILURE
    })
}
