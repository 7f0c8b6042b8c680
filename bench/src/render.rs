//! Figures as tables.

use penstock_tests::{chart::thousands, table::Table};

use crate::{
    measure::{Results, Sample, Steady},
    peers::Pair,
};

/// The middle one, or the mean of the two in the middle; zero for none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => 0.0,
        values if values.len().is_multiple_of(2) => {
            f64::midpoint(values[values.len() / 2 - 1], values[values.len() / 2])
        }
        values => values[values.len() / 2],
    }
}

/// Penstock's rate by the peer's, round by round: the median, the least and the greatest.
#[must_use]
pub fn ratio(pair: &Pair, results: &Results) -> (f64, f64, f64) {
    let rate = |server: &str, round| {
        results.samples.iter().find(|sample| sample.server == server && sample.round == round).map(|sample| sample.rate)
    };
    let rounds = results.samples.iter().map(|sample| sample.round).max().map_or(0, |last| last + 1);
    let ratios: Vec<_> = (0..rounds)
        .filter_map(|round| Some(rate(pair.penstock.name(), round)? / rate(pair.peer.name(), round)?))
        .collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    (median(ratios), least, greatest)
}

/// The table of ratios, the table at full speed, the table at a moderate rate.
#[must_use]
pub fn tables(all: &[(Pair, Results)]) -> String {
    let mut ratios =
        Table::new(["work", "penstock : peer, req/s", "least to greatest", "goal", "CPU per request", "memory"]);
    let mut full =
        Table::new(["work", "server", "req/s", "p50 us", "p99 us", "CPU us/req", "RSS MiB", "cross-check req/s"]);
    let mut moderate = Table::new(["work", "req/s asked", "server", "p50 us", "p99 us", "sent late p99 us"]);
    for (pair, results) in all {
        let of = |server: &str, what: fn(&Sample) -> f64| {
            median(results.samples.iter().filter(|sample| sample.server == server).map(what))
        };
        let at = |server: &str, what: fn(&Steady) -> f64| {
            median(results.steady.iter().filter(|steady| steady.server == server).map(what))
        };
        let (peer, ours) = (pair.peer.name(), pair.penstock.name());
        let (middle, least, greatest) = ratio(pair, results);
        let share = |what: fn(&Sample) -> f64| format!("{:.2}", of(ours, what) / of(peer, what));
        ratios.row([
            pair.name.clone(),
            format!("**{middle:.2}**"),
            format!("{least:.2} to {greatest:.2}"),
            format!(">= {:.2}", pair.goal),
            share(|sample| sample.cpu_us),
            share(resident),
        ]);
        for server in [peer, ours] {
            full.row([
                pair.name.clone(),
                server.into(),
                whole(of(server, |sample| sample.rate)),
                whole(of(server, |sample| sample.wrk.p50_us)),
                whole(of(server, |sample| sample.wrk.p99_us)),
                format!("{:.1}", of(server, |sample| sample.cpu_us)),
                format!("{:.0}", of(server, resident) / f64::from(1 << 20)),
                whole(of(server, |sample| sample.check_rate)),
            ]);
            moderate.row([
                pair.name.clone(),
                whole(at(server, |steady| steady.rate)),
                server.into(),
                whole(at(server, |steady| steady.p50_us)),
                whole(at(server, |steady| steady.p99_us)),
                whole(at(server, |steady| steady.lag_p99_us)),
            ]);
        }
    }
    format!(
        "{ratios}\nAt full speed (medians of all rounds):\n\n{full}\nAt half of what the slower one can do:\n\n{moderate}"
    )
}

#[allow(clippy::cast_precision_loss, reason = "bytes of memory stay far below 2^52")]
fn resident(sample: &Sample) -> f64 {
    sample.resident as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and latencies are small and positive"
)]
fn whole(value: f64) -> String {
    thousands(value.max(0.0).round() as u64)
}

/// Replaces what stands between the two marks; `None` if they are not there.
#[must_use]
pub fn fill(text: &str, tables: &str) -> Option<String> {
    const MARKS: [&str; 2] = ["<!-- results: written by `compare` -->", "<!-- /results -->"];
    let (head, rest) = text.split_once(MARKS[0])?;
    let (_, tail) = rest.split_once(MARKS[1])?;
    Some(format!("{head}{}\n\n{tables}\n{}{tail}", MARKS[0], MARKS[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([9.0, 1.0, 3.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 3.0, 100.0]), 3.5);
    }

    #[test]
    fn results_replace_results() {
        let text = "a\n<!-- results: written by `compare` -->\nold\n<!-- /results -->\nb\n";
        let expected = "a\n<!-- results: written by `compare` -->\n\nnew\n<!-- /results -->\nb\n";
        assert_eq!(fill(text, "new").as_deref(), Some(expected));
        assert_eq!(fill(expected, "new").as_deref(), Some(expected));
        assert_eq!(fill("no marks", "new"), None);
    }
}
