//! Which texts are hostnames, as Gateway API says (`Hostname`, `PreciseHostname`).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a text is no hostname, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostname {
    /// There is nothing.
    #[error("a hostname is empty: leave the entry out to match every host")]
    Empty,
    /// RFC 1123 section 2.1 allows 253 characters.
    #[error("a hostname has at most 253 characters")]
    TooLong,
    /// Addresses are not names.
    #[error("an IP address is no hostname: leave the hostname out, requests to the address then match")]
    Address,
    /// The port of a request is not looked at.
    #[error("a hostname has no port or scheme: write the name alone")]
    Port,
    /// A `*` elsewhere than as the whole first label.
    #[error("`*` may only be the whole first label, as in `*.example.com`")]
    Wildcard,
    /// A label that is empty, longer than 63 characters, or begins or ends with `-`.
    #[error("each part between dots has 1 to 63 characters and neither begins nor ends with `-`")]
    Label,
    /// A character that names do not have.
    #[error("a hostname has only letters, digits, `-` and `.`; write international names in their `xn--` form")]
    Character,
}

/// Checks an exact hostname or one of the form `*.suffix`, in any case.
///
/// # Errors
/// If it is neither.
pub fn check(text: &str) -> Result<(), InvalidHostname> {
    check_precise(text.strip_prefix("*.").unwrap_or(text))
}

/// Checks an exact hostname, in any case.
///
/// # Errors
/// If it is none.
pub fn check_precise(text: &str) -> Result<(), InvalidHostname> {
    if text.is_empty() {
        return Err(InvalidHostname::Empty);
    }
    if text.len() > 253 {
        return Err(InvalidHostname::TooLong);
    }
    if text.parse::<Ipv4Addr>().is_ok() || text.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok() {
        return Err(InvalidHostname::Address);
    }
    if text.contains(':') {
        return Err(InvalidHostname::Port);
    }
    if text.contains('*') {
        return Err(InvalidHostname::Wildcard);
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            return Err(InvalidHostname::Label);
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(InvalidHostname::Character);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_hostnames_from_other_texts() {
        use InvalidHostname as No;
        for (text, want) in [
            ("example.com", Ok(())),
            ("EXAMPLE.com", Ok(())),
            ("*.example.com", Ok(())),
            ("localhost", Ok(())),
            ("xn--bcher-kva.example", Ok(())),
            ("", Err(No::Empty)),
            ("*.", Err(No::Empty)),
            ("*", Err(No::Wildcard)),
            ("a.*.example.com", Err(No::Wildcard)),
            ("*example.com", Err(No::Wildcard)),
            ("10.0.0.1", Err(No::Address)),
            ("[::1]", Err(No::Address)),
            ("example.com:80", Err(No::Port)),
            ("http://example.com", Err(No::Port)),
            ("a..b", Err(No::Label)),
            ("example.com.", Err(No::Label)),
            ("-a.example", Err(No::Label)),
            ("bücher.example", Err(No::Character)),
            ("a_b.example", Err(No::Character)),
        ] {
            assert_eq!(check(text), want, "{text:?}");
        }
        assert_eq!(check_precise("*.example.com"), Err(No::Wildcard));
        assert_eq!(check(&"a".repeat(64)), Err(No::Label));
        assert_eq!(check(&"a.".repeat(127)), Err(No::TooLong));
    }
}
