//! Version 1: a line for people (section 2.1).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use super::{ENOUGH, Header, HeaderError, Parsed};

pub(super) const START: &[u8] = b"PROXY ";

/// Parses what begins with [`START`], as far as it goes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let bytes = &bytes[..bytes.len().min(ENOUGH)];
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() < ENOUGH { Ok(Parsed::Partial) } else { Err(HeaderError::Endless) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(HeaderError::Endless)?;
    let line = line.strip_prefix(START).ok_or(HeaderError::NotProxy)?;
    let header = said(&String::from_utf8_lossy(line)).ok_or(HeaderError::Line)?;
    Ok(Parsed::Whole { header, length: end + 1 })
}

fn said(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    match words.next()? {
        // Whatever stands between it and the end of the line is to be ignored.
        "UNKNOWN" => Some(Header::Local),
        "TCP4" => proxied::<Ipv4Addr>(words),
        "TCP6" => proxied::<Ipv6Addr>(words),
        _ => None,
    }
}

fn proxied<'l, A: FromStr + Into<IpAddr>>(mut words: impl Iterator<Item = &'l str>) -> Option<Header> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination): (IpAddr, IpAddr) = (address()?, address()?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    let header = Header::Proxied {
        source: SocketAddr::new(source.to_canonical(), from),
        destination: SocketAddr::new(destination.to_canonical(), to),
    };
    words.next().is_none().then_some(header)
}

/// Decimal, 0 to 65535, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> Header {
        Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn whole_lines_and_their_beginnings() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(ENOUGH - 16));
        for (line, header) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n", proxied("192.0.2.1:4711", "198.51.100.2:443")),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n",
                proxied("255.255.255.255:65535", "255.255.255.255:0"),
            ),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", proxied("[2001:db8::1]:1", "[::1]:65535")),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", proxied("192.0.2.1:1", "[::1]:2")),
            ("PROXY UNKNOWN\r\n", Header::Local),
            ("PROXY UNKNOWN ffff::1 what ever  1\r\n", Header::Local),
            (&longest, Header::Local),
        ] {
            let whole = Ok(Parsed::Whole { header, length: line.len() });
            for end in 0..line.len() {
                assert_eq!(super::super::parse(&line.as_bytes()[..end]), Ok(Parsed::Partial), "{line:?} to {end}");
            }
            assert_eq!(super::super::parse(line.as_bytes()), whole, "{line:?}");
            assert_eq!(super::super::parse(&[line.as_bytes(), b"GET / \xff\n"].concat()), whole, "{line:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
            "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n",
            "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP6 [::1] ::1 1 2\r\n",
            "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 \u{e9} 2.2.2.2 1 2\r\n",
        ] {
            assert_eq!(super::super::parse(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(ENOUGH - 15));
        for line in ["PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "PROXY UNKNOWN\n\r\n", &long] {
            assert_eq!(super::super::parse(line.as_bytes()), Err(HeaderError::Endless), "{line:?}");
        }
    }
}
