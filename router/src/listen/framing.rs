//! Follows the framing of an HTTP/1 connection beside hyper, to see what hyper's parser settles silently.
//!
//! hyper accepts `Transfer-Encoding` beside `Content-Length` (and drops the latter), and folds equal `Content-Length`
//! lines into one. Both are legal readings of RFC 9112 section 6.3, yet both are how requests are smuggled past whatever
//! stands in front, so they are refused here. By the time the service sees the headers nothing is left to refuse by,
//! hence this look at the bytes. The same goes for a fragment in the request target (RFC 9112 section 3.2), which is cut
//! off before the service sees it, and for a chunked body that hyper reads more generously than RFC 9112 section 7.1: a
//! bare LF in its trailers, after which hyper takes the next request for more of them, or a chunk size of many zeros.
//! What else is invalid, hyper finds and answers.

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
    /// The request target holds a fragment, or a framing header is too long to be followed.
    strange: bool,
}

/// Digits of the largest chunk size.
const DIGITS: usize = 16;

const LINE: usize = 96;

#[derive(Debug)]
struct Line {
    bytes: [u8; LINE],
    used: usize,
    /// There was more than fits.
    cut: bool,
    /// The last byte, whether it fitted or not.
    last: u8,
}

/// What a read brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The number of the first head (from 1) whose length is in doubt.
    pub(crate) doubtful: Option<u64>,
    /// A head has begun and not ended.
    pub(crate) mid_head: bool,
    /// A chunked body breaks here: so many bytes may be passed on, none after them.
    pub(crate) broken: Option<usize>,
}

// === impl Framing ===

impl Framing {
    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut doubtful = None;
        let mut broken = None;
        let size = bytes.len();
        while !bytes.is_empty() {
            let (at, in_body) = (size - bytes.len(), self.in_chunked_body());
            bytes = match self.state {
                State::Body(left) => self.skip(bytes, left, State::Body, State::Idle),
                State::ChunkData(left) => self.skip(bytes, left, State::ChunkData, State::ChunkEnd),
                State::Lost => {
                    // Should hyper have understood what we did not, then the next head is one we cannot vouch for.
                    doubtful.get_or_insert(self.heads + 1);
                    return Seen { doubtful, mid_head: false, broken };
                }
                _ => self.line(bytes, &mut doubtful),
            };
            if in_body && self.state == State::Lost {
                broken = Some(at);
            }
        }
        Seen { doubtful, mid_head: self.mid_head(), broken }
    }

    /// Whether the client is in the middle of a message, so that closing now would throw away bytes it is sending.
    pub(crate) fn mid_message(&self) -> bool {
        self.state != State::Idle || self.line.used > 0
    }

    fn mid_head(&self) -> bool {
        self.state == State::Headers || (self.state == State::Idle && self.line.used > 0)
    }

    const fn in_chunked_body(&self) -> bool {
        matches!(self.state, State::ChunkSize | State::ChunkEnd | State::Trailers)
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, more: fn(u64) -> State, done: State) -> &'b [u8] {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - take as u64;
        self.state = if left == 0 { done } else { more(left) };
        &bytes[take..]
    }

    /// Reads to the end of the line, if it is there.
    fn line<'b>(&mut self, bytes: &'b [u8], doubtful: &mut Option<u64>) -> &'b [u8] {
        if self.state == State::Idle && self.line.used == 0 {
            self.head = Head::default();
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.look_at(bytes);
            self.line.push(bytes);
            return &[];
        };
        let (start, rest) = (&bytes[..end], &bytes[end + 1..]);
        self.look_at(start);
        let bare = start.last().copied().unwrap_or(self.line.last) != b'\r';
        if bare && self.in_chunked_body() {
            self.state = State::Lost;
        } else if self.line.used == 0 {
            let cut = start.len() > LINE;
            self.end_line(start.strip_suffix(b"\r").unwrap_or(start), cut, doubtful);
        } else {
            self.line.push(start);
            let line = std::mem::take(&mut self.line);
            let text = &line.bytes[..line.used];
            self.end_line(text.strip_suffix(b"\r").unwrap_or(text), line.cut, doubtful);
        }
        rest
    }

    /// Looks for a fragment in the whole of a request line, of which the line buffer holds the start only.
    fn look_at(&mut self, bytes: &[u8]) {
        if self.state == State::Idle && memchr::memchr(b'#', bytes).is_some() {
            self.head.strange = true;
        }
    }

    fn end_line(&mut self, line: &[u8], cut: bool, doubtful: &mut Option<u64>) {
        self.state = match self.state {
            State::Idle if line.is_empty() => State::Idle,
            State::Idle => State::Headers,
            State::Headers if line.is_empty() => {
                self.heads += 1;
                if self.head.doubtful() {
                    doubtful.get_or_insert(self.heads);
                }
                self.head.body()
            }
            State::Headers => {
                self.head.header(line, cut);
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
    fn header(&mut self, line: &[u8], cut: bool) {
        // Only two names matter; their first letters sort out most lines.
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length") {
                    self.lengths += 1;
                    self.strange |= cut;
                    self.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                }
            }
            Some(b't' | b'T') if value_of(line, b"transfer-encoding").is_some() => {
                self.encodings += 1;
                self.strange |= cut;
            }
            _ => {}
        }
    }

    const fn doubtful(&self) -> bool {
        self.strange || self.lengths + self.encodings > 1
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
    if digits.len() > DIGITS {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

// === impl Line ===

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let take = bytes.len().min(LINE - self.used);
        self.bytes[self.used..self.used + take].copy_from_slice(&bytes[..take]);
        self.used += take;
        self.cut |= take < bytes.len();
        self.last = bytes.last().copied().unwrap_or(self.last);
        // A line is empty only if nothing but its end was read: even one that is cut here is not.
    }
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE], used: 0, cut: false, last: 0 }
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
    fn a_framing_header_too_long_to_follow_is_doubtful() {
        let long = format!("POST / HTTP/1.1\r\nContent-Length: {}3\r\n\r\nabc", "0".repeat(100));
        let fragment = format!("GET /{}#f HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200));
        for step in [1, 7, 96, 97, 4096] {
            assert_eq!(feed(&long, step).0, Some(1), "step {step}");
            assert_eq!(feed(&[PLAIN, &fragment].concat(), step).0, Some(2), "step {step}");
        }
    }

    #[test]
    fn nothing_of_a_chunked_body_is_passed_on_from_where_it_breaks() {
        const HEAD: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let zeros = format!("3\r\nabc\r\n|{}1\r\na\r\n0\r\n\r\n", "0".repeat(16));
        let long = format!("0\r\n|T: {}\n\r\n", "x".repeat(200));
        for body in
            ["0\r\n|T: x\n\r\nGET", "0\r\nT: x\r\n|\nGET", "3\r\nabc\r\n|0\n\r\n", "3\r\nabc|\n0\r\n", &zeros, &long]
        {
            let (good, bad) = body.split_once('|').unwrap();
            let text = [HEAD, good, bad].concat();
            let mut framing = Framing::default();
            assert_eq!(framing.feed(text.as_bytes()).broken, Some(HEAD.len() + good.len()), "{body:?}");
            let mut framing = Framing::default();
            assert!(text.as_bytes().chunks(1).any(|byte| framing.feed(byte).broken == Some(0)), "{body:?}");
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
