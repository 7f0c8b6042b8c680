//! Follows the frames of an HTTP/2 connection beside hyper, to end clients whose frames cost more than they are good for.
//!
//! h2 answers PING and SETTINGS for as long as they come, looks up a stream for each WINDOW_UPDATE and PRIORITY, and has a
//! request begun for every stream that its client takes back at once. One of them is cheap; without end they are floods
//! (CVE-2019-9512 and its family, CVE-2023-44487). What h2 bounds by itself is left to it: DATA without much in it, header
//! blocks without end, streams that are reset before they were looked at, or that make us reset them.
//!
//! So a connection has credit. Such frames spend it; requests, what the client takes of the responses, and time earn it
//! back. Clients that use what they ask for never come near its end.

use tokio::{io::ReadBuf, time::Instant};

/// What a connection begins with, and the most it can have.
const CREDIT: u64 = 10_000;
/// What time earns. A flood slower than this may go on for ever: it costs less than a thousandth of a core.
const PER_MILLISECOND: u64 = 1;
/// What a request earns.
const REQUEST: u64 = 5;
/// So many bytes to the client earn one: clients grant windows for what they have read.
const BYTES: u64 = 16;

/// To end a request that has begun. With the request that it ends: 666 at once, 66 a second for ever, and any number for
/// clients that let four in five requests end by themselves.
const RESET: u64 = 20;
/// An acknowledgement, and a look at every stream.
const SETTING: u64 = 20;
/// All others.
const FRAME: u64 = 3;

/// Length, type, flags, stream (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// What comes before the first frame.
const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// Long enough for the most CONTINUATIONs that h2 may allow.
const LAST_WORD: usize = 16 << 10;

/// What is known of the connection's frames.
#[derive(Debug)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    used: usize,
    /// Of the payload that is being read.
    left: u32,
    credit: u64,
    /// Up to when time has been paid for.
    paid: Instant,
    /// The credit is spent: the connection ends with this frame.
    spent: bool,
    /// Bytes of the last word that h2 has read.
    said: usize,
}

// === impl Frames ===

impl Frames {
    /// Of a connection that begins now, with its preface.
    pub(crate) fn new() -> Self {
        let (header, paid) = ([0; HEADER], Instant::now());
        Self { header, used: 0, left: PREFACE, credit: CREDIT, paid, spent: false, said: 0 }
    }

