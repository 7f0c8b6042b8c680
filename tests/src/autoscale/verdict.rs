//! Whether a run did what it should, and how fast: pure functions of what was recorded.

use std::time::Duration;

use super::{
    ramp::{Move, Ramp},
    record::{Change, Series},
};

/// What a run has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Replicas at the highest rate.
    pub replicas: u32,
    /// How many more or fewer will do.
    pub slack: u32,
    /// For how long they are held, at the end of the first hold of the highest rate.
    pub steady: Duration,
    /// By how many replicas two hosts may differ meanwhile.
    pub skew: u32,
    /// Replicas at the end.
    pub least: u32,
}

/// One judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is judged.
    pub name: &'static str,
    /// What it should be.
    pub wanted: String,
    /// What it was.
    pub found: String,
    /// Whether that is good enough.
    pub passed: bool,
}

/// How fast replicas followed one move of the load. Times are from the move's beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// The move.
    pub load: Move,
    /// Replicas that were wanted when the load moved on, or the run ended.
    pub replicas: u32,
    /// Until the first replica more served; `None` if none did, or the load fell.
    pub first: Option<Duration>,
    /// Until nine tenths of the final number served; the same.
    pub most: Option<Duration>,
    /// Until no more than the least number was wanted and served; `None` if that was not reached, or the load rose.
    pub back: Option<Duration>,
}

// === verdicts ===

/// All judgements of a run.
#[must_use]
pub fn judge(ramp: &Ramp, series: &Series, goal: Goal) -> Vec<Verdict> {
    let (from, until) = ramp.steady(goal.steady).unwrap_or_default();
    vec![
        reached(series, from, until, goal),
        held(series, from, until),
        spread(series, from, until, goal.skew),
        none_failed(series),
        returned(series, goal.least),
    ]
}

/// Whether the load was met with as many replicas as it takes, all the time between two moments.
#[must_use]
pub fn reached(series: &Series, from: Duration, until: Duration, goal: Goal) -> Verdict {
    let serving: Vec<u32> = series.changes_within(from, until).map(|it| it.serving).collect();
    let (least, most) = (serving.iter().min().copied(), serving.iter().max().copied());
    let range = goal.replicas.saturating_sub(goal.slack)..=goal.replicas.saturating_add(goal.slack);
    Verdict {
        name: "reached",
        wanted: format!("{} ± {} replicas that serve, {}", goal.replicas, goal.slack, span(from, until)),
        found: match (least, most) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ => "nothing was recorded".to_owned(),
        },
        passed: !serving.is_empty() && serving.iter().all(|it| range.contains(it)),
    }
}

/// Whether the wanted number never went one way and then the other between two moments.
#[must_use]
pub fn held(series: &Series, from: Duration, until: Duration) -> Verdict {
    let mut wanted: Vec<u32> = series.changes_within(from, until).map(|it| it.wanted).collect();
    wanted.dedup();
    let turns = turns(&wanted);
    let way: Vec<String> = wanted.iter().map(u32::to_string).collect();
    Verdict {
        name: "held",
        wanted: format!("no change of direction in {:.0} s of steady load", (until - from).as_secs_f64()),
        found: if wanted.is_empty() {
            "nothing was recorded".to_owned()
        } else {
            format!("{turns}: {}", way.join(" → "))
        },
        passed: !wanted.is_empty() && turns == 0,
    }
}

/// How often a sequence without repetitions turns from rising to falling or back.
fn turns(values: &[u32]) -> usize {
    values.windows(3).filter(|it| (it[0] < it[1]) != (it[1] < it[2])).count()
}

/// Whether replicas were spread evenly over all hosts in every sample between two moments.
#[must_use]
pub fn spread(series: &Series, from: Duration, until: Duration, skew: u32) -> Verdict {
    let samples: Vec<_> = series.samples_within(from, until).filter(|it| !it.hosts.is_empty()).collect();
    let worst = samples.iter().max_by_key(|it| it.skew());
    let text = |hosts: &std::collections::BTreeMap<String, u32>| {
        hosts.values().map(u32::to_string).collect::<Vec<_>>().join(", ")
    };
    Verdict {
        name: "spread",
        wanted: format!("hosts differ by {skew} at most, {}", span(from, until)),
        found: worst.map_or("nothing was recorded".to_owned(), |it| format!("{}: {}", it.skew(), text(&it.hosts))),
        passed: worst.is_some_and(|it| it.skew() <= skew),
    }
}

/// Whether every request of the whole run was answered.
#[must_use]
pub fn none_failed(series: &Series) -> Verdict {
    let mut found = format!("{} of {}", series.failed, series.sent);
    let mut failures: Vec<_> = series.failures.iter().collect();
    failures.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (text, count) in failures.into_iter().take(3) {
        found.push_str(&format!("; {count} × {text}"));
    }
    Verdict { name: "failed requests", wanted: "none".to_owned(), found, passed: series.failed == 0 && series.sent > 0 }
}

/// Whether the run ended with the least number of replicas.
#[must_use]
pub fn returned(series: &Series, least: u32) -> Verdict {
    let last = series.changes.last();
    Verdict {
        name: "returned",
        wanted: format!("{least} at the end"),
        found: last.map_or("nothing was recorded".to_owned(), |it| it.serving.to_string()),
        passed: last.is_some_and(|it| it.wanted == least && it.serving == least),
    }
}

fn span(from: Duration, until: Duration) -> String {
    format!("{:.0} to {:.0} s", from.as_secs_f64(), until.as_secs_f64())
}

// === reactions ===

/// How fast replicas followed each move of the load.
#[must_use]
pub fn reactions(ramp: &Ramp, series: &Series, least: u32) -> Vec<Reaction> {
    let end = series.samples.last().map_or(Duration::ZERO, |it| it.at);
    let happened = ramp.moves().into_iter().filter(|it| it.at < end);
    happened.filter_map(|load| reaction(series, load, least)).collect()
}

/// The same of one move; `None` if nothing is known of that time.
#[must_use]
pub fn reaction(series: &Series, load: Move, least: u32) -> Option<Reaction> {
    let before = series.replicas(load.at)?.serving;
    let replicas = series.replicas(load.until)?.wanted;
    let until = |reached: &dyn Fn(&Change) -> bool| {
        series.changes_within(load.at, load.until).find(reached).map(|it| it.at.saturating_sub(load.at))
    };
    let rises = load.to > load.from;
    // In whole numbers: nine tenths of 38 are 34.2, so 35.
    let most = replicas.saturating_mul(9).div_ceil(10);
    Some(Reaction {
        load,
        replicas,
        first: rises.then(|| until(&|it| it.serving > before)).flatten(),
        most: (rises && replicas > before).then(|| until(&|it| it.serving >= most)).flatten(),
        back: (!rises).then(|| until(&|it| it.wanted <= least && it.serving <= least)).flatten(),
    })
}

#[cfg(test)]
mod tests;
