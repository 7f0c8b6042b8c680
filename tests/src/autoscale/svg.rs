//! Plots over time as inline SVG, to be styled by the page's own style sheet.
//!
//! A picture says by its role, title and description what it shows to those who do not see it; the exact figures are in
//! the table beside it. Lines differ by dashes as well as by colour.

use std::fmt::Write as _;

/// The picture's own units; it grows and shrinks with the page.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 30.0;

/// How values become heights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scale {
    /// In proportion, from zero.
    #[default]
    Linear,
    /// By orders of magnitude: for what is now a millisecond and now ten seconds.
    Logarithmic,
}

/// One quantity over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// What it is.
    pub(super) name: String,
    /// Seconds and values; `None`: unknown then, which interrupts the line.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// Whether it stays until the next point, as a count does.
    pub(super) steps: bool,
}

/// A picture with a time axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Plot {
    /// Unique on the page.
    pub(super) id: String,
    /// What it shows.
    pub(super) title: String,
    /// Of the values.
    pub(super) unit: &'static str,
    /// One or more, four at most: there are no more kinds of dashes.
    pub(super) lines: Vec<Line>,
    /// The last second.
    pub(super) seconds: f64,
    /// Spans to be marked, such as the one that is judged.
    pub(super) marks: Vec<(f64, f64)>,
    /// How values become heights.
    pub(super) scale: Scale,
    /// Whether each line stands on the one before, so that the uppermost is the sum.
    pub(super) stacked: bool,
}

struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    ticks: Vec<f64>,
}

// === impl Plot ===

impl Plot {
    /// The picture.
    #[must_use]
    pub(super) fn svg(&self) -> String {
        let lines = if self.stacked { stack(&self.lines) } else { self.lines.clone() };
        let values = lines.iter().flat_map(|it| it.points.iter().filter_map(|it| it.1));
        let axis = Axis::over(values, self.scale);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-text\">{text}</desc>\n",
            id = self.id,
            title = escaped(&self.title),
            text = escaped(&self.text()),
        );
        for &(from, until) in &self.marks {
            let (from, until) = (self.x(from), self.x(until));
            let (width, height) = (until - from, HEIGHT - TOP - BOTTOM);
            let _ = writeln!(
                svg,
                "<rect class=\"mark\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            );
        }
        self.grid(&mut svg, &axis);
        for (index, line) in lines.iter().enumerate() {
            let path = self.path(line, &axis);
            let _ = writeln!(svg, "<path class=\"line l{}\" d=\"{path}\"/>", index % 4);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// In words what the picture shows.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let mut text = format!("Over {:.0} s, in {}.", self.seconds, self.unit);
        for line in &self.lines {
            let values = || line.points.iter().filter_map(|it| it.1);
            let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
            match values().next_back() {
                Some(last) => {
                    let (least, most, last) = (short(least), short(most), short(last));
                    let _ = write!(text, " {}: from {least} to {most}, {last} at the end.", line.name);
                }
                None => {
                    let _ = write!(text, " {}: nothing was recorded.", line.name);
                }
            }
        }
        text
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds / self.seconds.max(1.0)).clamp(0.0, 1.0)
    }

    fn grid(&self, svg: &mut String, axis: &Axis) {
        for &tick in &axis.ticks {
            let (y, right) = (axis.y(tick), WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{x}\" y=\"{base:.1}\">{tick}</text>",
                x = LEFT - 6.0,
                base = y + 4.0,
                tick = short(tick),
            );
        }
        for tick in ticks(self.seconds, 8.0) {
            let (x, bottom) = (self.x(tick), HEIGHT - BOTTOM);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"x\" x=\"{x:.1}\" y=\"{y}\">{tick} s</text>",
                y = bottom + 18.0,
                tick = short(tick),
            );
        }
    }

    fn path(&self, line: &Line, axis: &Axis) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for &(at, value) in &line.points {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let (x, y) = (self.x(at), axis.y(value));
            let _ = match (pen_down, line.steps) {
                (false, _) => write!(path, "M{x:.1} {y:.1}"),
                (true, false) => write!(path, "L{x:.1} {y:.1}"),
                (true, true) => write!(path, "H{x:.1}V{y:.1}"),
            };
            pen_down = true;
        }
        path
    }
}

/// Each line on top of those before it. All have the same moments.
fn stack(lines: &[Line]) -> Vec<Line> {
    let mut sums: Vec<f64> = Vec::new();
    let mut stacked = Vec::new();
    for line in lines {
        sums.resize(line.points.len().max(sums.len()), 0.0);
        let mut line = line.clone();
        for (point, sum) in line.points.iter_mut().zip(&mut sums) {
            *sum += point.1.unwrap_or_default();
            point.1 = Some(*sum);
        }
        stacked.push(line);
    }
    stacked
}

