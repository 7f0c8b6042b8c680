//! HTTP/2 frames by the letter of RFC 9113: what a client opened, and whether what came back may be sent.
#![allow(dead_code, unreachable_pub, reason = "tests and fuzz targets share it")]

use std::collections::BTreeMap;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The largest frame that a client takes unasked, and that the router takes (section 4.2).
const LARGEST: usize = 16 << 10;

struct Frame<'b> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'b [u8],
}

/// The next frame; `None` if it is not all there.
fn next<'b>(bytes: &mut &'b [u8]) -> Option<Frame<'b>> {
    let (header, rest) = bytes.split_at_checked(9)?;
    let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
    let (payload, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
    Some(Frame { kind: header[3], flags: header[4], stream, payload })
}

/// Streams that a client opens with these bytes, at most: HEADERS of new streams of its own, as far as frames can be told
/// apart, with the bytes of their DATA (padding included).
pub fn opened(mut bytes: &[u8]) -> BTreeMap<u32, usize> {
    let mut streams = BTreeMap::new();
    while let Some(frame) = next(&mut bytes) {
        match frame.kind {
            HEADERS if frame.stream % 2 == 1 => {
                streams.entry(frame.stream).or_insert(0);
            }
            DATA => {
                if let Some(data) = streams.get_mut(&frame.stream) {
                    *data += frame.payload.len();
                }
            }
            _ => {}
        }
    }
    streams
}

/// What has become of a stream that was answered.
#[derive(Default, PartialEq)]
enum Stream {
    #[default]
    Open,
    Answered,
    Ended,
}

/// Checks what came back on a connection on which these streams were opened.
///
/// # Errors
/// The frame that may not be sent.
pub fn check(mut answer: &[u8], opened: &BTreeMap<u32, usize>) -> Result<(), String> {
    let mut streams: BTreeMap<u32, Stream> = BTreeMap::new();
    let mut block = None;
    let mut first = true;
    while let Some(frame) = next(&mut answer) {
        let Frame { kind, flags, stream, payload } = frame;
        let wrong =
            |what: &str| Err(format!("{what}: type {kind}, flags {flags}, stream {stream}, {} bytes", payload.len()));
        if std::mem::take(&mut first) && (kind != SETTINGS || flags & ACK != 0) {
            return wrong("SETTINGS come first");
        }
        if payload.len() > LARGEST {
            return wrong("too large");
        }
        if let Some(open) = block
            && (kind != CONTINUATION || stream != open)
        {
            return wrong("amid a header block");
        }
        let of_stream = matches!(kind, DATA | HEADERS | RST_STREAM | CONTINUATION);
        if kind != WINDOW_UPDATE && of_stream == (stream == 0) {
            return wrong("on the wrong kind of stream");
        }
        if matches!(kind, DATA | HEADERS | CONTINUATION) && !opened.contains_key(&stream) {
            return wrong("on a stream that nobody opened");
        }
        let length = match kind {
            SETTINGS if flags & ACK != 0 => Some(0),
            PING => Some(8),
            RST_STREAM | WINDOW_UPDATE => Some(4),
            _ => None,
        };
        if length.is_some_and(|length| length != payload.len()) || (kind == GOAWAY && payload.len() < 8) {
            return wrong("of the wrong length");
        }
        if kind > CONTINUATION || kind == 5 {
            return wrong("nothing that a server sends here");
        }
        if !of_stream {
            continue;
        }
        let state = streams.entry(stream).or_default();
        match kind {
            RST_STREAM => *state = Stream::Ended,
            _ if *state == Stream::Ended => return wrong("after the end of the stream"),
            DATA if *state == Stream::Open => return wrong("before the answer's head"),
            _ => {
                if kind != DATA {
                    block = (flags & END_HEADERS == 0).then_some(stream);
                }
                let ends = kind != CONTINUATION && flags & END_STREAM != 0;
                *state = if ends { Stream::Ended } else { Stream::Answered };
            }
        }
    }
    Ok(())
}
