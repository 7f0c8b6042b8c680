//! Admission: run now, wait in line, or be refused at once. One [`Admission`] stands before each backend.
//!
//! - At most `concurrency` permits are out, at most `queue_depth` requests wait, and the next is refused without delay.
//! - Strictly first come, first served: nobody overtakes a waiter, not even when a place is free for a moment.
//! - A wait ends by the request's own deadline or the queue's time-out, whichever comes first.
//! - Dropping a waiting future gives its place in line back; dropping it at the very moment it is handed a permit
//!   passes that permit to the next in line. The proof stands in `gate.rs`.
//!
//! With a concurrency of zero everybody waits until the limit grows, as for a workload that is scaled to zero.

mod gate;
mod stats;
mod sync;
mod word;

use std::{
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

pub use self::stats::{AdmissionStats, Shed, WAIT_BOUNDS, WaitHistogram};
use self::{
    gate::{Entry, Gate, Turn},
    stats::Counters,
};
use crate::{Cause, Error};

/// `Retry-After` counts whole seconds, and less than one would read as "now".
const RETRY_AT_LEAST: Duration = Duration::from_secs(1);
/// A longer hint would outlive what it was derived from.
const RETRY_AT_MOST: Duration = Duration::from_secs(30);

/// How many calls a backend takes at once, and who may wait for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once. Zero: everybody waits until the limit grows. More than 2^30 - 1 counts as that.
    pub concurrency: usize,
    /// Requests that may wait. Zero: none waits, what cannot run is refused.
    pub queue_depth: usize,
    /// The longest wait. A request that waits already keeps the time-out it started with.
    pub queue_timeout: Duration,
}

/// Decides for one backend who runs, who waits and who is refused. Shared by all who call that backend.
pub struct Admission {
    gate: Gate,
    counters: Counters,
    when_waiting: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The right to one call. Dropping it lets the next one in.
#[must_use = "dropping the permit gives the place away"]
pub struct Permit {
    admission: Arc<Admission>,
    waited: Duration,
}

/// A place in line that is given back on drop.
struct Ticket<'a> {
    admission: &'a Admission,
    number: u64,
    since: Instant,
    /// Whether the number still stands for something.
    live: bool,
}

// === impl Limits ===

impl Default for Limits {
    /// 100 at once, 100 waiting, for 5 seconds.
    fn default() -> Self {
        Self { concurrency: 100, queue_depth: 100, queue_timeout: Duration::from_secs(5) }
    }
}

// === impl Admission ===

