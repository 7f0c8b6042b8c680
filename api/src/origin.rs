//! Which texts are origins that a CORS filter may allow, as Gateway API says (`CORSOrigin`).

/// Why a text is no such origin, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// It does not begin with a scheme.
    #[error("begin it with `http://` or `https://`, or write `*` alone for every origin")]
    Scheme,
    /// Something follows the host and port.
    #[error("an origin has no path: end it after the host, or after the port")]
    Path,
    /// A port that is none.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// A `*` elsewhere than as the whole first label, or as the whole host.
    #[error("`*` may only be the whole host or its whole first label, as in `https://*.example.com`")]
    Wildcard,
    /// A host with empty parts or with characters that names do not have.
    #[error("a host has letters, digits and `-` between its dots; write international names in their `xn--` form")]
    Host,
}

/// Checks an origin: `*`, or scheme, host (exact, `*.suffix` or `*`) and, if need be, a port.
///
/// # Errors
/// If it is none.
pub fn check(text: &str) -> Result<(), InvalidOrigin> {
    if text == "*" {
        return Ok(());
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(InvalidOrigin::Scheme)?;
    if rest.contains(['/', '?', '#']) {
        return Err(InvalidOrigin::Path);
    }
    let host = match rest.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return Err(InvalidOrigin::Port),
        None => rest,
    };
    let exact = match host.strip_prefix("*.") {
        Some(suffix) => suffix,
        None if host == "*" => return Ok(()),
        None => host,
    };
    if exact.contains('*') {
        return Err(InvalidOrigin::Wildcard);
    }
    let label = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if exact.split('.').all(label) { Ok(()) } else { Err(InvalidOrigin::Host) }
}

fn is_port(text: &str) -> bool {
    text.len() <= 5
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u32>().is_ok_and(|port| (1..=65_535).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_origins_from_other_texts() {
        use InvalidOrigin as No;
        for (text, want) in [
            ("*", Ok(())),
            ("https://app.example.com", Ok(())),
            ("http://App.Example.com:8080", Ok(())),
            ("https://*.example.com", Ok(())),
            ("https://*.example.com:65535", Ok(())),
            ("https://*", Ok(())),
            ("http://*:8080", Ok(())),
            ("http://localhost:3000", Ok(())),
            ("http://127.0.0.1", Ok(())),
            ("", Err(No::Scheme)),
            ("null", Err(No::Scheme)),
            ("app.example.com", Err(No::Scheme)),
            ("HTTPS://app.example.com", Err(No::Scheme)),
            ("ftp://app.example.com", Err(No::Scheme)),
            ("https://app.example.com/", Err(No::Path)),
            ("https://app.example.com/a", Err(No::Path)),
            ("https://app.example.com?a", Err(No::Path)),
            ("https://app.example.com:", Err(No::Port)),
            ("https://app.example.com:0", Err(No::Port)),
            ("https://app.example.com:+1", Err(No::Port)),
            ("https://app.example.com:65536", Err(No::Port)),
            ("https://app.example.com:000080", Err(No::Port)),
            ("http://[::1]", Err(No::Port)),
            ("https://*example.com", Err(No::Wildcard)),
            ("https://a.*.example.com", Err(No::Wildcard)),
            ("https://*.*.example.com", Err(No::Wildcard)),
            ("https://", Err(No::Host)),
            ("https://*.", Err(No::Host)),
            ("https://a..example.com", Err(No::Host)),
            ("https://user@example.com", Err(No::Host)),
            ("https://bücher.example", Err(No::Host)),
        ] {
            assert_eq!(check(text), want, "{text:?}");
        }
    }
}