    /// Takes the next bytes, at least one, and says how many of them may be passed on. Nothing after them may.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && !self.over() {
            if self.left > 0 {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= u32::try_from(take).unwrap_or(self.left);
                rest = &rest[take..];
                continue;
            }
            let take = (HEADER - self.used).min(rest.len());
            self.header[self.used..self.used + take].copy_from_slice(&rest[..take]);
            self.used += take;
            rest = &rest[take..];
            if self.used == HEADER {
                self.used = 0;
                self.frame();
            }
        }
        bytes.len() - rest.len()
    }

    /// The client took so much.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        if self.credit < CREDIT {
            self.earn(bytes as u64 / BYTES);
        }
    }

    /// Whether nothing more may be read.
    pub(crate) const fn over(&self) -> bool {
        self.spent && self.left == 0 && self.used == 0
    }

    /// Reads as a header block without end, to which h2 says GOAWAY with ENHANCE_YOUR_CALM, behind whatever it is writing.
    /// False once all of that is read.
    pub(crate) fn last_word(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let before = self.said;
        while self.said < LAST_WORD && buf.remaining() > 0 {
            let kind = if self.said < HEADER { HEADERS } else { CONTINUATION };
            buf.put_slice(&[[0, 0, 0, kind, 0, 0, 0, 0, 1][self.said % HEADER]]);
            self.said += 1;
        }
        self.said > before
    }

    /// A frame's header is whole.
    fn frame(&mut self) {
        let [first, second, third, kind, ..] = self.header;
        self.left = u32::from_be_bytes([0, first, second, third]);
        match kind {
            // What h2 bounds.
            DATA | CONTINUATION => {}
            HEADERS => self.earn(REQUEST),
            RST_STREAM => self.spend(RESET),
            SETTINGS => self.spend(SETTING),
            _ => self.spend(FRAME),
        }
    }

    fn earn(&mut self, credit: u64) {
        self.credit = (self.credit + credit).min(CREDIT);
    }

    fn spend(&mut self, credit: u64) {
        if self.credit < credit {
            // The clock is asked only now: most connections never get here.
            let now = Instant::now();
            let passed = u64::try_from(now.saturating_duration_since(self.paid).as_millis()).unwrap_or(u64::MAX);
            self.earn(passed.min(CREDIT) * PER_MILLISECOND);
            self.paid = now;
        }
        match self.credit.checked_sub(credit) {
            Some(left) => self.credit = left,
            None => self.spent = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PRIORITY: u8 = 2;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.extend(vec![0; usize::from(length)]);
        frame
    }

    /// A connection past its preface.
    fn begun() -> Frames {
        let mut frames = Frames::new();
        assert_eq!(frames.feed(&[b'x'; PREFACE as usize]), PREFACE as usize);
        frames
    }

    /// How many turns of these frames a client gets away with, up to a million.
    fn turns(turn: &[Vec<u8>], bytes_out: usize) -> usize {
        let (mut frames, turn) = (begun(), turn.concat());
        let more = |_: &usize| {
            frames.wrote(bytes_out);
            frames.feed(&turn) == turn.len() && !frames.over()
        };
        (0..1_000_000).take_while(more).count()
    }

    #[tokio::test(start_paused = true)]
    async fn floods_end() {
        for (name, turn, most) in [
            ("PING", vec![frame(PING, 8)], 3333),
            ("SETTINGS", vec![frame(SETTINGS, 6)], 500),
            ("PRIORITY", vec![frame(PRIORITY, 5)], 3333),
            ("WINDOW_UPDATE", vec![frame(WINDOW_UPDATE, 4)], 3333),
            ("unknown", vec![frame(0xfe, 200)], 3333),
            ("rapid reset", vec![frame(HEADERS, 30), frame(RST_STREAM, 4)], 666),
        ] {
            assert_eq!(turns(&turn, 0), most, "{name}");
        }
        // The acknowledgements that a flood is answered with do not pay for it.
        assert!(turns(&[frame(PING, 8)], 17) < 10_000);
        assert!(turns(&[frame(SETTINGS, 0)], 9) < 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_use_what_they_ask_for_go_on() {
        const FOR_EVER: usize = 1_000_000;
        let request = || frame(HEADERS, 30);
        for (name, turn, bytes_out) in [
            ("requests", vec![request()], 100),
            ("uploads", vec![request(), frame(DATA, 255), frame(DATA, 1)], 100),
            ("a download, both windows granted frame by frame", vec![frame(WINDOW_UPDATE, 4); 2], 16 << 10),
            ("events, both windows granted one by one", vec![frame(WINDOW_UPDATE, 4); 2], 100),
            ("a browser's priorities", vec![frame(PRIORITY, 5), request()], 0),
            ("every fifth request taken back", [vec![request(); 5], vec![frame(RST_STREAM, 4)]].concat(), 0),
            ("a large response taken back", vec![request(), frame(RST_STREAM, 4)], 1000),
        ] {
            assert_eq!(turns(&turn, bytes_out), FOR_EVER, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_pays_for_what_is_slow() {
        let (mut frames, ping) = (begun(), frame(PING, 8));
        for _ in 0..20_000 {
            assert_eq!(frames.feed(&ping), ping.len());
            tokio::time::advance(Duration::from_millis(3)).await;
        }
        assert!(!frames.over());
        // A long pause saves up no more than what a connection begins with.
        tokio::time::advance(Duration::from_secs(3600)).await;
        let at_once = (0..1_000_000).take_while(|_| frames.feed(&ping) == ping.len() && !frames.over()).count();
        assert!((3333..=6666).contains(&at_once), "{at_once}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_frame_is_passed_on_whole_and_nothing_after_it_however_the_bytes_arrive() {
        let floods = [vec![b'x'; PREFACE as usize], frame(SETTINGS, 6).repeat(501), frame(DATA, 9)].concat();
        let whole = floods.len() - frame(DATA, 9).len();
        for step in [1, 2, 7, 9, 15, 16, 4096, floods.len()] {
            let mut frames = Frames::new();
            let mut passed = 0;
            for bytes in floods.chunks(step) {
                if frames.over() {
                    break;
                }
                passed += frames.feed(bytes);
            }
            assert_eq!((passed, frames.over()), (whole, true), "step {step}");
        }
    }

    #[tokio::test]
    async fn the_last_word_is_whole_frames_and_ends() {
        let (mut frames, mut said) = (begun(), Vec::new());
        loop {
            let mut space = [0; 1000];
            let mut buf = ReadBuf::new(&mut space);
            if !frames.last_word(&mut buf) {
                break;
            }
            said.extend_from_slice(buf.filled());
        }
        assert_eq!(said.len(), LAST_WORD);
        let kinds: Vec<u8> = said.chunks_exact(HEADER).map(|frame| frame[3]).collect();
        assert_eq!(kinds[..3], [HEADERS, CONTINUATION, CONTINUATION]);
        assert!(said.chunks_exact(HEADER).all(|frame| frame[..3] == [0; 3] && frame[4..] == [0, 0, 0, 0, 1]));
    }
}
