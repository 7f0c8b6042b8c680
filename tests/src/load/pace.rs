//! When the next request is due.
//!
//! A request that is due gets a *ticket*; each ticket is taken by exactly one worker. In closed loop a worker draws a
//! ticket as soon as it is free. In open loop a thread of its own issues tickets on schedule (tokio's timers round to
//! the millisecond, which would show up as latency), whether or not a worker is free to take them: what is not taken
//! in time waits as backlog, and its latency counts from when it was due.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// The right and the duty to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Unique and dense: 0, 1, 2, ...
    pub(super) id: u64,
    /// When it was meant to start.
    pub(super) intended: Instant,
    /// Too late to be sent at all: it counts as unsent.
    pub(super) expired: bool,
}

#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    end: Option<Instant>,
    limit: u64,
    stopped: AtomicBool,
    /// Tickets taken so far.
    taken: AtomicU64,
    open: Option<Schedule>,
}

/// When each request falls due in open loop, from the start.
#[derive(Clone)]
pub(super) enum Arrivals {
    /// So many a second, evenly spaced.
    Steady(f64),
    /// As a function of the request's id says, which never falls; `None` from the first id that is never due.
    Planned(Arc<dyn Fn(u64) -> Option<Duration> + Send + Sync>),
}

#[derive(Debug)]
struct Schedule {
    arrivals: Arrivals,
    grace: Duration,
    /// Tickets issued so far: `taken <= issued`.
    issued: AtomicU64,
    /// One permit for each issued ticket that nobody has begun to take; closed after the last.
    due: Semaphore,
    /// Set before `due` is closed.
    expiry: OnceLock<Instant>,
    pacer: OnceLock<thread::Thread>,
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(
        start: Instant,
        duration: Option<Duration>,
        count: Option<u64>,
        arrivals: Option<Arrivals>,
        grace: Duration,
    ) -> Self {
        let open = arrivals.map(|arrivals| Schedule {
            arrivals,
            grace,
            issued: AtomicU64::new(0),
            due: Semaphore::new(0),
            expiry: OnceLock::new(),
            pacer: OnceLock::new(),
        });
        Self {
            start,
            end: duration.map(|duration| start + duration),
            limit: count.unwrap_or(u64::MAX),
            stopped: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            open,
        }
    }

    /// No new tickets from now on. What is under way, and what was due, is still finished.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(pacer) = self.open.as_ref().and_then(|schedule| schedule.pacer.get()) {
            pacer.unpark();
        }
    }

    /// The next ticket, once it is due; `None` after the last. Cancel-safe: a dropped future has taken no ticket.
    pub(super) async fn next(&self) -> Option<Ticket> {
        let Some(schedule) = &self.open else { return self.next_closed() };
        if let Ok(permit) = schedule.due.acquire().await {
            permit.forget();
        }
        // Closed or not: the backlog is what was issued and not taken. A permit for a ticket that another worker took
        // after the close is void, which `take` sees.
        self.take(schedule)
    }

    fn next_closed(&self) -> Option<Ticket> {
        let now = Instant::now();
        if self.stopped.load(Ordering::Acquire) || self.end.is_some_and(|end| now >= end) {
            return None;
        }
        let id = self.taken.fetch_add(1, Ordering::Relaxed);
        (id < self.limit).then_some(Ticket { id, intended: now, expired: false })
    }

    fn take(&self, schedule: &Schedule) -> Option<Ticket> {
        let issued = schedule.issued.load(Ordering::Acquire);
        let id = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < issued).then(|| taken + 1))
            .ok()?;
        let expired = schedule.expiry.get().is_some_and(|expiry| Instant::now() >= *expiry);
        Some(Ticket { id, intended: self.start + schedule.arrivals.due(id)?, expired })
    }

    /// Issues tickets until the end; the body of the pacer's thread. Returns at once in closed loop.
    pub(super) fn issue(&self) {
        let Some(schedule) = &self.open else { return };
        let _ = schedule.pacer.set(thread::current());
        let mut issued = 0;
        while issued < self.limit && !self.stopped.load(Ordering::Acquire) {
            let Some(due) = schedule.arrivals.due(issued).map(|due| self.start + due) else { break };
            if self.end.is_some_and(|end| due >= end) {
                break;
            }
            let now = Instant::now();
            if due > now {
                // The cap covers a stop that comes before this thread is known.
                thread::park_timeout((due - now).min(Duration::from_millis(50)));
                continue;
            }
            issued += 1;
            schedule.issued.store(issued, Ordering::Release);
            schedule.due.add_permits(1);
        }
        let _ = schedule.expiry.set(Instant::now() + schedule.grace);
        schedule.due.close();
    }
}

