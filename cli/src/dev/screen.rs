//! Standard output: one thread writes it, so that nothing on a request's way waits for a terminal.

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
};

use anstream::AutoStream;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    event::{Event, Stamped},
    people,
};

/// Requests' and guests' lines that wait to be written; those beyond it are counted instead.
const MAX_CHATTER: usize = 8192;

/// Where events go. A clone is the same screen.
#[derive(Clone)]
pub(super) struct Screen {
    sender: Sender<Message>,
    shared: Arc<Shared>,
}

enum Message {
    Event(Box<Stamped>),
    Chatter(Box<Stamped>),
    End,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    lost: AtomicU64,
    closed: Notify,
}

/// The thread that writes.
pub(super) struct Writer(JoinHandle<()>);

impl Screen {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives none.
    pub(super) fn start(json: bool) -> io::Result<(Self, Writer)> {
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let thread = thread::Builder::new().name("screen".into()).spawn(move || {
            if write_all(&receiver, &for_thread, json).is_err() {
                // Whoever read it has gone. A permit is kept if nobody waits yet.
                for_thread.closed.notify_one();
            }
        })?;
        Ok((Self { sender, shared }, Writer(thread)))
    }

    /// Tells of something that must not be missed.
    pub(super) fn tell(&self, event: Event) {
        // It fails when nobody reads any more.
        let _ = self.sender.send(Message::Event(stamp(event)));
    }

    /// Tells of one of many things; where there are too many to write, some are only counted.
    pub(super) fn chatter(&self, event: impl FnOnce() -> Event) {
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_CHATTER {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // It fails when nobody reads any more.
        let _ = self.sender.send(Message::Chatter(stamp(event())));
    }

    /// Returns when nobody reads standard output any more.
    pub(super) async fn closed(&self) {
        self.shared.closed.notified().await;
    }

    /// Writes all that waits, and ends.
    pub(super) fn finish(self, writer: Writer) {
        let _ = self.sender.send(Message::End);
        // A panic there has been told of by itself.
        let _ = writer.0.join();
    }
}

fn stamp(event: Event) -> Box<Stamped> {
    Box::new(Stamped { time: Timestamp::now(), event })
}

fn write_all(receiver: &Receiver<Message>, shared: &Shared, json: bool) -> io::Result<()> {
    let stream = AutoStream::auto(io::stdout());
    let mut out = io::BufWriter::with_capacity(64 * 1024, stream);
    let mut next = receiver.recv().ok();
    while let Some(message) = next {
        let stamped = match message {
            Message::End => break,
            Message::Event(stamped) => stamped,
            Message::Chatter(stamped) => {
                shared.waiting.fetch_sub(1, Ordering::Relaxed);
                stamped
            }
        };
        write_one(&mut out, &stamped, json)?;
        next = match receiver.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                let lost = shared.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let message = format!("{lost} lines about requests and guests were left out: they came too fast");
                    write_one(&mut out, &stamp(Event::Note { message }), json)?;
                }
                out.flush()?;
                receiver.recv().ok()
            }
        };
    }
    out.flush()
}

fn write_one(out: &mut impl io::Write, stamped: &Stamped, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, stamped)?;
        out.write_all(b"\n")
    } else {
        people::write(out, stamped)
    }
}