// === impl Axis ===

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, scale: Scale) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        match scale {
            Scale::Linear => {
                let ticks = ticks(if most > 0.0 { most } else { 1.0 }, 5.0);
                Self { scale, least: 0.0, most: most.max(ticks.last().copied().unwrap_or(1.0)), ticks }
            }
            Scale::Logarithmic => {
                let least = values.filter(|it| *it > 0.0).fold(f64::INFINITY, f64::min);
                let (least, most) = if least.is_finite() { (least, most) } else { (1.0, 10.0) };
                let (low, high) = (least.log10().floor(), most.log10().ceil());
                let high = if high > low { high } else { low + 1.0 };
                let mut ticks = Vec::new();
                let mut power = low;
                while power <= high {
                    ticks.push(10_f64.powf(power));
                    power += 1.0;
                }
                Self { scale, least: low, most: high, ticks }
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let value = if self.scale == Scale::Logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let share = ((value - self.least) / (self.most - self.least)).clamp(0.0, 1.0);
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
    }
}

/// Round numbers from zero on, about so many until the greatest.
fn ticks(most: f64, about: f64) -> Vec<f64> {
    let rough = (most / about).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|it| *it >= rough).unwrap_or(10.0 * power);
    let mut ticks = vec![0.0];
    let mut tick = step;
    while tick <= most * 1.0001 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

/// A number as short as it can be said.
#[must_use]
pub(super) fn short(value: f64) -> String {
    let text = match value.abs() {
        it if it >= 100.0 => format!("{value:.0}"),
        it if it >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    match text.split_once('.') {
        Some((whole, part)) if part.bytes().all(|it| it == b'0') => whole.to_owned(),
        Some(_) => text.trim_end_matches('0').to_owned(),
        None => text,
    }
}

/// For text and attributes in HTML.
#[must_use]
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[Option<f64>], steps: bool) -> Plot {
        let points = (0_u8..).zip(values).map(|(at, value)| (f64::from(at), *value)).collect();
        Plot {
            id: "p".into(),
            title: "a < b".into(),
            unit: "pieces",
            lines: vec![Line { name: "one".into(), points, steps }],
            seconds: 4.0,
            ..Plot::default()
        }
    }

    #[test]
    fn a_picture_says_what_it_shows() {
        let svg = plot(&[Some(1.0), Some(4.0), Some(2.5)], false).svg();
        assert!(svg.contains("role=\"img\" aria-labelledby=\"p-title p-text\""), "{svg}");
        assert!(svg.contains("<title id=\"p-title\">a &lt; b</title>"), "{svg}");
        assert!(svg.contains("Over 4 s, in pieces. one: from 1 to 4, 2.5 at the end."), "{svg}");
        assert_eq!(plot(&[None], false).text(), "Over 4 s, in pieces. one: nothing was recorded.");
    }

    #[test]
    fn lines_are_drawn_to_scale_and_interrupted_where_nothing_is_known() {
        // From 10 to 210 in height, 56 to 708 in width: a second is 163 wide.
        let svg = plot(&[Some(0.0), Some(4.0), None, Some(2.0)], false).svg();
        assert!(svg.contains("d=\"M56.0 210.0L219.0 10.0M545.0 110.0\""), "{svg}");
        let svg = plot(&[Some(0.0), Some(4.0)], true).svg();
        assert!(svg.contains("d=\"M56.0 210.0H219.0V10.0\""), "{svg}");
    }

    #[test]
    fn stacked_lines_end_at_their_sum() {
        let line = |value| Line { points: vec![(0.0, Some(value)), (1.0, None)], ..Line::default() };
        let stacked = stack(&[line(13.0), line(12.0), line(13.0)]);
        let tops: Vec<_> = stacked.iter().map(|it| it.points[0].1).collect();
        assert_eq!(tops, [Some(13.0), Some(25.0), Some(38.0)]);
        assert_eq!(stacked[2].points[1].1, Some(0.0), "what is unknown is nothing");
    }

    #[test]
    fn orders_of_magnitude_are_as_far_apart() {
        let axis = Axis::over([2.0, 900.0].into_iter(), Scale::Logarithmic);
        assert_eq!(axis.ticks.iter().map(|it| short(*it)).collect::<Vec<_>>(), ["1", "10", "100", "1000"]);
        let gaps: Vec<f64> = axis.ticks.windows(2).map(|it| axis.y(it[0]) - axis.y(it[1])).collect();
        assert!(gaps.iter().all(|it| (it - gaps[0]).abs() < 1e-6), "{gaps:?}");
        assert!(axis.y(0.0).is_finite());
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(38.0, 5.0), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(ticks(555.0, 8.0), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(ticks(0.4, 5.0).len(), 5);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.25, "0.25"), (0.0421, "0.042"), (12.0, "12"), (12.34, "12.3"), (460.4, "460")]
        {
            assert_eq!(short(value), text);
        }
    }
}
