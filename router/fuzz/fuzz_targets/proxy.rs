//! PROXY headers: what a beginning says no longer one does not unsay, and a line that is understood prints and parses again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_router::listen::proxy::{ENOUGH, Header, LONGEST, Parsed, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    for end in 0..bytes.len().min(ENOUGH + 1) {
        match parse(&bytes[..end]) {
            Ok(Parsed::Partial) => assert!(end < ENOUGH, "{end} bytes are enough"),
            told => assert_eq!(told, whole, "told by {end} bytes"),
        }
    }
    let Ok(Parsed::Whole { header, length }) = whole else { return };
    assert!((1..=LONGEST).contains(&length));
    if let Header::Proxied { source, destination } = header
        && source.is_ipv4() == destination.is_ipv4()
    {
        let family = if source.is_ipv4() { 4 } else { 6 };
        let (from, to) = (source.ip(), destination.ip());
        let line = format!("PROXY TCP{family} {from} {to} {} {}\r\n", source.port(), destination.port());
        assert_eq!(parse(line.as_bytes()), Ok(Parsed::Whole { header, length: line.len() }));
    }
});
