//! A hop's address as forwarding headers have it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address, with port 0 if there is none. `None` for `unknown`, obfuscated names (RFC 7239 section 6.3) and whatever
/// else is no address.
///
/// IPv6 may stand in brackets or not: RFC 7239 demands them, `X-Forwarded-For` has them only beside a port, if ever.
pub(super) fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    // An obfuscated port (RFC 7239 section 6.3) is as good as none.
    let text = text.split_once(":_").map_or(text, |(node, _)| node);
    let without_port = |ip: IpAddr| SocketAddr::new(ip.to_canonical(), 0);
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(without_port(ip));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(|ip| without_port(ip.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_spelling_and_nothing_else() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:0"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.1:_port", "192.0.2.1:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("[2001:db8::1]:_x", "[2001:db8::1]:0"),
            ("::ffff:192.0.2.1", "192.0.2.1:0"),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1:1"),
        ] {
            assert_eq!(address(text.as_bytes()), Some(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "unknown",
            "_hidden",
            "a.example",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:99999",
            "[::1",
            "[]",
            "[1.2.3.4]",
        ] {
            assert_eq!(address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(address(b"\xff"), None);
    }
}