impl Admission {
    /// An admission with nobody in flight.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        let gate = Gate::new(limits.concurrency, limits.queue_depth, limits.queue_timeout);
        Arc::new(Self { gate, counters: Counters::default(), when_waiting: OnceLock::new() })
    }

    /// Changes the limits at once. Growing admits waiters in their order before this returns; shrinking lets those in
    /// flight and those already waiting finish.
    pub fn set_limits(&self, limits: Limits) {
        self.gate.set_limits(limits.concurrency, limits.queue_depth, limits.queue_timeout);
    }

    /// Has somebody told each time a request begins to wait, on that request's own thread: they may make room at once by
    /// [`set_limits`](Self::set_limits). Told once; a second one is not taken.
    pub fn when_waiting(&self, tell: impl Fn() + Send + Sync + 'static) {
        // Whoever came first is told.
        let _ = self.when_waiting.set(Box::new(tell));
    }

    /// Refuses newcomers and those who wait with [`Cause::Draining`], for good. Permits that are out stay valid.
    pub fn close(&self) {
        self.gate.close();
    }

    /// A permit, if there is a free place that nobody waits for. Takes no lock.
    #[must_use]
    pub fn try_admit(self: &Arc<Self>) -> Option<Permit> {
        self.gate.try_enter().then(|| self.admitted_at_once())
    }

    /// A permit, after a wait if need be. Safe to drop at any time.
    ///
    /// # Errors
    /// [`Cause::QueueFull`] at once if `queue_depth` wait already; [`Cause::QueueTimeout`] or [`Cause::Deadline`],
    /// whichever comes first (the former, which is safe to retry, if both come together); [`Cause::Draining`] if
    /// [`close`](Self::close) was called. All but the deadline carry a hint when to try again.
    pub async fn admit(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Error> {
        match self.try_admit() {
            Some(permit) => Ok(permit),
            // Boxed, so that requests which need not wait do not carry the room for a timer with them.
            None => Box::pin(self.admit_slowly(deadline)).await,
        }
    }

    /// What is in flight, who waits, and what has happened so far. Takes the queue's lock for a moment.
    #[must_use]
    pub fn stats(&self) -> AdmissionStats {
        let counts = self.gate.counts();
        let wait = self.counters.wait();
        let (served, served_for) = self.counters.all_served();
        AdmissionStats {
            limits: Limits { concurrency: counts.limit, queue_depth: counts.depth, queue_timeout: counts.timeout },
            in_flight: counts.in_flight,
            queued: counts.waiting,
            admitted: wait.count,
            shed: self.counters.shed(),
            left: self.counters.left.load(Relaxed),
            wait,
            served,
            served_for,
        }
    }

    /// Resolves at a moment when nothing is in flight and nobody waits; after [`close`](Self::close) it stays so.
    pub async fn idle(&self) {
        let mut watch = Watch { gate: &self.gate, watcher: None };
        poll_fn(|cx| watch.gate.poll_idle(&mut watch.watcher, cx)).await;
    }

    async fn admit_slowly(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Error> {
        let (number, timeout) = match self.gate.enter_or_queue() {
            Entry::In => return Ok(self.admitted_at_once()),
            Entry::Queued { ticket, timeout } => (ticket, timeout),
            Entry::Full { limit, depth } => return Err(self.queue_full(limit, depth)),
            Entry::Closed => return Err(self.draining()),
        };
        let since = Instant::now();
        let mut ticket = Ticket { admission: self, number, since, live: true };
        if let Some(tell) = self.when_waiting.get() {
            tell();
        }
        // A time-out too long for the clock is none.
        let patience = since.checked_add(timeout);
        let turn = match [patience, deadline].into_iter().flatten().min() {
            Some(end) => ticket.turn_by(end).await,
            None => Some(ticket.turn().await),
        };
        match turn {
            Some(Turn::Granted) => Ok(self.admitted_after(since.elapsed())),
            Some(Turn::Closed) => Err(self.draining()),
            None if patience.is_some_and(|end| deadline.is_none_or(|deadline| end <= deadline)) => {
                Err(self.queue_timeout(since.elapsed()))
            }
            None => Err(self.deadline(since.elapsed())),
        }
    }

    fn admitted_at_once(self: &Arc<Self>) -> Permit {
        self.counters.at_once.fetch_add(1, Relaxed);
        Permit { admission: Arc::clone(self), waited: Duration::ZERO }
    }

    fn admitted_after(self: &Arc<Self>, waited: Duration) -> Permit {
        self.counters.admitted_after(waited);
        Permit { admission: Arc::clone(self), waited }
    }

    fn retry_after(&self) -> Duration {
        self.counters.recent_wait().clamp(RETRY_AT_LEAST, RETRY_AT_MOST)
    }

    fn queue_full(&self, limit: usize, depth: usize) -> Error {
        self.counters.queue_full.fetch_add(1, Relaxed);
        let detail =
            format!("{limit} requests run and {depth} wait, which is all this workload takes; try again later");
        Error::new(Cause::QueueFull, detail).retry_after(self.retry_after())
    }

    fn queue_timeout(&self, waited: Duration) -> Error {
        self.counters.queue_timeout.fetch_add(1, Relaxed);
        self.counters.observe(waited);
        let detail =
            format!("no place came free within {waited:.1?}, the longest wait this workload allows; try again later");
        Error::new(Cause::QueueTimeout, detail).retry_after(self.retry_after())
    }

    fn deadline(&self, waited: Duration) -> Error {
        self.counters.deadline.fetch_add(1, Relaxed);
        self.counters.observe(waited);
        Error::new(
            Cause::Deadline,
            format!("the deadline passed after {waited:.1?} in the queue; the call was not started"),
        )
    }

    fn draining(&self) -> Error {
        self.counters.draining.fetch_add(1, Relaxed);
        Error::new(Cause::Draining, "the workload takes no more requests here; send the request again")
            .retry_after(RETRY_AT_LEAST)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admission").field(&self.stats()).finish()
    }
}

// === impl Permit ===

impl Permit {
    /// How long the request waited for this permit: zero if it was admitted at once.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Gives it back: the request has its answer, `total` after it came.
    pub fn served(self, total: Duration) {
        self.admission.counters.served(total);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.gate.leave();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("waited", &self.waited).finish_non_exhaustive()
    }
}

// === impl Ticket ===

impl Ticket<'_> {
    async fn turn(&mut self) -> Turn {
        poll_fn(|cx| self.admission.gate.poll_turn(self.number, cx).map(|turn| self.used(turn))).await
    }

    /// The turn, or `None` when the time is up. A grant that came by then counts, however late it is noticed.
    async fn turn_by(&mut self, end: Instant) -> Option<Turn> {
        let mut timer = pin!(sleep_until(end));
        poll_fn(|cx| {
            if let Poll::Ready(turn) = self.admission.gate.poll_turn(self.number, cx) {
                return Poll::Ready(Some(self.used(turn)));
            }
            timer.as_mut().poll(cx).map(|()| {
                // Between the look at the queue and this line the turn may have come: then it is taken, not wasted.
                let granted = self.admission.gate.abandon(self.number);
                self.live = false;
                granted.then_some(Turn::Granted)
            })
        })
        .await
    }

    fn used(&mut self, turn: Turn) -> Turn {
        self.live = false;
        turn
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.live {
            return;
        }
        let counters = &self.admission.counters;
        counters.left.fetch_add(1, Relaxed);
        counters.observe(self.since.elapsed());
        if self.admission.gate.abandon(self.number) {
            self.admission.gate.leave();
        }
    }
}

/// Somebody who waits for the gate to be idle.
struct Watch<'a> {
    gate: &'a Gate,
    watcher: Option<u64>,
}

// === impl Watch ===

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher {
            self.gate.unwatch(watcher);
        }
    }
}
