//! `traceparent` and `tracestate` (W3C Trace Context section 3).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{put, way::only};
use crate::{Error, listen::TraceContext};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

pub(super) const NAMES: [&str; 2] = [PARENT, STATE];

/// Version, trace id, parent id and flags, in hexadecimal, and the dashes between them.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// Passes a valid context on as it is, which a service without spans of its own shall do whatever the version, and takes
/// an invalid one off. Returns the `traceparent` that the component sees.
pub(super) fn tell(headers: &mut HeaderMap, sent: bool, context: TraceContext) -> Result<Option<HeaderValue>, Error> {
    if sent {
        if let Some(valid) = only(headers, PARENT).filter(|value| is_valid(value.as_bytes())) {
            return Ok(Some(valid.clone()));
        }
        headers.remove(PARENT);
        // The state of a parent that is not known (section 3.3).
        headers.remove(STATE);
    }
    let TraceContext::Begin { sampled } = context else { return Ok(None) };
    let Ok(parent) = HeaderValue::from_maybe_shared(Bytes::from_owner(begin(sampled))) else { return Ok(None) };
    put(headers, HeaderName::from_static(PARENT), parent.clone())?;
    Ok(Some(parent))
}

/// The trace id of a valid `traceparent`.
pub(super) fn id(parent: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(parent.as_bytes().get(3..35)?).ok()
}

/// Version 00 has this length; a higher one may go on after a dash; ff is none ("Versioning of traceparent").
fn is_valid(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(LENGTH) else { return false };
    let more = match rest {
        [] => true,
        [b'-', ..] => &known[..2] != b"00",
        _ => false,
    };
    let (version, trace, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let dashes = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
    let zero = |digits: &[u8]| digits.iter().all(|digit| *digit == b'0');
    more && dashes
        && [version, trace, parent, flags].into_iter().flatten().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && version != b"ff"
        && !zero(trace)
        && !zero(parent)
}

fn begin(sampled: bool) -> [u8; LENGTH] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    hexadecimal(&mut text[3..35], &fastrand::u128(1..).to_be_bytes());
    hexadecimal(&mut text[36..52], &fastrand::u64(1..).to_be_bytes());
    text[LENGTH - 1] += u8::from(sampled);
    text
}

/// Writes two digits for each byte.
pub(super) fn hexadecimal(text: &mut [u8], bytes: &[u8]) {
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        for (digit, half) in digits.iter_mut().zip([byte >> 4, byte & 0xf]) {
            *digit = b"0123456789abcdef"[usize::from(half)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn told(lines: &[(&'static str, &str)], context: TraceContext) -> (Option<HeaderValue>, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        (tell(&mut headers, true, context).unwrap(), headers)
    }

    #[test]
    fn a_valid_context_goes_on_as_it_is() {
        for value in [
            VALID,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what.the-future~holds",
            "fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        ] {
            for context in [TraceContext::Continue, TraceContext::default()] {
                let (parent, headers) = told(&[(PARENT, value), (STATE, "a=1"), (STATE, "b=2")], context);
                assert_eq!(parent.as_ref().and_then(id), Some(TRACE), "{value}");
                assert_eq!(headers.get(PARENT), parent.as_ref());
                assert_eq!((headers[PARENT].to_str().unwrap(), headers.get_all(STATE).iter().count()), (value, 2));
            }
        }
    }

    #[test]
    fn an_invalid_context_is_replaced_and_its_state_taken_off() {
        for values in [
            &[][..],
            &[""],
            &[VALID, VALID],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"],
            &["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more"],
            &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            &["0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011"],
            &["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01"],
            &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            &["00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x"],
        ] {
            let lines: Vec<_> = values.iter().map(|value| (PARENT, *value)).chain([(STATE, "a=1")]).collect();
            let (parent, headers) = told(&lines, TraceContext::Continue);
            assert!(parent.is_none() && headers.is_empty(), "{values:?}: {headers:?}");
            for sampled in [false, true] {
                let (parent, headers) = told(&lines, TraceContext::Begin { sampled });
                let parent = parent.unwrap();
                assert!(is_valid(parent.as_bytes()) && id(&parent) != Some(TRACE), "{parent:?}");
                assert!(parent.to_str().unwrap().ends_with(if sampled { "-01" } else { "-00" }), "{parent:?}");
                assert_eq!((headers.len(), headers.get(PARENT)), (1, Some(&parent)));
            }
        }
    }
}
