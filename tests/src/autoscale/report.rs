//! What one or more runs came to, as one HTML file that needs nothing else: no script, no network, no other file.

use std::{fmt::Write as _, time::Duration};

use super::{
    chart::clock,
    driver::Driver,
    ramp::Ramp,
    record::{Sample, Series},
    svg::{Line, Plot, Scale, escaped, short},
    verdict::{Goal, Reaction, Verdict, judge, reactions},
};

const STYLE: &str = include_str!("report.css");
/// Rows of the table beside a plot, about.
const ROWS: usize = 40;

/// One driver's run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who changed `spec.replicas`.
    pub driver: Driver,
    /// What was offered.
    pub ramp: Ramp,
    /// What happened.
    pub series: Series,
    /// What was to be reached.
    pub goal: Goal,
}

// === impl Run ===

impl Run {
    /// All judgements.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        judge(&self.ramp, &self.series, self.goal)
    }

    /// How fast replicas followed each move of the load.
    #[must_use]
    pub fn reactions(&self) -> Vec<Reaction> {
        reactions(&self.ramp, &self.series, self.goal.least)
    }

    /// Whether every judgement is good.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdicts().iter().all(|it| it.passed)
    }

    fn end(&self) -> Duration {
        self.series.samples.last().map_or(Duration::ZERO, |it| it.at)
    }
}

// === the page ===

/// The whole page. `about` says in a sentence or two what ran where.
#[must_use]
pub fn page(runs: &[Run], about: &str) -> String {
    let names: Vec<&str> = runs.iter().map(|it| it.driver.name()).collect();
    let names = names.join(", ");
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Autoscaling with Penstock: {names}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#reactions\">To the results</a>\n<header>\n\
         <h1>Autoscaling with Penstock</h1>\n<p class=\"lead\">{}</p>\n</header>\n<main>\n",
        escaped(about),
    );
    if runs.len() > 1 {
        let links: Vec<String> = runs.iter().map(|it| format!("<a href=\"#{0}\">{0}</a>", it.driver.name())).collect();
        let _ = writeln!(html, "<nav aria-label=\"Drivers\"><p>{}</p></nav>", links.join(" · "));
    }
    html.push_str(&reaction_table(runs));
    for run in runs {
        html.push_str(&section(run));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn reaction_table(runs: &[Run]) -> String {
    let mut rows = Vec::new();
    for run in runs {
        for it in run.reactions() {
            let takes = it.load.takes;
            let how = if takes.is_zero() { "at once".to_owned() } else { format!("in {} s", takes.as_secs()) };
            rows.push(vec![
                run.driver.name().to_owned(),
                clock(it.load.at),
                format!("{} → {}/s {how}", short(it.load.from), short(it.load.to)),
                it.replicas.to_string(),
                time(it.first),
                time(it.most),
                time(it.back),
            ]);
        }
    }
    let least = runs.first().map_or(1, |it| it.goal.least);
    let back = format!("back to {least}");
    let heads = ["driver", "at", "load", "replicas then", "first one more", "90% of them", &back];
    format!(
        "<section aria-labelledby=\"reactions\">\n<h2 id=\"reactions\">How fast replicas follow the load</h2>\n{}\
         <p class=\"note\">From the moment at which the load begins to change until so many replicas <em>serve</em>. A dash: \
         not so in this direction, or not reached.</p>\n</section>\n",
        table("Reactions", &heads, &rows, "reactions"),
    )
}

fn section(run: &Run) -> String {
    let name = run.driver.name();
    let verdicts = run.verdicts();
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|it| {
            let passed = if it.passed { "passed" } else { "failed" };
            vec![it.name.to_owned(), passed.to_owned(), it.wanted.clone(), it.found.clone()]
        })
        .collect();
    let mut html = format!(
        "<section aria-labelledby=\"{name}\">\n<h2 id=\"{name}\">{name}</h2>\n<p class=\"lead\">{}, {} long.</p>\n{}",
        escaped(run.driver.about()),
        clock(run.end()),
        table("Verdicts", &["what", "verdict", "wanted", "found"], &rows, &format!("{name}-verdicts")),
    );
    html.push_str("<h3>Over time</h3>\n");
    for (plot, note) in plots(run) {
        html.push_str(&figure(&plot, note));
    }
    html.push_str("</section>\n");
    html
}

