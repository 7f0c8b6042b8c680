//! Small charts of plain text for a terminal or a report.

/// From nothing to full, in eighths.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One character for each value, its height in proportion to the greatest. A value above zero is never blank, so that
/// one failure among thousands shows.
#[must_use]
pub fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    sparkline_of(values, most)
}

/// The same against a given greatest value, so that several lines can be compared.
#[must_use]
pub fn sparkline_of(values: &[f64], most: f64) -> String {
    values.iter().map(|value| LEVELS[level(*value, most)]).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 8 after the clamp")]
fn level(value: f64, most: f64) -> usize {
    if value.is_nan() || value <= 0.0 || most <= 0.0 {
        return 0;
    }
    (value / most * 8.0).round().clamp(1.0, 8.0) as usize
}

/// Named rows of values over time, all to one scale, such as requests a second by revision:
///
/// ```text
/// v1 █████▇▂      1,204
/// v2      ▁▆█████ 1,310
/// ```
#[must_use]
pub fn rows(rows: &[(&str, Vec<f64>)], total: impl Fn(&[f64]) -> String) -> String {
    let most = rows.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
    let name = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let length = rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, values) in rows {
        let line = sparkline_of(values, most);
        text.push_str(&format!("{label:<name$} {line:<length$} {}\n", total(values)));
    }
    text
}

/// A bar for each value, to the scale of the greatest, with the value behind it.
///
/// ```text
/// plain hyper ████████████████████ 41200/s
/// penstock    █████████████████▌   36100/s
/// ```
#[must_use]
pub fn bars(rows: &[(&str, f64)], width: usize, show: impl Fn(f64) -> String) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let most = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let name = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in rows {
        #[allow(clippy::cast_precision_loss, reason = "a width in characters")]
        let full = (width * 8) as f64;
        let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the width in eighths")]
        let eighths = (share * full).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        if !eighths.is_multiple_of(8) {
            bar.push(EIGHTHS[eighths % 8]);
        }
        text.push_str(&format!("{label:<name$} {bar:<width$} {}\n", show(*value)));
    }
    text
}

/// A number with commas between its thousands.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_proportion_and_never_hides_a_little() {
        assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0]), " ▁▄█");
        assert_eq!(sparkline(&[10_000.0, 1.0, 0.0]), "█▁ ");
        assert_eq!(sparkline(&[0.0, f64::NAN]), "  ");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn rows_share_a_scale() {
        let text = rows(&[("v1", vec![8.0, 0.0]), ("new", vec![0.0, 4.0, 8.0])], |values| values.len().to_string());
        assert_eq!(text, "v1  █   2\nnew  ▄█ 3\n");
    }

    #[test]
    fn bars_end_in_eighths() {
        let text = bars(&[("a", 4.0), ("bb", 1.5), ("c", 0.0)], 4, |value| format!("{value}/s"));
        assert_eq!(text, "a  ████ 4/s\nbb █▌   1.5/s\nc       0/s\n");
    }

    #[test]
    fn thousands_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }
}