// === impl Arrivals ===

impl Arrivals {
    fn due(&self, id: u64) -> Option<Duration> {
        match self {
            #[allow(clippy::cast_precision_loss, reason = "ids stay far below 2^52")]
            Self::Steady(rate) => Some(Duration::from_secs_f64(id as f64 / rate)),
            Self::Planned(due) => due(id),
        }
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady(rate) => write!(f, "{rate}/s"),
            Self::Planned(_) => f.write_str("as planned"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    async fn drain(pace: &Pace) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        while let Some(ticket) = pace.next().await {
            tickets.push(ticket);
        }
        tickets
    }

    #[tokio::test]
    async fn a_schedule_does_not_wait_for_workers() {
        let start = Instant::now();
        let pace = Pace::new(start, Some(Duration::from_millis(100)), None, Some(Arrivals::Steady(1_000.0)), GRACE);
        pace.issue(); // Nobody took a ticket while this ran: the worst stall there is.
        let tickets = drain(&pace).await;
        assert_eq!(tickets.len(), 100);
        for (n, ticket) in (0_u32..).zip(&tickets) {
            assert_eq!(ticket.id, u64::from(n));
            assert_eq!(ticket.intended, start + Duration::from_millis(1) * n);
            assert!(!ticket.expired);
        }
        assert!(start.elapsed() >= Duration::from_millis(99));
    }

    #[tokio::test]
    async fn a_plan_says_when_each_request_is_due_and_which_is_the_last() {
        let start = Instant::now();
        let due = [0, 30, 30, 40].map(Duration::from_millis);
        let planned = Arrivals::Planned(Arc::new(move |id| due.get(usize::try_from(id).ok()?).copied()));
        let pace = Pace::new(start, Some(GRACE), None, Some(planned), GRACE);
        pace.issue();
        assert!(start.elapsed() >= Duration::from_millis(40));
        let intended: Vec<_> = drain(&pace).await.iter().map(|it| it.intended - start).collect();
        assert_eq!(intended, due);
    }

    #[tokio::test]
    async fn the_backlog_is_never_forgotten() {
        let pace = Pace::new(Instant::now(), None, Some(10), Some(Arrivals::Steady(100_000.0)), Duration::ZERO);
        pace.issue();
        let tickets = drain(&pace).await;
        assert_eq!(tickets.iter().map(|ticket| ticket.id).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert!(tickets.iter().all(|ticket| ticket.expired), "after the grace they count as unsent");
    }

    #[tokio::test]
    async fn full_speed_ends_by_count_and_by_stop() {
        let pace = Pace::new(Instant::now(), None, Some(3), None, GRACE);
        assert_eq!(drain(&pace).await.len(), 3);
        let pace = Pace::new(Instant::now(), Some(Duration::from_secs(60)), None, None, GRACE);
        assert!(pace.next().await.is_some());
        pace.stop();
        assert_eq!(pace.next().await, None);
    }

    #[test]
    fn a_stop_ends_the_schedule_early() {
        let pace = std::sync::Arc::new(Pace::new(
            Instant::now(),
            Some(GRACE * 100),
            None,
            Some(Arrivals::Steady(0.01)),
            GRACE,
        ));
        let pacer = thread::spawn({
            let pace = pace.clone();
            move || pace.issue()
        });
        pace.stop();
        let before = Instant::now();
        pacer.join().unwrap();
        assert!(before.elapsed() < Duration::from_secs(5));
    }
}
