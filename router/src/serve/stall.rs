//! HTTP/2 streams whose client takes nothing: they end, so that what their requests hold is given back.
//!
//! A body learns nothing of this by itself, since hyper asks it for more only when the client's flow-control window has
//! room. So the body notes when it last gave something, and the task of the stream, which is ours to spawn, watches that.
//! (A connection that takes nothing at all, of either version, is the keeper's business.)

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::expiry::Expiry;

/// Since when a stream waits for its client, and for how long it may.
pub(crate) struct Stall {
    started: Instant,
    /// Milliseconds from `started` to the end of patience; `u64::MAX`: it does not wait, or may wait for ever.
    until: AtomicU64,
}

/// Spawns the streams of one connection. hyper calls the service and then spawns its stream, in one go: what the service
/// left in `next` belongs to the stream that is spawned.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    next: Arc<Mutex<Option<Arc<Stall>>>>,
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: F,
        stall: Arc<Stall>,
        expiry: Expiry,
    }
}

// === impl Stall ===

impl Stall {
    /// The client has everything there is: whatever comes next, the backend owes it.
    pub(crate) fn clear(&self) {
        self.until.store(u64::MAX, Relaxed);
    }

    /// The client has something to take.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let until = timeout.map_or(u64::MAX, |timeout| {
            u64::try_from((self.started.elapsed() + timeout).as_millis()).unwrap_or(u64::MAX)
        });
        self.until.store(until, Relaxed);
    }

    fn until(&self) -> Option<Instant> {
        match self.until.load(Relaxed) {
            u64::MAX => None,
            until => self.started.checked_add(Duration::from_millis(until)),
        }
    }
}

// === impl Streams ===

impl Streams {
    /// The stall of the stream that is spawned next.
    pub(crate) fn next(&self) -> Arc<Stall> {
        let stall = Arc::new(Stall { started: Instant::now(), until: AtomicU64::new(u64::MAX) });
        *self.next.lock() = Some(Arc::clone(&stall));
        stall
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        match self.next.lock().take() {
            Some(stall) => drop(tokio::spawn(Watched { stream, stall, expiry: Expiry::at(None) })),
            None => drop(tokio::spawn(stream)),
        }
    }
}

// === impl Watched ===

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match this.stall.until() {
            None => Poll::Pending,
            Some(until) => {
                this.expiry.move_to(until);
                // Its end drops the stream, and that resets it.
                this.expiry.poll_expired(cx)
            }
        }
    }
}
