//! `X-Request-Id`: by which people find a request again, at the client, in the access record and in the component's log.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{put, trace::hexadecimal, way::only};
use crate::Error;

pub(super) const NAME: &str = "x-request-id";

/// Long enough for all that gateways make, short enough for a line of a log.
const LONGEST: usize = 128;

/// Keeps the id of a trusted peer if it is fit for a log, and makes one otherwise. Returns what the component sees.
pub(super) fn tell(headers: &mut HeaderMap, believed: bool) -> Result<Option<HeaderValue>, Error> {
    if believed && let Some(sane) = only(headers, NAME).filter(|value| is_sane(value.as_bytes())) {
        return Ok(Some(sane.clone()));
    }
    let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from_owner(uuid())) else { return Ok(None) };
    put(headers, HeaderName::from_static(NAME), id.clone())?;
    Ok(Some(id))
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid() -> [u8; 36] {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    // Version 4, and the variant of that RFC.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (digits, part) in [(0..8, 0..4), (9..13, 4..6), (14..18, 6..8), (19..23, 8..10), (24..36, 10..16)] {
        hexadecimal(&mut text[digits], &bytes[part]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_id_is_a_random_uuid() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let id = String::from_utf8(uuid().to_vec()).unwrap();
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn only_a_sane_id_of_a_trusted_peer_is_kept() {
        let longest = "x".repeat(LONGEST);
        let long = "x".repeat(LONGEST + 1);
        for (values, believed, kept) in [
            (&["Root=1-67891233-abc;~!"][..], true, true),
            (&[longest.as_str()], true, true),
            (&["a"], false, false),
            (&["a", "a"], true, false),
            (&[""], true, false),
            (&["a b"], true, false),
            (&["\u{e9}"], true, false),
            (&[long.as_str()], true, false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(NAME, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let id = tell(&mut headers, believed).unwrap().unwrap();
            assert_eq!(id == values[0], kept, "{values:?}");
            assert_eq!(headers.get_all(NAME).iter().collect::<Vec<_>>(), [&id]);
        }
    }
}
