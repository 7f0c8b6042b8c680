//! What a run looks like while it goes on: a chart that is drawn anew each second, or a line now and then where nobody
//! looks at a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use super::{
    ramp::Ramp,
    record::{Sample, Series},
    svg::short,
};
use crate::chart::sparkline_of;

/// Columns of the curves. The figures behind them take some thirty more.
const WIDTH: usize = 60;
/// Without a terminal: a line for each so many seconds.
const EVERY: Duration = Duration::from_secs(5);

/// Waits far below this are no waits to look at, in seconds.
const VISIBLE_WAIT: f64 = 0.02;

/// Draws a run.
#[derive(Debug)]
pub struct Live<W> {
    out: W,
    terminal: bool,
    /// Lines of the last chart, which the next one covers.
    height: usize,
    next: Duration,
}

// === impl Live ===

impl Live<io::Stdout> {
    /// On standard output: a chart if that is a terminal that can move its cursor, and lines otherwise.
    #[must_use]
    pub fn stdout() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|it| it.is_empty() || it == "dumb");
        let out = io::stdout();
        let terminal = out.is_terminal() && !dumb;
        Self::new(out, terminal)
    }
}

impl<W: Write> Live<W> {
    /// On anything.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, height: 0, next: Duration::ZERO }
    }

    /// Shows what has been recorded so far. What cannot be written is left out: a closed pipe ends no run.
    pub fn show(&mut self, title: &str, ramp: &Ramp, series: &Series) {
        let Some(last) = series.samples.last() else { return };
        if self.terminal {
            let lines = frame(title, ramp, series);
            let _ = self.draw(&lines);
        } else if last.at >= self.next {
            self.next = last.at + EVERY;
            let _ = writeln!(self.out, "   {}", line(last));
        }
    }

    /// The next chart begins below this one, and with the first moment of another run.
    pub fn end(&mut self) {
        (self.height, self.next) = (0, Duration::ZERO);
        let _ = writeln!(self.out);
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // Lines are cut at the edge, not wrapped, so that there are as many to cover as there were written.
        let mut text = String::from("\x1b[?7l");
        if self.height > 0 {
            text.push_str(&format!("\x1b[{}A", self.height));
        }
        for line in lines {
            text.push_str(&format!("\r{line}\x1b[K\n"));
        }
        text.push_str("\x1b[J\x1b[?7h");
        self.height = lines.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// The whole chart, line by line: load, replicas, each host, waiting, failures.
#[must_use]
pub fn frame(title: &str, ramp: &Ramp, series: &Series) -> Vec<String> {
    let samples = &series.samples;
    let Some(last) = samples.last() else { return Vec::new() };
    let curve = |value: &dyn Fn(&Sample) -> f64, most: f64| {
        let curve = sparkline_of(&fit(samples, WIDTH, value), most);
        format!("{curve:<WIDTH$}")
    };
    let most = samples.iter().map(|it| it.wanted.max(it.serving)).max().unwrap_or_default();
    let hosts = series.hosts();
    let name = hosts.iter().map(|it| it.chars().count() + 2).max().unwrap_or(0).max(8);
    let mut lines = vec![
        format!("   {title}: {} of {}", clock(last.at), clock(ramp.length())),
        format!(
            "   {:<name$} {} {:.0}/s answered of {:.0}/s",
            "load",
            curve(&|it| it.answered, ramp.peak()),
            last.answered,
            last.offered
        ),
        format!(
            "   {:<name$} {} {} of {}",
            "replicas",
            curve(&|it| f64::from(it.serving), f64::from(most)),
            last.serving,
            last.wanted
        ),
    ];
    let fullest = samples.iter().flat_map(|it| it.hosts.values()).max().copied().unwrap_or_default();
    for host in hosts {
        let count = |it: &Sample| it.hosts.get(host).copied().unwrap_or_default();
        let curve = curve(&|it| f64::from(count(it)), f64::from(fullest));
        lines.push(format!("   {:<name$} {curve} {}", format!("  {host}"), count(last)));
    }
    let waited = |it: &Sample| it.queue_wait.unwrap_or_default().as_secs_f64();
    let longest = samples.iter().map(waited).fold(VISIBLE_WAIT, f64::max);
    lines.push(format!("   {:<name$} {} {}", "wait", curve(&waited, longest), wait(last)));
    #[allow(clippy::cast_precision_loss, reason = "a second's failures")]
    let failed = |it: &Sample| it.failed as f64;
    let worst = samples.iter().map(failed).fold(0.0, f64::max);
    let all: u64 = samples.iter().map(|it| it.failed).sum();
    lines.push(format!("   {:<name$} {} {all}", "failed", curve(&failed, worst)));
    lines
}

/// One moment in one line.
#[must_use]
pub fn line(sample: &Sample) -> String {
    let hosts: Vec<String> = sample.hosts.values().map(u32::to_string).collect();
    format!(
        "{:>6}  load {:>3.0}/s  answered {:>3.0}/s  failed {}  replicas {:>2} of {:>2}  on hosts {}  wait {}",
        clock(sample.at),
        sample.offered,
        sample.answered,
        sample.failed,
        sample.serving,
        sample.wanted,
        hosts.join(" "),
        wait(sample),
    )
}

fn wait(sample: &Sample) -> String {
    sample.queue_wait.map_or("-".to_owned(), |it| format!("{} ms", short(it.as_secs_f64() * 1e3)))
}

/// Minutes and seconds.
#[must_use]
pub fn clock(at: Duration) -> String {
    let seconds = at.as_secs_f64().round();
    format!("{:.0}:{:02.0}", (seconds / 60.0).floor(), seconds % 60.0)
}

/// So many values at most: of samples that share a column the greatest counts, so that nothing short is lost.
fn fit(samples: &[Sample], width: usize, value: &dyn Fn(&Sample) -> f64) -> Vec<f64> {
    let share = samples.len().div_ceil(width.max(1)).max(1);
    samples.chunks(share).map(|chunk| chunk.iter().map(value).fold(0.0, f64::max)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seconds: u32) -> (Ramp, Series) {
        let ramp = Ramp::new().hold(6.0, 2).to(460.0, 100);
        let sample = |second: u32| Sample {
            at: Duration::from_secs(second.into()),
            offered: ramp.rate(Duration::from_secs(second.into())),
            answered: 4.6 * f64::from(second),
            failed: u64::from(second == 3),
            wanted: second,
            serving: second.saturating_sub(1),
            hosts: [("host-a", second / 2), ("host-b", second / 3)].map(|(host, it)| (host.to_owned(), it)).into(),
            queue_wait: (second > 1).then(|| Duration::from_millis(u64::from(second) * 10)),
            ..Sample::default()
        };
        let samples = (1..=seconds).map(sample).collect();
        (ramp, Series { samples, ..Series::default() })
    }

    #[test]
    fn the_chart_has_a_line_for_each_thing() {
        let (ramp, series) = series(10);
        let lines = frame("builtin", &ramp, &series);
        let starts: Vec<&str> = lines.iter().map(|it| it.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(starts, ["builtin:", "load", "replicas", "host-a", "host-b", "wait", "failed"]);
        assert_eq!(lines[0], "   builtin: 0:10 of 1:42");
        let ends = ["of 42/s", "9 of 10", "5", "3", "100 ms", "1"];
        for (line, end) in lines[1..].iter().zip(ends) {
            assert!(line.ends_with(end), "{line:?} does not end with {end}");
        }
        let starts: Vec<usize> = lines[1..].iter().map(|it| it.chars().take(3 + 8 + 1 + WIDTH).count()).collect();
        assert!(starts.iter().all(|it| *it == 3 + 8 + 1 + WIDTH), "curves are of one width: {lines:#?}");
    }

    #[test]
    fn long_runs_are_fitted_and_keep_their_peaks() {
        let (ramp, series) = series(300);
        let failures = frame("x", &ramp, &series).pop().unwrap();
        assert!(failures.contains('█'), "one failure in 300 s still shows: {failures}");
        assert!(failures.chars().count() < 90, "{failures}");
    }

    #[test]
    fn a_terminal_gets_a_chart_that_covers_the_last_one() {
        let (ramp, series) = series(10);
        let mut live = Live::new(Vec::new(), true);
        live.show("x", &ramp, &series);
        live.show("x", &ramp, &series);
        let text = String::from_utf8(live.out).unwrap();
        assert_eq!(text.matches("\x1b[7A").count(), 1, "{text:?}");
        assert_eq!(text.matches("\x1b[?7l").count(), text.matches("\x1b[?7h").count());
    }

    #[test]
    fn anything_else_gets_a_plain_line_now_and_then() {
        let (ramp, all) = series(12);
        let mut live = Live::new(Vec::new(), false);
        for second in 1..=12 {
            live.show("x", &ramp, &Series { samples: all.samples[..second].to_vec(), ..Series::default() });
        }
        let text = String::from_utf8(live.out).unwrap();
        let times: Vec<&str> = text.lines().map(|it| it.split_whitespace().next().unwrap()).collect();
        assert_eq!(times, ["0:01", "0:06", "0:11"]);
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.contains("replicas  5 of  6  on hosts 3 2  wait 60 ms"), "{text}");
    }
}
