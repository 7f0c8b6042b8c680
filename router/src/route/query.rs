//! Query parameters: what a match may ask for, read from the raw query on the way.

use std::{borrow::Cow, fmt};

use super::value::StringMatch;

/// A query parameter that a request must carry. Names and values are compared with regard to case, after decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// The parameter's name, decoded.
    pub name: String,
    /// What its first value must be.
    pub value: StringMatch,
}

// === impl QueryMatch ===

impl QueryMatch {
    /// Whether the parameter's first value is what is asked for (Gateway API recommends the first of several).
    #[must_use]
    pub fn matches(&self, query: Option<&str>) -> bool {
        match (first(query.unwrap_or_default(), self.name.as_bytes()), &self.value) {
            (None, _) => false,
            (Some(raw), StringMatch::Exact(text)) => same(raw, text.as_bytes()),
            (Some(raw), StringMatch::Regex(regex)) => regex.matches(&decoded(raw)),
        }
    }
}

impl fmt::Display for QueryMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.value)
    }
}

/// The raw value of the first parameter of that name; empty for one without `=`.
pub(super) fn first<'a>(query: &'a str, name: &[u8]) -> Option<&'a str> {
    query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        same(key, name).then_some(value)
    })
}

/// The bytes that a raw name or value stands for; borrowed when nothing is encoded.
pub(super) fn decoded(raw: &str) -> Cow<'_, [u8]> {
    if is_plain(raw) { Cow::Borrowed(raw.as_bytes()) } else { Cow::Owned(decode(raw).collect()) }
}

/// Whether raw text stands for itself.
fn is_plain(raw: &str) -> bool {
    !raw.bytes().any(|byte| byte == b'%' || byte == b'+')
}

/// Whether raw text stands for `text`, without decoding it into memory.
pub(super) fn same(raw: &str, text: &[u8]) -> bool {
    if is_plain(raw) { raw.as_bytes() == text } else { raw.len() >= text.len() && decode(raw).eq(text.iter().copied()) }
}

/// Decodes as `application/x-www-form-urlencoded` (WHATWG URL section 5.1): `+` is a space, a broken escape stands for itself.
fn decode(raw: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        let escape = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if escape.is_some() { &after[2..] } else { after };
        Some(escape.unwrap_or(if byte == b'+' { b' ' } else { byte }))
    })
}

/// The value of one hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RegexMatch;

    #[test]
    fn the_first_parameter_of_the_name_decides() {
        let exact = |value: &str| QueryMatch { name: "a b".into(), value: StringMatch::Exact(value.into()) };
        for (query, value, wanted) in [
            (Some("a+b=1"), "1", true),
            (Some("a%20b=1"), "1", true),
            (Some("x=2&&a+b=%31"), "1", true),
            (Some("a+b=2&a+b=1"), "1", false),
            (Some("a+b"), "", true),
            (Some("a+b=1=2"), "1=2", true),
            (Some("A+b=1"), "1", false),
            (Some("a+b=100%"), "100%", true),
            (Some("a+b=%zz"), "%zz", true),
            (Some("a+b=%e4%BD%A0"), "你", true),
            (Some("a+b=1%2B1"), "1+1", true),
            (Some("a+b=1+1"), "1+1", false),
            (Some(""), "", false),
            (None, "", false),
        ] {
            assert_eq!(exact(value).matches(query), wanted, "{query:?} {value:?}");
        }
    }

    #[test]
    fn an_expression_sees_the_decoded_value() {
        let regex = QueryMatch { name: "q".into(), value: StringMatch::Regex(RegexMatch::new("a b+").unwrap()) };
        assert!(regex.matches(Some("q=a+bb")));
        assert!(regex.matches(Some("q=a%20b")));
        assert!(!regex.matches(Some("q=ab")));
    }
}
