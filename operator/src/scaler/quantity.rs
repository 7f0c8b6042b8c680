//! Quantities as Kubernetes writes them, as far as targets go.

/// A number of thousandths, from `10`, `0.8`, `800m`, `2k`, `1Mi` or `1e3`. None if it is no quantity, or below 0, or too
/// large. What is smaller than a thousandth is rounded up, as Kubernetes does it.
pub(super) fn milli(text: &str) -> Option<i64> {
    let milli = penstock_api::autoscaling::quantity(text).ok()? * 1000.0;
    // 0.57 * 1000 is a little more than 570.
    let whole = milli.round();
    let milli = if (milli - whole).abs() < 1e-6 { whole } else { milli.ceil() };
    #[expect(clippy::cast_possible_truncation, reason = "it is in between")]
    (0.0..1e15).contains(&milli).then_some(milli as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_writes() {
        let cases = [
            ("10", 10_000),
            ("0", 0),
            ("0.8", 800),
            (".5", 500),
            ("5.", 5_000),
            ("+1", 1_000),
            ("800m", 800),
            ("0.57", 570),
            ("1.1", 1_100),
            ("1500u", 2),
            ("1n", 1),
            ("2k", 2_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1E-2", 10),
            ("12e+1", 120_000),
        ];
        for (text, milli) in cases {
            assert_eq!(super::milli(text), Some(milli), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", " 1", "1 ", "m", ".", "-1", "1.2.3", "1x", "1mm", "1K", "80%", "1e", "1e+", "1e++3", "1e400", "NaN",
            "inf", "1-2", "9999G9", "1e99",
        ] {
            assert_eq!(milli(text), None, "{text}");
        }
    }
}
