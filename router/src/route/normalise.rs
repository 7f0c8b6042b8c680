//! One spelling for each path, and a refusal for those whose meaning is in doubt.

use std::borrow::Cow;

use thiserror::Error;

use super::query::hex;

/// Why a request's path is not routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathRefused {
    /// Not `*` and without `/` at the start.
    #[error("a path starts with `/`")]
    NotAbsolute,
    /// `%` without two hexadecimal digits behind it.
    #[error("`%` is not followed by two hexadecimal digits")]
    Escape,
    /// `%00`.
    #[error("the path holds an encoded NUL (%00)")]
    Nul,
    /// A control character as it is.
    #[error("the path holds a raw control character")]
    Control,
    /// A backslash, which some read as a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// `?` or `#` inside what should be the path alone.
    #[error("the path holds `?` or `#`; give the path alone")]
    NotPathAlone,
    /// More `..` than there are elements to leave.
    #[error("the path leads above the root")]
    AboveRoot,
    /// `..%2F` and its kind: a dot segment for those who decode the slash, a name for those who do not.
    #[error("the path holds `.` or `..` next to an encoded slash or backslash")]
    Ambiguous,
}

/// The normal form of a path (without query) by RFC 3986 section 6.2.2: `%xx` in upper case, unreserved characters decoded, dot segments
/// removed, and characters that may not stand in a path encoded. Encoded reserved characters, `%2F` among them, stay as they are.
///
/// Borrowed when the path is normal already. The empty path is `/` (section 6.2.3), and `*` (of `OPTIONS *`) passes.
///
/// # Errors
/// [`PathRefused`] for paths that two readers could take for different things; the request deserves a 400.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathRefused> {
    match path {
        "" => return Ok(Cow::Borrowed("/")),
        "*" => return Ok(Cow::Borrowed("*")),
        _ if !path.starts_with('/') => return Err(PathRefused::NotAbsolute),
        _ if is_normal(path.as_bytes()) => return Ok(Cow::Borrowed(path)),
        _ => {}
    }
    let spelled = spell(path)?;
    if spelled.split('/').any(is_ambiguous) {
        return Err(PathRefused::Ambiguous);
    }
    let normal = without_dots(&spelled)?;
    Ok(if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) })
}

/// Whether a character may stand in a path element as it is (RFC 3986 section 3.3, `pchar` without `pct-encoded`).
pub(super) fn is_literal(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_literal_byte)
}

fn is_literal_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether nothing needs to be changed, or looked at more closely. One pass, since nearly every request passes here.
fn is_normal(path: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        match byte {
            b'/' => match path.get(at + 1..) {
                Some([b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]) => return false,
                _ => at += 1,
            },
            b'%' => match path.get(at + 1..) {
                Some([high @ (b'0'..=b'9' | b'A'..=b'F'), low @ (b'0'..=b'9' | b'A'..=b'F'), ..]) => {
                    let value = hex(*high).zip(hex(*low)).map_or(0, |(high, low)| high << 4 | low);
                    // An encoded slash is doubtful next to a dot only.
                    let beside_dot = path[at - 1] == b'.' || path.get(at + 3) == Some(&b'.');
                    if is_unreserved(value) || value == 0 || (matches!(value, b'/' | b'\\') && beside_dot) {
                        return false;
                    }
                    at += 3;
                }
                _ => return false,
            },
            byte if is_literal_byte(byte) => at += 1,
            _ => return false,
        }
    }
    true
}

/// The path with each character in its one spelling; dot segments stay.
fn spell(path: &str) -> Result<String, PathRefused> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(path.len() + 8);
    let encode = |out: &mut String, byte: u8| {
        out.extend(['%', DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char]);
    };
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let [high, low, after @ ..] = after else { return Err(PathRefused::Escape) };
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Err(PathRefused::Escape) };
                rest = after;
                match high << 4 | low {
                    0 => return Err(PathRefused::Nul),
                    value if is_unreserved(value) => out.push(char::from(value)),
                    value => encode(&mut out, value),
                }
            }
            b'\\' => return Err(PathRefused::Backslash),
            b'?' | b'#' => return Err(PathRefused::NotPathAlone),
            byte if byte.is_ascii_control() => return Err(PathRefused::Control),
            byte if byte == b'/' || is_literal_byte(byte) => out.push(char::from(byte)),
            byte => encode(&mut out, byte),
        }
    }
    Ok(out)
}

/// Whether an element holds a dot segment for those who take `%2F` or `%5C` for separators.
fn is_ambiguous(element: &str) -> bool {
    let mut parts = element.split("%2F").flat_map(|part| part.split("%5C"));
    (element.contains("%2F") || element.contains("%5C")) && parts.any(|part| matches!(part, "." | ".."))
}

/// RFC 3986 section 5.2.4, except that leaving the root is an error and not silently ignored.
fn without_dots(path: &str) -> Result<String, PathRefused> {
    let mut out = String::with_capacity(path.len());
    let mut elements = path.split('/').skip(1).peekable();
    while let Some(element) = elements.next() {
        match element {
            "." => {}
            ".." => out.truncate(out.rfind('/').ok_or(PathRefused::AboveRoot)?),
            name => {
                out.push('/');
                out.push_str(name);
                continue;
            }
        }
        if elements.peek().is_none() {
            out.push('/');
        }
    }
    Ok(out)
}

#[cfg(test)]
#[path = "normalise/tests.rs"]
mod tests;
