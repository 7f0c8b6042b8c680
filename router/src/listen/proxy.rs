//! The PROXY protocol, versions 1 and 2 (haproxy's `doc/proxy-protocol.txt`): what stands in front of a listener says
//! for whom it speaks, before anything else on the connection.

mod read;
mod v1;
mod v2;

use std::net::SocketAddr;

pub(crate) use self::read::read;
use super::Networks;

/// Who speaks the PROXY protocol to a listener.
///
/// Nothing is guessed, as the specification demands: a peer's address alone says whether a header is read. A trusted
/// peer must send one, as with `accept-proxy` of HAProxy and `proxy_protocol` of nginx; from all others none is read, as
/// with HAProxy's `expect-proxy layer4 if { src .. }`, so that a kubelet's probes reach the port, and a stranger's header is
/// what it looks like: a malformed request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// These peers send a header, and it is believed.
    pub trusted: Networks,
    /// What becomes of everybody else's connections.
    pub others: Others,
}

/// What becomes of connections from peers that do not speak the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They are served; the client is who connects.
    #[default]
    Serve,
    /// They are closed: nobody is to get past what stands in front.
    Close,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Nothing of another client (`LOCAL`, `UNKNOWN`, or no addresses of TCP): the socket's own addresses hold.
    Local,
    /// The connection is that of another client.
    Proxied {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
}

/// What is known of a header by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It may be one; there is more to come. All of these bytes belong to it.
    Partial,
    /// All that matters of it is there.
    Whole {
        /// What it says.
        header: Header,
        /// Its length in bytes: up to [`LONGEST`], of which only the first [`ENOUGH`] were needed.
        length: usize,
    },
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither version begins like this.
    #[error("it begins neither with PROXY nor with the signature of version 2")]
    NotProxy,
    /// Of version 1: no CRLF within [`ENOUGH`] bytes, or a line feed alone.
    #[error("its line does not end in CRLF within 107 bytes")]
    Endless,
    /// Of version 1: not a protocol, two addresses of its family, and two ports, parted by one space each.
    #[error("its line is not a protocol, two addresses and two ports")]
    Line,
    /// Of version 2: another version.
    #[error("its version is not 2")]
    Version,
    /// Of version 2: a command that is neither LOCAL nor PROXY.
    #[error("its command is neither LOCAL nor PROXY")]
    Command,
    /// Of version 2: a family or a transport that the specification does not know.
    #[error("its address family or transport is not known")]
    Family,
    /// Of version 2: too short for the addresses it announces.
    #[error("it is too short for its addresses")]
    Short,
    /// Of version 2: more than [`LONGEST`] bytes.
    #[error("it is longer than 4096 bytes")]
    Long,
}

/// So many bytes tell all that matters: the longest line of version 1. (Version 2 needs 52.)
pub const ENOUGH: usize = 107;

/// The longest header that is read, as with nginx. Extensions (TLVs) make up the most of it and are skipped.
pub const LONGEST: usize = 4096;

/// Reads the header that `bytes` begin with.
///
/// # Errors
/// As soon as the bytes cannot become a header, whatever follows.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if begins(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if begins(bytes, v1::START) {
        v1::parse(bytes)
    } else {
        Err(HeaderError::NotProxy)
    }
}

/// Whether the bytes begin with the start, as far as there are any.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_first_wrong_byte_tells() {
        assert_eq!(parse(b""), Ok(Parsed::Partial));
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0", b"proxy TCP4", b"\r\n\r\n\x00\r\nQUIT\r", b"\x16\x03"]
        {
            let wrong = (1..=bytes.len()).find(|end| parse(&bytes[..*end]).is_err()).unwrap();
            assert_eq!(parse(&bytes[..wrong]), Err(HeaderError::NotProxy), "{bytes:?}");
            assert_eq!(parse(&bytes[..wrong - 1]), Ok(Parsed::Partial), "{bytes:?}");
            assert!(wrong < 13, "{bytes:?}");
        }
    }

    /// Valid beginnings with some bytes of chance.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let starts = [
            &b""[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\nGET /",
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x01\0",
        ];
        let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        (prop::sample::select(starts.to_vec()), edits, vec(any::<u8>(), 0..120)).prop_map(|(start, edits, end)| {
            let mut bytes = [start, &end].concat();
            for (at, byte) in edits {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_a_beginning_tells_the_rest_does_not_change(bytes in bytes()) {
            let whole = parse(&bytes);
            for end in 0..bytes.len() {
                match parse(&bytes[..end]) {
                    Ok(Parsed::Partial) => prop_assert!(end < ENOUGH),
                    told => prop_assert_eq!(told, whole),
                }
            }
            if let Ok(Parsed::Whole { length, .. }) = whole {
                prop_assert!((1..=LONGEST).contains(&length));
            }
        }
    }
}
