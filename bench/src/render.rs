//! Figures as tables.

use penstock_tests::{chart::thousands, table::Table};

use crate::{
    figures::{median, spread},
    measure::{Results, Sample, Steady},
    peers::{Pair, Peer},
};

/// Penstock's figures by a peer's, round by round.
fn ratios<'a, T: 'a>(
    all: &'a [T],
    penstock: &str,
    peer: &str,
    figure: impl Fn(&'a T) -> (&'a str, usize, f64),
) -> Vec<f64> {
    let of = |server: &str, round| {
        all.iter().map(&figure).find(|&(name, at, _)| name == server && at == round).map(|found| found.2)
    };
    let rounds = all.iter().map(|one| figure(one).1).max().map_or(0, |last| last + 1);
    (0..rounds).filter_map(|round| Some(of(penstock, round)? / of(peer, round)?)).collect()
}

/// Penstock's rate by a peer's: the median of all rounds, the least and the greatest; `None` if the peer could not do it.
#[must_use]
pub fn ratio(pair: &Pair, peer: &Peer, results: &Results) -> Option<(f64, f64, f64)> {
    let all = ratios(&results.samples, pair.penstock.name(), peer.server.name(), |sample| {
        (&*sample.server, sample.round, sample.rate)
    });
    (!all.is_empty()).then(|| spread(&all))
}

fn p99_ratio(pair: &Pair, peer: &Peer, results: &Results) -> Option<(f64, f64, f64)> {
    let all = ratios(&results.steady, pair.penstock.name(), peer.server.name(), |steady| {
        (&*steady.server, steady.round, steady.p99_us)
    });
    (!all.is_empty()).then(|| spread(&all))
}

/// The table of ratios, the table at full speed, the table at a moderate rate, and what could not be done.
#[must_use]
pub fn tables(all: &[(Pair, Results)], notes: &[String]) -> String {
    let mut ratios = Table::new([
        "work",
        "peer",
        "req/s : peer",
        "least to greatest",
        "goal",
        "p99 : peer",
        "least to greatest",
        "goal",
        "CPU per request",
        "memory",
    ]);
    let mut full =
        Table::new(["work", "server", "req/s", "p50 us", "p99 us", "CPU us/req", "RSS MiB", "cross-check req/s"]);
    let mut moderate = Table::new(["work", "req/s asked", "server", "p50 us", "p99 us", "sent late p99 us"]);
    let mut notes = notes.to_vec();
    for (pair, results) in all {
        let of = |server: &str, what: fn(&Sample) -> f64| {
            median(results.samples.iter().filter(|sample| sample.server == server).map(what))
        };
        let at = |server: &str, what: fn(&Steady) -> f64| {
            median(results.steady.iter().filter(|steady| steady.server == server).map(what))
        };
        let ours = pair.penstock.name();
        for peer in &pair.peers {
            let name = peer.server.name();
            let Some((middle, least, greatest)) = ratio(pair, peer, results) else { continue };
            let p99 = p99_ratio(pair, peer, results);
            let share = |what: fn(&Sample) -> f64| format!("{:.2}", of(ours, what) / of(name, what));
            ratios.row([
                pair.name.clone(),
                name.into(),
                format!("**{middle:.2}**"),
                format!("{least:.2} to {greatest:.2}"),
                peer.goal.rate.map_or_else(String::new, |goal| format!(">= {goal:.2}")),
                p99.map_or_else(String::new, |(middle, ..)| format!("**{middle:.2}**")),
                p99.map_or_else(String::new, |(_, least, greatest)| format!("{least:.2} to {greatest:.2}")),
                peer.goal.p99.map_or_else(String::new, |goal| format!("<= {goal:.2}")),
                share(|sample| sample.cpu_us),
                share(resident),
            ]);
        }
        notes.extend(
            results.unable.iter().map(|(server, reason)| format!("{}: {server} could not: {reason}", pair.name)),
        );
        for server in pair.peers.iter().map(|peer| peer.server.name()).chain([ours]) {
            if results.samples.iter().any(|sample| sample.server == server) {
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
            }
            if results.steady.iter().any(|steady| steady.server == server) {
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
    }
    let notes: String = notes.iter().map(|note| format!("- {note}\n")).collect();
    format!(
        "{ratios}\n{notes}\nAt full speed (medians of all rounds):\n\n{full}\nAt half of what the slowest can do whose latency is \
         compared (one that cannot do that is left out):\n\n{moderate}"
    )
}

#[allow(clippy::cast_precision_loss, reason = "bytes of memory stay far below 2^52")]
fn resident(sample: &Sample) -> f64 {
    sample.resident as f64
}

/// Without decimals, with a comma between thousands.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and latencies are small and positive"
)]
pub fn whole(value: f64) -> String {
    thousands(value.max(0.0).round() as u64)
}
