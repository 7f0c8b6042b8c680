//! Events as people read them.

use std::io::{self, Write};

use anstyle::Style;
use jiff::{Timestamp, tz::TimeZone};
use penstock_host::ShareState;

use super::event::{Event, Overview, Request, RouteRow, Stamped, Weighted};
use crate::{
    problem::Problem,
    table::{Cell, Table},
    term::{BAD, DIM, GOOD, HEAD, LINK, PLAIN, WARN, paint},
};

/// Where continuation lines begin: behind the time.
const INDENT: &str = "          ";

/// Writes one event.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(out: &mut impl Write, stamped: &Stamped) -> io::Result<()> {
    let time = clock(stamped.time);
    match &stamped.event {
        Event::Ready { admin, ms, files, overview, .. } => ready(out, *ms, *files, &admin.to_string(), overview),
        Event::Routes { overview } => {
            writeln!(out)?;
            tables(out, overview)?;
            writeln!(out)
        }
        Event::Request(it) => request(out, &time, it),
        Event::Applied { files, fixed, ms, .. } => {
            let word = if fixed.is_empty() { "applied" } else { "fixed" };
            writeln!(out, "{time}  {} {} ({ms} ms)", paint(GOOD, word), files.join(", "))
        }
        Event::Rejected { files, problems, serving, .. } => rejected(out, &time, files, problems, *serving),
        Event::Advice { problems } => problems.iter().try_for_each(|it| writeln!(out, "{time}  {it}")),
        Event::Share { workload, state, message, .. } => share(out, &time, workload, *state, message.as_deref()),
        Event::Guest { component, line, .. } => {
            writeln!(out, "{time}  {} {}", paint(DIM, format!("{component} |")), harmless(line))
        }
        Event::Note { message } => writeln!(out, "{time}  {}: {message}", paint(WARN, "note")),
        Event::Draining { grace_ms } => {
            let seconds = grace_ms / 1000;
            writeln!(out, "{time}  draining: requests in flight have {seconds} s; press Ctrl-C again to end at once")
        }
    }
}

fn clock(time: Timestamp) -> String {
    paint(DIM, time.to_zoned(TimeZone::system()).strftime("%H:%M:%S"))
}

fn ready(out: &mut impl Write, ms: u64, files: usize, admin: &str, overview: &Overview) -> io::Result<()> {
    let plural = if files == 1 { "" } else { "s" };
    writeln!(out, "{} in {ms} ms, {files} manifest file{plural}\n", paint(GOOD, "penstock dev is ready"))?;
    tables(out, overview)?;
    writeln!(out, "\nRoutes: {}  Stop: Ctrl-C\n", paint(DIM, format!("penstock routes --admin http://{admin}")))
}

fn tables(out: &mut impl Write, overview: &Overview) -> io::Result<()> {
    if overview.routes.is_empty() && overview.workloads.is_empty() {
        return writeln!(
            out,
            "Nothing to run yet: no WorkloadDeployment or Workload was found. Add one; it is picked up as you save it."
        );
    }
    for endpoint in &overview.urls {
        let also = endpoint.also.iter().map(|url| paint(LINK, url)).collect::<Vec<_>>().join(" and ");
        let also = if also.is_empty() { also } else { format!("; also {also}") };
        writeln!(out, "{}  {}{also}", paint(LINK, &endpoint.url), endpoint.what)?;
    }
    if !overview.urls.is_empty() {
        writeln!(out)?;
    }
    let mut table = Table::new(&["URL", "MATCH", "WORKLOAD", "INSTANCES"]);
    for row in &overview.routes {
        let (instances, style) = instances(overview, row);
        table.row([
            row.url.as_str().into(),
            row.matches.as_str().into(),
            workloads(&row.workloads).into(),
            Cell::styled(instances, style),
        ]);
    }
    write!(out, "{table}")?;
    for it in overview.workloads.iter().filter(|it| it.state != ShareState::Ready) {
        share(out, "", &it.workload, it.state, it.message.as_deref())?;
    }
    Ok(())
}