/// A table that can be scrolled by keyboard where it is too wide.
fn table(caption: &str, heads: &[&str], rows: &[Vec<String>], id: &str) -> String {
    let id = format!("{id}-table");
    let mut html = format!(
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"{id}\">\n<table>\n<caption \
         id=\"{id}\">{caption}</caption>\n<thead><tr>"
    );
    for head in heads {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let text = escaped(cell);
            let _ = match (column, &**cell) {
                (0, _) => write!(html, "<th scope=\"row\">{text}</th>"),
                (1, "passed" | "failed") => write!(html, "<td class=\"{text}\">{text}</td>"),
                _ => write!(html, "<td>{text}</td>"),
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}

// === plots ===

fn plots(run: &Run) -> Vec<(Plot, &'static str)> {
    let name = run.driver.name();
    let judged = run.ramp.steady(run.goal.steady).map(|(from, until)| (from.as_secs_f64(), until.as_secs_f64()));
    let plot = |id: &str, title: &str, unit, lines| Plot {
        id: format!("{name}-{id}"),
        title: format!("{title}, {name}"),
        unit,
        lines,
        seconds: run.end().as_secs_f64(),
        marks: judged.into_iter().collect(),
        ..Plot::default()
    };
    let samples = |name: &str, steps, value: &dyn Fn(&Sample) -> Option<f64>| Line {
        name: name.to_owned(),
        points: run.series.samples.iter().map(|it| (it.at.as_secs_f64(), value(it))).collect(),
        steps,
    };
    let millis = |it: Option<Duration>| it.map(|it| it.as_secs_f64() * 1e3);
    let hosts = run.series.hosts();
    let shares = hosts
        .iter()
        .map(|host| samples(host, true, &|it| Some(f64::from(it.hosts.get(*host).copied().unwrap_or_default()))))
        .collect();
    let skew = samples("difference", true, &|it| Some(f64::from(it.skew())));
    let latency = plot(
        "latency",
        "Latency",
        "milliseconds",
        vec![
            samples("p50", false, &|it| millis(it.p50)),
            samples("p99", false, &|it| millis(it.p99)),
            samples("wait on the host", false, &|it| millis(it.queue_wait)),
        ],
    );
    #[allow(clippy::cast_precision_loss, reason = "a second's failures")]
    let failed = samples("failed", true, &|it| Some(it.failed as f64));
    vec![
        (
            plot(
                "load",
                "Load",
                "requests a second",
                vec![
                    samples("offered", false, &|it| Some(it.offered)),
                    samples("answered", false, &|it| Some(it.answered)),
                ],
            ),
            "What was due, whether or not earlier requests had been answered, and what was answered.",
        ),
        (
            plot(
                "replicas",
                "Replicas",
                "replicas",
                vec![
                    samples("wanted", true, &|it| Some(f64::from(it.wanted))),
                    samples("serving", true, &|it| Some(f64::from(it.serving))),
                ],
            ),
            "What spec.replicas asks for, and what status.currentReplicas says that serves.",
        ),
        (
            Plot { stacked: true, ..plot("spread", "Replicas on each host", "replicas", shares) },
            "Each host's replicas on top of the ones before.",
        ),
        (
            plot("skew", "Difference between the fullest and the emptiest host", "replicas", vec![skew]),
            "One is as even as it gets where the number is no multiple of the hosts'.",
        ),
        (
            Plot { scale: Scale::Logarithmic, ..latency },
            "By the second in which a request was due, and from that moment on: what it waited to be sent counts too. By \
             orders of magnitude.",
        ),
        (
            plot("errors", "Failed requests", "requests in a second", vec![failed]),
            "Whatever was not answered with 200.",
        ),
    ]
}

/// A plot, its key, and its figures in a table.
fn figure(plot: &Plot, note: &str) -> String {
    let mut keys = String::new();
    if plot.lines.len() > 1 {
        for (index, line) in plot.lines.iter().enumerate() {
            let _ = write!(
                keys,
                "<span class=\"key\"><svg viewBox=\"0 0 40 12\" aria-hidden=\"true\"><path class=\"line l{}\" \
                 d=\"M0 6H40\"/></svg>{}</span>",
                index % 4,
                escaped(&line.name),
            );
        }
    }
    format!(
        "<figure>\n<h4 id=\"{id}-head\">{title}</h4>\n{svg}{rows}<figcaption>{keys}{note} The shaded span is the one that is \
         judged.</figcaption>\n</figure>\n",
        id = plot.id,
        title = escaped(&plot.title),
        svg = plot.svg(),
        rows = figures(plot),
    )
}

fn figures(plot: &Plot) -> String {
    let mut html = format!(
        "<div class=\"rows\" role=\"region\" tabindex=\"0\" aria-label=\"Figures: {title}\">\n<table>\n<thead><tr><th \
         scope=\"col\">time</th>",
        title = escaped(&plot.title),
    );
    for line in &plot.lines {
        let _ = write!(html, "<th scope=\"col\" class=\"n\">{}</th>", escaped(&line.name));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let moments: Vec<f64> = plot.lines.first().map_or(Vec::new(), |it| it.points.iter().map(|it| it.0).collect());
    let step = moments.len().div_ceil(ROWS).max(1);
    let last = moments.len().saturating_sub(1);
    for (index, at) in moments.iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last) {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", clock(Duration::from_secs_f64(*at)));
        for line in &plot.lines {
            let value = line.points.get(index).and_then(|it| it.1);
            let _ = write!(html, "<td class=\"n\">{}</td>", value.map_or("–".to_owned(), short));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    html
}

/// A time that is read at a glance.
#[must_use]
pub fn time(time: Option<Duration>) -> String {
    match time {
        None => "–".to_owned(),
        Some(it) if it < Duration::from_secs(1) => format!("{:.0} ms", it.as_secs_f64() * 1e3),
        Some(it) => format!("{:.1} s", it.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
