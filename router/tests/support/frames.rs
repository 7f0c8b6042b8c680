//! HTTP/2 frames as bytes (RFC 9113 section 4), headers as literals (RFC 7541 section 6.2.2): a client that says what no
//! library would.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use tokio::io::{AsyncRead, AsyncReadExt};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A type by its name or number.
pub fn kind(text: &str) -> u8 {
    const NAMES: [&str; 10] = [
        "DATA",
        "HEADERS",
        "PRIORITY",
        "RST_STREAM",
        "SETTINGS",
        "PUSH_PROMISE",
        "PING",
        "GOAWAY",
        "WINDOW_UPDATE",
        "CONTINUATION",
    ];
    let named = NAMES.iter().position(|name| *name == text).and_then(|at| u8::try_from(at).ok());
    named.unwrap_or_else(|| text.parse().unwrap())
}

/// A frame as it goes over the connection.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header field that no table keeps.
pub fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        // An integer with a prefix of seven bits (RFC 7541 section 5.1).
        if text.len() < 127 {
            block.push(u8::try_from(text.len()).unwrap());
        } else {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
        block.extend_from_slice(text);
    }
}

/// A header block of a simple request.
pub fn get(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)] {
        literal(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

/// A frame as it was read.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The next frame; `None` at the end.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    socket.read_exact(&mut payload).await.ok()?;
    let stream = u32::from_be_bytes([head[5] & 127, head[6], head[7], head[8]]);
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

impl Frame {
    /// The status that the first HEADERS of a connection begins with: of the static table, or a literal.
    pub fn status(&self) -> String {
        match self.payload[..] {
            [indexed @ 0x88..=0x8e, ..] => {
                ["200", "204", "206", "304", "400", "404", "500"][usize::from(indexed - 0x88)].into()
            }
            [0x48, length, ref rest @ ..] if length & 0x80 == 0 => {
                String::from_utf8_lossy(&rest[..usize::from(length)]).into_owned()
            }
            [0x48, length, ref rest @ ..] => huffman(&rest[..usize::from(length & 0x7f)]),
            _ => format!("{:?}", self.payload),
        }
    }

    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Digits in the code of RFC 7541 appendix B: `0` to `2` have five bits, the others six.
fn huffman(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut text, mut at) = (String::new(), 0);
    let number = |at: usize, size: usize| {
        bits.get(at..at + size).map_or(u8::MAX, |bits| bits.iter().fold(0, |number, bit| number << 1 | bit))
    };
    while text.len() < 3 {
        let (digit, size) = if number(at, 5) < 3 { (number(at, 5), 5) } else { (number(at, 6).wrapping_sub(22), 6) };
        text.push(char::from(b'0'.wrapping_add(digit)));
        at += size;
    }
    text
}
