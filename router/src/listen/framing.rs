//! Follows the framing of an HTTP/1 connection beside hyper, to see what hyper's parser settles silently.
//!
//! hyper accepts `Transfer-Encoding` beside `Content-Length` (and drops the latter), and folds equal `Content-Length`
//! lines into one. Both are legal readings of RFC 9112 section 6.3, yet both are how requests are smuggled past whatever
//! stands in front, so they are refused here. By the time the service sees the headers nothing is left to refuse by,
//! hence this look at the bytes. It decides nothing else: what is invalid, hyper finds and answers, and wherever the two
//! could read a valid message differently, hyper has already closed the connection.

/// What is known of the connection's framing.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
    /// The line being read, up to what a framing header needs. Longer lines are of no interest beyond their start.
    line: Line,
    head: Head,
    heads: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between messages: empty lines before a request line are skipped (RFC 9112 section 2.2).
    #[default]
    Idle,
    Headers,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// Invalid: hyper answers 400 and closes.
    Lost,
}

/// The framing headers of the head being read.
#[derive(Debug, Default)]
struct Head {
    lengths: u32,
    length: Option<u64>,
    encodings: u32,
}

const LINE: usize = 96;

#[derive(Debug)]
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

/// What a read brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The number of the first head (from 1) whose length is in doubt.
    pub(crate) doubtful: Option<u64>,
    /// A head has begun and not ended.
    pub(crate) mid_head: bool,
}

// === impl Framing ===

impl Framing {
    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut doubtful = None;
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Body(left) => self.skip(bytes, left, State::Body, State::Idle),
                State::ChunkData(left) => self.skip(bytes, left, State::ChunkData, State::ChunkEnd),
                State::Lost => {
                    // Should hyper have understood what we did not, then the next head is one we cannot vouch for.
                    doubtful.get_or_insert(self.heads + 1);
                    return Seen { doubtful, mid_head: false };
                }
                _ => self.line(bytes, &mut doubtful),
            };
        }
        Seen { doubtful, mid_head: self.mid_head() }
    }

    /// Whether the client is in the middle of a message, so that closing now would throw away bytes it is sending.
    pub(crate) fn mid_message(&self) -> bool {
        self.state != State::Idle || self.line.used > 0
    }

    fn mid_head(&self) -> bool {
        self.state == State::Headers || (self.state == State::Idle && self.line.used > 0)
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, more: fn(u64) -> State, done: State) -> &'b [u8] {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - take as u64;
        self.state = if left == 0 { done } else { more(left) };
        &bytes[take..]
    }

    /// Reads to the end of the line, if it is there.
    fn line<'b>(&mut self, bytes: &'b [u8], doubtful: &mut Option<u64>) -> &'b [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return &[];
        };
        let (start, rest) = (&bytes[..end], &bytes[end + 1..]);
        if self.line.used == 0 {
            self.end_line(start.strip_suffix(b"\r").unwrap_or(start), doubtful);
        } else {
            self.line.push(start);
            let line = std::mem::take(&mut self.line);
            let line = &line.bytes[..line.used];
            self.end_line(line.strip_suffix(b"\r").unwrap_or(line), doubtful);
        }
        rest
    }

    fn end_line(&mut self, line: &[u8], doubtful: &mut Option<u64>) {
        self.state = match self.state {
            State::Idle if line.is_empty() => State::Idle,
            State::Idle => {
                self.head = Head::default();
                State::Headers
            }
            State::Headers if line.is_empty() => {
                self.heads += 1;
                if self.head.doubtful() {
                    doubtful.get_or_insert(self.heads);
                }
                self.head.body()
            }
            State::Headers => {
                self.head.header(line);
                State::Headers
            }
            State::ChunkSize => match chunk_size(line) {
                Some(0) => State::Trailers,
                Some(size) => State::ChunkData(size),
                None => State::Lost,
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailers if line.is_empty() => State::Idle,
            State::Trailers => State::Trailers,
            State::ChunkEnd | State::Body(_) | State::ChunkData(_) | State::Lost => State::Lost,
        };
    }
}

// === impl Head ===

impl Head {
    fn header(&mut self, line: &[u8]) {
        // Only two names matter; their first letters sort out most lines.
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length") {
                    self.lengths += 1;
                    self.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                }
            }
            Some(b't' | b'T') if value_of(line, b"transfer-encoding").is_some() => self.encodings += 1,
            _ => {}
        }
    }

    const fn doubtful(&self) -> bool {
        self.lengths + self.encodings > 1
    }

    const fn body(&self) -> State {
        if self.encodings > 0 {
            return State::ChunkSize;
        }
        match (self.lengths, self.length) {
            (0, _) | (_, Some(0)) => State::Idle,
            (_, Some(length)) => State::Body(length),
            (_, None) => State::Lost,
        }
    }
}

/// The trimmed value of a header line, if it is that header's.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// RFC 9112 section 7.1; extensions are ignored.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

// === impl Line ===

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let take = bytes.len().min(LINE - self.used);
        self.bytes[self.used..self.used + take].copy_from_slice(&bytes[..take]);
        self.used += take;
        // A line is empty only if nothing but its end was read: even one that is cut here is not.
    }
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE], used: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const SIZED: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe\n\nl";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n";
    const BOTH: &str = "POST / HTTP/1.1\r\ncontent-LENGTH: 4\r\nHost: a\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n";
    const TWICE: &str = "POST / HTTP/1.1\nContent-Length: 2\nHost: a\nContent-Length: 2\n\nab";

    fn feed(text: &str, step: usize) -> (Option<u64>, Framing) {
        let mut framing = Framing::default();
        let mut doubtful = None;
        for bytes in text.as_bytes().chunks(step) {
            doubtful = doubtful.or(framing.feed(bytes).doubtful);
        }
        (doubtful, framing)
    }

    #[test]
    fn finds_the_doubtful_head_among_pipelined_ones_however_the_bytes_arrive() {
        let stream = [PLAIN, SIZED, CHUNKED, "\r\n", PLAIN, SIZED].concat();
        for step in 1..stream.len() {
            let (doubtful, framing) = feed(&stream, step);
            assert_eq!((doubtful, framing.heads, framing.mid_message()), (None, 5, false), "step {step}");
            for bad in [BOTH, TWICE] {
                let (doubtful, framing) = feed(&[&stream, bad, PLAIN].concat(), step);
                assert_eq!((doubtful, framing.heads), (Some(6), 7), "step {step}: {bad}");
            }
        }
    }

    #[test]
    fn a_header_longer_than_the_line_buffer_hides_nothing() {
        let long = "x".repeat(500);
        let text = format!(
            "GET /{long} HTTP/1.1\r\nX: {long}\r\nContent-Length: 1\r\nY: {long}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        for step in [1, 7, 95, 96, 97, 4096] {
            assert_eq!(feed(&text, step).0, Some(1), "step {step}");
        }
    }

    #[test]
    fn knows_the_middle_of_a_head_and_of_a_message() {
        let mut framing = Framing::default();
        assert!(framing.feed(b"G").mid_head);
        assert!(framing.feed(b"ET / HTTP/1.1\r\nContent-Length: 3\r\n").mid_head);
        assert!(!framing.feed(b"\r\nab").mid_head);
        assert!(framing.mid_message());
        framing.feed(b"c");
        assert!(!framing.mid_message());
        framing.feed(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
        assert!(framing.mid_message(), "lost: whatever follows is not understood");
    }
}
