//! Version 2: a binary block (section 2.2).

use std::net::{IpAddr, SocketAddr};

use super::{Header, HeaderError, LONGEST, Parsed};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Before the addresses: signature, version and command, family and transport, length of the rest.
const FIXED: usize = SIGNATURE.len() + 4;

/// Parses what begins with [`SIGNATURE`], as far as it goes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(Parsed::Partial) };
    let [.., command, family, high, low] = *fixed else { return Ok(Parsed::Partial) };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED + announced;
    if length > LONGEST {
        return Err(HeaderError::Long);
    }
    let local = Ok(Parsed::Whole { header: Header::Local, length });
    match (command >> 4, command & 0xf) {
        (2, 0) => return local,
        (2, 1) => {}
        (2, _) => return Err(HeaderError::Command),
        _ => return Err(HeaderError::Version),
    }
    let header = match (family >> 4, family & 0xf) {
        (1, 1) => addresses::<4>(announced, rest)?,
        (2, 1) => addresses::<16>(announced, rest)?,
        // Unspecified, datagrams and Unix sockets: valid, but no client of ours can have such an address.
        (0..=3, 0..=2) => return local,
        _ => return Err(HeaderError::Family),
    };
    Ok(header.map_or(Parsed::Partial, |header| Parsed::Whole { header, length }))
}

/// Two addresses of `N` bytes, then two ports; `None` if they are not all there yet.
fn addresses<const N: usize>(announced: usize, bytes: &[u8]) -> Result<Option<Header>, HeaderError>
where
    IpAddr: From<[u8; N]>,
{
    if announced < 2 * N + 4 {
        return Err(HeaderError::Short);
    }
    let take = || {
        let (source, bytes) = bytes.split_first_chunk::<N>()?;
        let (destination, bytes) = bytes.split_first_chunk::<N>()?;
        let (from, bytes) = bytes.split_first_chunk::<2>()?;
        let to = bytes.first_chunk::<2>()?;
        let address =
            |ip: [u8; N], port: [u8; 2]| SocketAddr::new(IpAddr::from(ip).to_canonical(), u16::from_be_bytes(port));
        Some(Header::Proxied { source: address(*source, *from), destination: address(*destination, *to) })
    };
    Ok(take())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 1, 0xbb];
    const V6: &[u8] = &[
        0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // 2001:db8::1
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1, // ::ffff:10.0.0.1
        0, 1, 0xff, 0xff,
    ];
    /// The authority (SNI), and a checksum that does not hold: neither is looked at.
    const TLVS: &[u8] = b"\x02\0\x09a.example\x03\0\x04\0\0\0\0";

    fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn whole_blocks_and_their_beginnings() {
        let v4 = Header::Proxied {
            source: "192.0.2.1:4711".parse().unwrap(),
            destination: "198.51.100.2:443".parse().unwrap(),
        };
        let v6 = Header::Proxied {
            source: "[2001:db8::1]:1".parse().unwrap(),
            destination: "10.0.0.1:65535".parse().unwrap(),
        };
        let unix = [0; 216];
        for (bytes, header, enough) in [
            (block(0x21, 0x11, V4), v4, 28),
            (block(0x21, 0x11, &[V4, TLVS].concat()), v4, 28),
            (block(0x21, 0x21, V6), v6, 52),
            (block(0x21, 0x21, &[V6, TLVS].concat()), v6, 52),
            (block(0x20, 0x00, b""), Header::Local, 16),
            (block(0x20, 0x11, V4), Header::Local, 16),
            (block(0x20, 0xff, TLVS), Header::Local, 16),
            (block(0x21, 0x00, TLVS), Header::Local, 16),
            (block(0x21, 0x12, V4), Header::Local, 16),
            (block(0x21, 0x22, V6), Header::Local, 16),
            (block(0x21, 0x31, &unix), Header::Local, 16),
            (block(0x21, 0x32, &unix), Header::Local, 16),
            (block(0x21, 0x11, &[V4, &[0; LONGEST - FIXED - 12]].concat()), v4, 28),
        ] {
            for end in 0..enough {
                assert_eq!(super::super::parse(&bytes[..end]), Ok(Parsed::Partial), "{bytes:?} to {end}");
            }
            for end in enough..=bytes.len() {
                let whole = Parsed::Whole { header, length: bytes.len() };
                assert_eq!(super::super::parse(&bytes[..end]), Ok(whole), "{bytes:?} to {end}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (bytes, error) in [
            (block(0x11, 0x11, V4), HeaderError::Version),
            (block(0x31, 0x11, V4), HeaderError::Version),
            (block(0x01, 0x11, V4), HeaderError::Version),
            (block(0x22, 0x11, V4), HeaderError::Command),
            (block(0x2f, 0x11, V4), HeaderError::Command),
            (block(0x21, 0x41, V4), HeaderError::Family),
            (block(0x21, 0x13, V4), HeaderError::Family),
            (block(0x21, 0x11, &V4[..11]), HeaderError::Short),
            (block(0x21, 0x21, V4), HeaderError::Short),
            (block(0x21, 0x11, b""), HeaderError::Short),
            (block(0x21, 0x11, &[0; LONGEST - FIXED + 1]), HeaderError::Long),
            (block(0x20, 0x00, &[0; 65535]), HeaderError::Long),
        ] {
            assert_eq!(super::super::parse(&bytes), Err(error), "{bytes:?}");
        }
    }
}
