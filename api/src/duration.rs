//! Durations as Gateway API writes them (GEP-2257): `5s`, `1h30m`, `250ms`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in GEP-2257's notation: one to four parts, each one to five digits and a unit of `h`, `m`, `s` or `ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayDuration(Duration);

/// Why a text is no [`GatewayDuration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no duration: write up to four parts of at most five digits and a unit, such as `5s`, `1h30m` or `250ms`"
)]
pub struct InvalidDuration {
    text: String,
}

impl InvalidDuration {
    /// What to write instead.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        "write up to four parts of at most five digits and a unit, such as 5s, 1h30m or 250ms"
    }
}

/// Milliseconds in each unit, the largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const MAX_PARTS: usize = 4;
const MAX_DIGITS: usize = 5;

impl GatewayDuration {
    /// What GEP-2257 lets pass, as the schema says it.
    pub const PATTERN: &'static str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(Duration::from_secs(seconds as u64))
    }

    /// Milliseconds. In most fields 0 turns the deadline off.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<GatewayDuration> for Duration {
    fn from(duration: GatewayDuration) -> Self {
        duration.0
    }
}

impl FromStr for GatewayDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration { text: text.to_owned() };
        let (mut rest, mut parts, mut millis) = (text, 0, 0_u64);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?.1;
            parts += 1;
            if parts > MAX_PARTS || number.len() > MAX_DIGITS {
                return Err(invalid());
            }
            millis += number.parse::<u64>().map_err(|_| invalid())? * factor;
            rest = tail;
        }
        if parts == 0 { Err(invalid()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl fmt::Display for GatewayDuration {
    /// The largest units first. Hours beyond five digits are split over parts, so that what is written can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        while rest / UNITS[0].1 > 99_999 {
            f.write_str("99999h")?;
            rest -= 99_999 * UNITS[0].1;
        }
        for (name, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{name}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for GatewayDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GatewayDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for GatewayDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, millis, written) in [
            ("0s", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("5s", 5_000, "5s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("30m1h", 5_400_000, "1h30m"),
            ("90s", 90_000, "1m30s"),
            ("1s1s", 2_000, "2s"),
            ("99999h99999h", 2 * 99_999 * 3_600_000, "99999h99999h"),
        ] {
            let duration: GatewayDuration = text.parse().unwrap();
            assert_eq!(duration.as_millis(), millis, "{text}");
            assert_eq!(duration.to_string(), written);
            assert_eq!(written.parse::<GatewayDuration>().unwrap(), duration);
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5d", "123456s", "1h1h1h1h1h", "5sec", "٣s", "1us"] {
            let error = text.parse::<GatewayDuration>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no duration")), "{text}");
        }
    }
}
