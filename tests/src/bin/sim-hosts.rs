//! Thousands of hosts without components, for tests of the operator at scale.
//!
//! `sim-hosts --operator https://127.0.0.1:9443 --operator-name NAME --ca-file FILE --tokens FOLDER [--count N]`
//!
//! The folder has a file for each host: its name is the pod's, its content the pod's token. On standard output comes a line
//! of JSON whenever the counts have changed, at most each 100 ms. On standard input it takes `start N` (until N run),
//! `lose N` (N vanish without a word; their names are told), and ends with its end.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use penstock_tests::sim_host::{Census, Fleet, Operator};
use tokio::io::{AsyncBufReadExt, BufReader};

const LOOK: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<()> {
    let (mut operator, mut name, mut ca, mut tokens, mut count) = (None, None, None, None, usize::MAX);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--operator" => operator = Some(value),
            "--operator-name" => name = Some(value),
            "--ca-file" => ca = Some(PathBuf::from(value)),
            "--tokens" => tokens = Some(PathBuf::from(value)),
            "--count" => count = value.parse().context("--count")?,
            _ => bail!("{flag} is not known: there are --operator --operator-name --ca-file --tokens --count"),
        }
    }
    let operator = Operator {
        url: operator.context("--operator is missing")?,
        name: name.context("--operator-name is missing")?,
        ca: ca.context("--ca-file is missing")?,
    };
    let mut fleet = Fleet::new(operator, &tokens.context("--tokens is missing")?)?;
    fleet.start(count)?;
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut clock = tokio::time::interval(LOOK);
    let mut told = Census::default();
    loop {
        tokio::select! {
            command = commands.next_line() => match command? {
                Some(command) => obey(&mut fleet, &command)?,
                None => return Ok(()),
            },
            _ = clock.tick() => {
                let census = fleet.census();
                if census != told {
                    println!("{}", serde_json::to_string(&census)?);
                    told = census;
                }
            }
        }
    }
}

fn obey(fleet: &mut Fleet, command: &str) -> Result<()> {
    match command.split_once(' ') {
        Some(("start", count)) => fleet.start(count.trim().parse()?),
        Some(("lose", count)) => {
            println!("{}", serde_json::json!({ "lost": fleet.lose(count.trim().parse()?) }));
            Ok(())
        }
        _ => bail!("`{command}`: say `start N` or `lose N`"),
    }
}
