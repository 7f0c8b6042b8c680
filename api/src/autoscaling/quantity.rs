//! Kubernetes' quantities as plain numbers: `10`, `500m`, `0.8`, `1k`, `64Ki`, `1e3`.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Suffixes that are a power of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
/// Suffixes that are a power of two.
const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// What the schema lets pass as a number above 0: one digit at least is not 0.
const POSITIVE: &str = "^[+]?([0-9]{0,15}[1-9][0-9]{0,15}([.][0-9]{0,15})?|[0-9]{0,15}[.][0-9]{0,15}[1-9][0-9]{0,15})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$";
/// The same with 0.
const NOT_NEGATIVE: &str =
    "^[+]?([0-9]{1,15}([.][0-9]{0,15})?|[.][0-9]{1,15})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$";

/// The number that a quantity stands for.
///
/// # Errors
/// A sentence that says what to write.
pub fn quantity(text: &str) -> Result<f64, String> {
    let invalid = || format!("`{text}` is no quantity: write a number, such as \"10\", \"0.8\", \"500m\" or \"1k\"");
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let points = number.bytes().filter(|it| *it == b'.').count();
    if points > 1 || number.len() == points {
        return Err(invalid());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    // A power of ten is written as one, so that 50m is the number nearest to 0.05 and not that of a product.
    let scaled = |exponent: &str| format!("{sign}{number}e{exponent}").parse::<f64>().map_err(|_| invalid());
    let value = if let Some((_, power)) = DECIMAL.iter().find(|it| it.0 == suffix) {
        scaled(&power.to_string())?
    } else if let Some((_, power)) = BINARY.iter().find(|it| it.0 == suffix) {
        scaled("0")? * 2_f64.powi(*power)
    } else {
        let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(invalid)?;
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return Err(invalid());
        }
        scaled(exponent)?
    };
    if value.is_finite() { Ok(value) } else { Err(invalid()) }
}

/// The schema of a quantity above 0.
pub(super) fn positive(_: &mut SchemaGenerator) -> Schema {
    schema(POSITIVE)
}

/// The schema of a quantity of at least 0.
pub(super) fn not_negative(_: &mut SchemaGenerator) -> Schema {
    schema(NOT_NEGATIVE)
}

fn schema(pattern: &str) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "minimum": 0,
        "pattern": pattern,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads() {
        for (text, number) in [
            ("10", 10.0),
            ("0", 0.0),
            ("500m", 0.5),
            ("50m", 0.05),
            ("12.2", 12.2),
            ("0.8", 0.8),
            (".8", 0.8),
            ("8.", 8.0),
            ("1k", 1000.0),
            ("1.5G", 1.5e9),
            ("1u", 1e-6),
            ("1n", 1e-9),
            ("1E", 1e18),
            ("1E3", 1e3),
            ("1e3", 1e3),
            ("1e-3", 1e-3),
            ("12E+2", 1200.0),
            ("+1.5", 1.5),
            ("-2k", -2000.0),
            ("64Ki", 65_536.0),
            ("1.5Mi", 1_572_864.0),
            ("1Ei", 1_152_921_504_606_846_976.0),
        ] {
            assert_eq!(quantity(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "", ".", "+", "-", "m", "Ki", "1.2.3", "1 ", " 1", "1K", "1ki", "1mi", "1mm", "1e", "1e+", "1e1.5",
            "1e9999", "inf", "nan", "NaN", "0x10", "1_000", "--1", "+-1", "1e+-1", "٣", "1s", "50%",
        ] {
            let error = quantity(text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is no quantity: ")), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_suffix_is_a_factor(whole in 0_u64..1 << 40, fraction in 0_u32..1000, minus: bool, at in 0_usize..16) {
            let (suffix, factor) = match DECIMAL.get(at) {
                Some((suffix, power)) => (*suffix, 10_f64.powi(*power)),
                None => (BINARY[at - 10].0, 2_f64.powi(BINARY[at - 10].1)),
            };
            let sign = if minus { "-" } else { "" };
            let read = quantity(&format!("{sign}{whole}.{fraction:03}{suffix}")).unwrap();
            let plain = (whole as f64 + f64::from(fraction) / 1000.0) * factor * if minus { -1.0 } else { 1.0 };
            prop_assert!((read - plain).abs() <= plain.abs() * 1e-12, "{read} {plain}");
        }

        #[test]
        fn an_exponent_is_a_power_of_ten(whole in 0_u32.., power in -30_i32..30, letter in "[eE]") {
            let read = quantity(&format!("{whole}{letter}{power}")).unwrap();
            let plain = f64::from(whole) * 10_f64.powi(power);
            prop_assert!((read - plain).abs() <= plain.abs() * 1e-12);
        }

        #[test]
        fn anything_else_is_refused_or_finite(text in "[-+.0-9eEkKmMiu ]{0,12}", junk in ".{0,12}") {
            for text in [text, junk] {
                if let Ok(number) = quantity(&text) {
                    prop_assert!(number.is_finite());
                }
            }
        }
    }
}
