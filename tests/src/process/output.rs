//! What a process wrote, line by line.

use std::{
    collections::VecDeque,
    fmt,
    io::{BufRead, BufReader, Read},
    process::{ChildStderr, ChildStdout},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How much of the output a failure message shows.
const SHOWN: usize = 200;

/// How much of it is kept at all: a server that logs each request under load must not fill the test's memory.
const KEPT: usize = 100_000;

/// Which of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line that a process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub stream: Stream,
    /// Without its end; bytes that are no UTF-8 replaced.
    pub text: String,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// Lines that came before the first kept one.
    before: usize,
}

#[derive(Debug, Default)]
pub(super) struct Output {
    kept: Arc<Mutex<Kept>>,
    readers: Vec<JoinHandle<()>>,
}

impl Output {
    pub(super) fn collect(out: Option<ChildStdout>, err: Option<ChildStderr>) -> Self {
        let mut output = Self::default();
        if let Some(out) = out {
            output.read(Stream::Out, out);
        }
        if let Some(err) = err {
            output.read(Stream::Err, err);
        }
        output
    }

    fn read(&mut self, stream: Stream, from: impl Read + Send + 'static) {
        let kept = self.kept.clone();
        self.readers.push(thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut bytes = Vec::new();
            while matches!(from.read_until(b'\n', &mut bytes), Ok(1..)) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(Line { stream, text });
                bytes.clear();
            }
        }));
    }

    /// The kept lines from number `first` on, and the number after the last.
    pub(super) fn lines(&self, first: usize) -> (Vec<Line>, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.lines.iter().skip(first.saturating_sub(kept.before)).cloned().collect();
        (lines, kept.before + kept.lines.len())
    }

    /// Waits a little for what an ended process left in its pipes. Not for ever: a grandchild may hold them open.
    pub(super) fn settle(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline && self.readers.iter().any(|reader| !reader.is_finished()) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn text(&self) -> String {
        let (lines, total) = self.lines(0);
        if lines.is_empty() {
            return "(it wrote nothing)".into();
        }
        let shown = lines.len().min(SHOWN);
        let before = total - shown;
        let mut text = if before > 0 { format!("({before} lines before these)\n") } else { String::new() };
        for line in &lines[lines.len() - shown..] {
            text.push_str(&format!("{line}\n"));
        }
        text
    }
}

impl Kept {
    fn push(&mut self, line: Line) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
            self.before += 1;
        }
        self.lines.push_back(line);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = if self.stream == Stream::Out { "out" } else { "err" };
        write!(f, "{stream}| {}", self.text)
    }
}
