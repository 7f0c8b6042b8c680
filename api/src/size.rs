//! Sizes in bytes, as Kubernetes writes quantities of them: `64Ki`, `10M`, `1048576`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is no [`ByteSize`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no size: write a whole number of bytes, alone or with k, M, G, Ki, Mi or Gi, such as 64Ki or 10M")]
pub struct InvalidSize {
    text: String,
}

const UNITS: [(&str, u64); 6] =
    [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];

impl ByteSize {
    /// What the schema lets pass: no number is too large for 64 bits.
    pub const PATTERN: &'static str = "^[0-9]{1,10}(k|M|G|Ki|Mi|Gi)?$";

    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize { text: text.to_owned() };
        let digits = text.len() - text.trim_start_matches(|it: char| it.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "" => 1,
            unit => UNITS.iter().find(|it| it.0 == unit).ok_or_else(invalid)?.1,
        };
        if !(1..=10).contains(&digits) {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    /// The same number of bytes, with the largest unit that keeps it whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().filter(|it| self.0 > 0 && self.0.is_multiple_of(it.1)).max_by_key(|it| it.1);
        match whole {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u64),
            Text(String),
        }
        match Given::deserialize(deserializer)? {
            Given::Number(it) => Ok(Self(it)),
            Given::Text(it) => it.parse().map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "minimum": 0,
            "pattern": Self::PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, said) in [
            ("0", 0, "0"),
            ("1000", 1000, "1k"),
            ("1Ki", 1024, "1Ki"),
            ("64Ki", 65_536, "64Ki"),
            ("1024Ki", 1 << 20, "1Mi"),
            ("10M", 10_000_000, "10M"),
            ("1025", 1025, "1025"),
            ("9999999999Gi", 9_999_999_999 << 30, "9999999999Gi"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, said), "{text}");
            assert_eq!(said.parse(), Ok(size), "{text}");
        }
        for text in ["", "Ki", "1.5", "1MB", "-1", "1 Ki", "10000000000", "+1", "1K"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<ByteSize>("1048576").unwrap(), ByteSize::new(1 << 20));
        assert_eq!(serde_json::from_str::<ByteSize>("\"1Mi\"").unwrap(), ByteSize::new(1 << 20));
        assert!(serde_json::from_str::<ByteSize>("-1").is_err());
    }
}