fn workloads(weighted: &[Weighted]) -> String {
    let total: u64 = weighted.iter().map(|it| u64::from(it.weight)).sum();
    let name = |it: &Weighted| match &it.component {
        Some(component) => format!("{} ({component})", it.workload),
        // A backend that is not there.
        None if it.workload.is_empty() => "missing".to_owned(),
        None => it.workload.clone(),
    };
    match weighted {
        [] => "-".to_owned(),
        [only] => name(only),
        several => {
            let part = |it: &Weighted| (u64::from(it.weight) * 100).checked_div(total).unwrap_or(0);
            several.iter().map(|it| format!("{} {}%", name(it), part(it))).collect::<Vec<_>>().join(", ")
        }
    }
}

/// `3 ready`, `1 loading`, `failed`: of all workloads behind a row, the ones that are worst off.
fn instances(overview: &Overview, row: &RouteRow) -> (String, Style) {
    let behind =
        row.workloads.iter().filter_map(|it| overview.workloads.iter().find(|known| known.workload == it.workload));
    let mut behind: Vec<_> = behind.collect();
    if behind.is_empty() {
        return if row.workloads.is_empty() { (String::new(), PLAIN) } else { ("none".into(), BAD) };
    }
    behind.dedup_by_key(|it| &it.workload);
    let any = |state| behind.iter().any(|it| it.state == state);
    let count: u32 = behind.iter().map(|it| it.replicas).sum();
    if any(ShareState::Failed) {
        ("failed".into(), BAD)
    } else if any(ShareState::Loading) {
        ("loading".into(), WARN)
    } else {
        (format!("{count} ready"), GOOD)
    }
}

fn request(out: &mut impl Write, time: &str, it: &Request) -> io::Result<()> {
    let (status, style) = match it.status {
        Some(status @ 500..) => (status.to_string(), BAD),
        Some(status @ 400..) => (status.to_string(), WARN),
        Some(status @ 300..) => (status.to_string(), LINK),
        Some(status) => (status.to_string(), GOOD),
        None => ("-".to_owned(), DIM),
    };
    let place = if it.host.is_empty() { &it.listener } else { &it.host };
    write!(out, "{time}  {} {:<4} {}{}", paint(style, format!("{status:<3}")), it.method, place, it.path)?;
    let workload = it.workload.as_deref().unwrap_or("-");
    write!(out, "  {}  {}", paint(DIM, workload), duration(it.ms))?;
    if let Some(cause) = it.cause {
        write!(out, "  {}", paint(style, cause))?;
    } else if it.ended != "complete" {
        write!(out, "  {}", paint(WARN, it.ended))?;
    }
    writeln!(out)
}

fn duration(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

fn rejected(out: &mut impl Write, time: &str, files: &[String], problems: &[Problem], serving: bool) -> io::Result<()> {
    writeln!(out, "{time}  {} {}", paint(BAD, "broken"), files.join(", "))?;
    problems.iter().try_for_each(|it| writeln!(out, "{INDENT}{it}"))?;
    if serving {
        writeln!(out, "{INDENT}{}", paint(HEAD, "What ran before goes on; the next save is tried again."))?;
    }
    Ok(())
}

fn share(out: &mut impl Write, time: &str, workload: &str, state: ShareState, message: Option<&str>) -> io::Result<()> {
    let (word, style) = match state {
        ShareState::Ready => ("ready", GOOD),
        ShareState::Loading => ("loading", WARN),
        ShareState::Draining => ("draining", DIM),
        ShareState::Failed => ("failed", BAD),
    };
    let gap = if time.is_empty() { "" } else { "  " };
    write!(out, "{time}{gap}{} {workload}", paint(style, word))?;
    match message {
        Some(message) => writeln!(out, ": {message}"),
        None => writeln!(out),
    }
}

/// Without what would move the cursor or change colours: a guest has no say over the terminal.
fn harmless(line: &str) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    plain.chars().map(|it| if it.is_control() && it != '\t' { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests;
