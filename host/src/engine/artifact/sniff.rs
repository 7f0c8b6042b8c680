//! Tells a component from everything else that people point `image` at, before the engine gets to see it.

use super::ArtifactError;

const MAGIC: &[u8; 4] = b"\0asm";
/// The header's version field of a component, and its layer field: a core module has version 1 and layer 0.
const COMPONENT_VERSION: u16 = 0x0d;
const COMPONENT_LAYER: u16 = 1;

/// Checks that `bytes` are a whole component, by its header and the lengths of its outermost sections. `origin` names it
/// in the error.
///
/// # Errors
///
/// `Empty`, `NotWasm`, `CoreModule`, `UnknownEncoding` or `Truncated`.
pub(super) fn check(origin: &str, bytes: &[u8]) -> Result<(), ArtifactError> {
    let origin = origin.to_owned();
    if bytes.is_empty() {
        return Err(ArtifactError::Empty { origin });
    }
    if !bytes.starts_with(MAGIC) {
        if MAGIC.starts_with(bytes) {
            return Err(ArtifactError::Truncated { origin, have: bytes.len() as u64, need: 8 });
        }
        return Err(ArtifactError::NotWasm { origin, looks_like: looks_like(bytes).to_owned() });
    }
    let &[_, _, _, _, v0, v1, l0, l1, ..] = bytes else {
        return Err(ArtifactError::Truncated { origin, have: bytes.len() as u64, need: 8 });
    };
    let (version, layer) = (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([l0, l1]));
    if layer == 0 {
        return Err(ArtifactError::CoreModule { origin });
    }
    if (version, layer) != (COMPONENT_VERSION, COMPONENT_LAYER) {
        return Err(ArtifactError::UnknownEncoding { origin, version });
    }
    let need = needed(bytes);
    if need > bytes.len() as u64 {
        return Err(ArtifactError::Truncated { origin, have: bytes.len() as u64, need });
    }
    Ok(())
}

/// The length that the outermost sections add up to. A malformed length counts as the end: the engine reports it better.
fn needed(bytes: &[u8]) -> u64 {
    let mut at = 8_u64;
    while let Some(rest) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).filter(|rest| !rest.is_empty()) {
        let (length, digits) = match leb_u32(&rest[1..]) {
            Leb::Value(length, digits) => (length, digits),
            Leb::Cut => return bytes.len() as u64 + 1,
            Leb::Malformed => return at,
        };
        at += 1 + digits + u64::from(length);
    }
    at
}

enum Leb {
    Value(u32, u64),
    Cut,
    Malformed,
}

/// An unsigned LEB128 of at most five bytes, and how many it took.
fn leb_u32(bytes: &[u8]) -> Leb {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_or(Leb::Malformed, |value| Leb::Value(value, i as u64 + 1));
        }
    }
    if bytes.len() < 5 { Leb::Cut } else { Leb::Malformed }
}

