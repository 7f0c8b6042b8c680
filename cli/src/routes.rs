//! `penstock routes`: the running table, and why a request goes where it goes.

mod explain;

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::{
    admin::Admin,
    args::{Output, RoutesArgs, RoutesCommand},
    dev::expose::ADDRESS,
    show::show,
    table::Table,
};

/// One match of one rule, as the host lists it.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    listener: String,
    generation: u64,
    host: String,
    matches: String,
    route: String,
    rule: usize,
    backends: Vec<Backend>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Backend {
    name: String,
    weight: u64,
}

/// Lists, or explains.
///
/// # Errors
///
/// When no host answers, or it does not understand the question.
pub(crate) fn run(args: &RoutesArgs) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.admin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            Some(RoutesCommand::Explain(question)) => explain::run(&admin, question, args.output).await,
            None => list(&admin, args.output).await,
        }
    })
}

async fn list(admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let rows: Vec<Row> = admin.get("/v1/routes").await?;
    show(output, &rows, |out| {
        if rows.is_empty() {
            return writeln!(out, "There are no routes.");
        }
        let mut table = Table::new(&["LISTENER", "HOST", "MATCH", "ROUTE", "RULE", "BACKENDS"]);
        for row in &rows {
            table.row([
                row.listener.as_str().into(),
                row.host.as_str().into(),
                readable(&row.matches).into(),
                row.route.as_str().into(),
                row.rule.to_string().into(),
                backends(&row.backends).into(),
            ]);
        }
        write!(out, "{table}")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A match without the expression that `penstock dev` writes for requests to an address instead of a name.
fn readable(matches: &str) -> String {
    matches.replace(&format!("host~{ADDRESS}"), "host=<an address>")
}

/// `default/api`, or `default/api 90%, default/canary 10%`.
fn backends(backends: &[Backend]) -> String {
    let total: u64 = backends.iter().map(|it| it.weight).sum();
    match backends {
        [] => "-".to_owned(),
        [only] => only.name.clone(),
        several => {
            let part = |it: &Backend| (it.weight * 100).checked_div(total).unwrap_or(0);
            several.iter().map(|it| format!("{} {}%", it.name, part(it))).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_readable() {
        assert_eq!(readable(&format!("/api/* a=b host~{ADDRESS}")), "/api/* a=b host=<an address>");
        assert_eq!(readable("/api/* a=b"), "/api/* a=b");
    }

    #[test]
    fn weights_are_parts_of_a_hundred() {
        let backend = |name: &str, weight| Backend { name: name.into(), weight };
        assert_eq!(backends(&[]), "-");
        assert_eq!(backends(&[backend("a", 1000)]), "a");
        assert_eq!(backends(&[backend("a", 900), backend("b", 100)]), "a 90%, b 10%");
        assert_eq!(backends(&[backend("a", 0), backend("b", 0)]), "a 0%, b 0%");
    }
}