/// What bytes that are not WebAssembly seem to be, and what to do about it.
fn looks_like(bytes: &[u8]) -> &'static str {
    let text = bytes[..bytes.len().min(1024)].trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let begins =
        |prefix: &str| text.len() >= prefix.len() && text[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes());
    if bytes.starts_with(&[0x1f, 0x8b]) {
        "a gzip archive; unpack it and use the .wasm file in it"
    } else if bytes.get(257..262) == Some(b"ustar") {
        "a tar archive; unpack it and use the .wasm file in it"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "a zip archive; unpack it and use the .wasm file in it"
    } else if bytes.starts_with(b"\x7fELF") {
        "a program or a component compiled ahead of time (.cwasm); use the portable .wasm file"
    } else if begins("<!doctype html") || begins("<html") {
        "an HTML page, perhaps an error page saved by a download; download the file itself"
    } else if begins("(module") || begins("(component") || begins(";;") {
        "WebAssembly text; translate it with `wasm-tools parse`"
    } else if begins("version https://git-lfs") {
        "a git-lfs pointer; run `git lfs pull`"
    } else if begins("{") || begins("[") {
        "JSON; use the .wasm file itself"
    } else if begins("package ") {
        "WIT text; build the component that implements it"
    } else {
        "something else (it does not begin with `\\0asm`); check that the build wrote the right file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        check("file:///srv/a.wasm", bytes).unwrap_err().to_string()
    }

    fn component() -> Vec<u8> {
        wat::parse_str(r#"(component (core module (func (export "f") nop)) (component))"#).unwrap()
    }

    #[test]
    fn a_component_passes() {
        check("x", &component()).unwrap();
        check("x", b"\0asm\x0d\0\x01\0").unwrap();
    }

    #[test]
    fn every_prefix_of_a_component_is_cut_off() {
        let whole = component();
        let mut at_a_border = 0;
        for length in 1..whole.len() {
            match check("x", &whole[..length]) {
                Err(ArtifactError::Truncated { have, need, .. }) => {
                    assert!(have == length as u64 && need > have && need <= whole.len() as u64, "{length}: {need}");
                }
                // Cut between two sections, it is a smaller whole.
                Ok(()) => at_a_border += 1,
                other => panic!("{length}: {other:?}"),
            }
        }
        assert!(at_a_border <= 4, "{at_a_border}");
    }

    #[test]
    fn sentences() {
        let cut = component();
        let cut = &cut[..cut.len() - 1];
        let need = cut.len() + 1;
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, message) in [
            (&b""[..], "`file:///srv/a.wasm` is empty: its build has probably failed half way; build it again".to_owned()),
            (
                b"\0asm\x01\0\0\0",
                "`file:///srv/a.wasm` is a core WebAssembly module, not a component: wrap it with `wasm-tools component \
                 new` (with `--adapt` if it uses WASI preview 1), or build it for a component target such as \
                 wasm32-wasip2"
                    .to_owned(),
            ),
            (
                b"\0asm\x0a\0\x01\0",
                "`file:///srv/a.wasm` is encoded as version 0xa of the component format, which is not supported: rebuild \
                 it with current tools"
                    .to_owned(),
            ),
            (
                cut,
                format!(
                    "`file:///srv/a.wasm` is cut off: it has {} bytes and needs at least {need}; copy or build it again",
                    cut.len()
                ),
            ),
            (b"\0as", "`file:///srv/a.wasm` is cut off: it has 3 bytes and needs at least 8; copy or build it again".to_owned()),
            (
                b"<!DOCTYPE html><title>404</title>",
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like an HTML page, perhaps an error page \
                 saved by a download; download the file itself"
                    .to_owned(),
            ),
            (
                &[0x1f, 0x8b, 8, 0],
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like a gzip archive; unpack it and use \
                 the .wasm file in it"
                    .to_owned(),
            ),
            (
                &tar,
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like a tar archive; unpack it and use the \
                 .wasm file in it"
                    .to_owned(),
            ),
            (
                b"\x7fELF\x02\x01",
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like a program or a component compiled \
                 ahead of time (.cwasm); use the portable .wasm file"
                    .to_owned(),
            ),
            (
                b"(component)",
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like WebAssembly text; translate it with \
                 `wasm-tools parse`"
                    .to_owned(),
            ),
            (
                b"hello",
                "`file:///srv/a.wasm` is not a WebAssembly component: it looks like something else (it does not begin \
                 with `\\0asm`); check that the build wrote the right file"
                    .to_owned(),
            ),
        ] {
            assert_eq!(fault(bytes), message);
        }
    }

    #[test]
    fn absurd_lengths_do_not_loop_or_overflow() {
        for tail in [&[0xff; 16][..], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f], &[1, 0x80], &[0, 0], &[1]] {
            let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
            bytes.extend_from_slice(tail);
            let _ = check("x", &bytes);
        }
    }
}
