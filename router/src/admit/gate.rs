//! Who may run now and who is next: the part of admission that threads race for. No clock, no statistics.
//!
//! # How it works
//!
//! One atomic [`Word`] holds the number in flight, the limit and three flags; a mutex guards the queue. Entering and
//! leaving touch the word alone as long as nobody waits. Every change that involves a waiter happens under the mutex.
//!
//! # The invariant
//!
//! Whenever the mutex is free:
//!
//! 1. `WAITING` is set if and only if `Queue::waiting` holds somebody;
//! 2. `WAITING` implies `in_flight >= limit`: a free place and a waiter never exist together;
//! 3. `in_flight` = places entered and not left + tickets in `Queue::granted`;
//! 4. `WATCHED` is set if and only if `Queue::watchers` holds somebody.
//!
//! # Why it holds
//!
//! *Without the mutex* the word changes in two ways only. `try_enter` adds one by compare-and-swap from a value with
//! `WAITING` clear and `in_flight < limit`; it changes no flag, so 1, 2 and 4 stand, and 3 by what it returns. `leave`
//! takes one away by compare-and-swap from a value with `WAITING` clear, so again 1 and 2 are not concerned; the last
//! one to leave under `WATCHED` takes the mutex instead, so that no watcher misses the moment. Both ways compare the
//! *whole* word: had anybody set `WAITING`, closed, or moved the limit in between, the swap would fail. While `WAITING`
//! is set, then, the word belongs to whoever holds the mutex.
//!
//! *Under the mutex* every change goes through `locked`, which ends with `settle`: it grants places from the front of
//! the queue until the queue is empty or `in_flight >= limit` (2), moves each granted ticket from `waiting` to `granted`
//! together with one `in_flight` (3), and clears `WAITING` when the queue is empty and `WATCHED` when all watchers have
//! been told (1, 4).
//!
//! From this follow:
//!
//! - **Bound.** `in_flight` grows in three places, each a swap from (or, under `WAITING`, a store over) a word with
//!   `in_flight < limit` to the same word plus one. With a steady limit there are never more than `limit` in flight.
//!   After the limit was lowered there is no growth until enough have left.
//! - **No lost wake-up.** `WAITING` is set by a swap from a word without room, so no place was free at that moment. Whoever
//!   leaves later sees the flag and takes the mutex; whoever left earlier made room, and the swap would have failed.
//! - **Strict order.** Nobody enters past a waiter, since `try_enter` refuses while `WAITING` is set, and waiters are
//!   granted by rising ticket, which is the order in which they took the mutex.
//! - **Cancelling.** A ticket given up while waiting leaves the queue at once. One given up after its grant is still in
//!   `granted`; its holder takes it from there and leaves like anybody else, which hands the place to the next waiter.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    sync::{AtomicU64, Mutex, Ordering},
    word::Word,
};

/// How asking for a place ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The caller is in and must `leave`.
    In,
    /// The caller stands in the queue and must poll the ticket or give it up.
    Queued { ticket: u64, timeout: Duration },
    /// As many wait as may.
    Full { limit: usize, depth: usize },
    /// Nobody enters any more.
    Closed,
}

/// What became of a ticket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The caller is in and must `leave`; the ticket is used up.
    Granted,
    /// The gate was closed; the ticket is void.
    Closed,
}

/// A counted entrance with a queue before it.
pub(super) struct Gate {
    word: AtomicU64,
    queue: Mutex<Queue>,
}

struct Queue {
    depth: usize,
    timeout: Duration,
    /// Rises by one for each ticket and watcher; never wraps in practice.
    next: u64,
    /// By ticket, so the first is the oldest. `None` until the ticket is first polled.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Tickets that have a place which their holder has not picked up yet.
    granted: BTreeSet<u64>,
    watchers: BTreeMap<u64, Waker>,
}

/// A moment's counts.
pub(super) struct Counts {
    pub(super) limit: usize,
    pub(super) depth: usize,
    pub(super) timeout: Duration,
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(limit: usize, depth: usize, timeout: Duration) -> Self {
        let queue = Queue {
            depth,
            timeout,
            next: 0,
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
            watchers: BTreeMap::new(),
        };
        Self { word: AtomicU64::new(Word(0).with_limit(limit).0), queue: Mutex::new(queue) }
    }

    /// Enters if there is a free place and nobody waits for it. Takes no lock.
    pub(super) fn try_enter(&self) -> bool {
        let mut seen = self.word();
        while seen.open() {
            match self.swap(seen, seen.entered()) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Enters, or takes the last place in the queue.
    pub(super) fn enter_or_queue(&self) -> Entry {
        self.locked(|queue| {
            let mut seen = self.word();
            loop {
                let (next, queued) = if seen.closed() {
                    return Entry::Closed;
                } else if seen.open() {
                    (seen.entered(), false)
                } else if queue.waiting.len() >= queue.depth {
                    return Entry::Full { limit: seen.limit() as usize, depth: queue.depth };
                } else {
                    // There is no room in `seen`: either it says so, or it says WAITING and the invariant does.
                    (seen.with_waiting(true), true)
                };
                match self.swap(seen, next) {
                    Ok(()) if queued => {
                        let ticket = queue.number();
                        queue.waiting.insert(ticket, None);
                        return Entry::Queued { ticket, timeout: queue.timeout };
                    }
                    Ok(()) => return Entry::In,
                    Err(now) => seen = now,
                }
            }
        })
    }

    /// Whether the ticket's turn has come; `cx` is woken when it does.
    pub(super) fn poll_turn(&self, ticket: u64, cx: &Context<'_>) -> Poll<Turn> {
        let mut queue = self.queue.lock();
        let Some(waker) = queue.waiting.get_mut(&ticket) else {
            let granted = queue.granted.remove(&ticket);
            return Poll::Ready(if granted { Turn::Granted } else { Turn::Closed });
        };
        if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            let old = waker.replace(cx.waker().clone());
            // A waker's drop may run foreign code, which might come back here.
            drop(queue);
            drop(old);
        }
        Poll::Pending
    }

    /// Gives the ticket up. True if it had been granted: the caller is then in and must `leave`.
    pub(super) fn abandon(&self, ticket: u64) -> bool {
        // The waker is handed out of the closure, so that it drops after the lock was released.
        let (granted, _waker) =
            self.locked(|queue| (queue.granted.remove(&ticket), queue.waiting.remove(&ticket).flatten()));
        granted
    }

    /// Gives a place back: to the first waiter, if there is one. Takes no lock while nobody waits.
    pub(super) fn leave(&self) {
        let mut seen = self.word();
        while !seen.leaving_matters() {
            match self.swap(seen, seen.left()) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
        self.locked(|_| self.change(Word::left));
    }

    pub(super) fn set_limits(&self, limit: usize, depth: usize, timeout: Duration) {
        self.locked(|queue| {
            queue.depth = depth;
            queue.timeout = timeout;
            self.change(|word| word.with_limit(limit));
        });
    }

    /// Lets nobody in from now on; those who wait learn it at once.
    pub(super) fn close(&self) {
        let waiting = self.locked(|queue| {
            self.change(Word::with_closed);
            std::mem::take(&mut queue.waiting)
        });
        waiting.into_values().flatten().for_each(Waker::wake);
    }

    /// Ready at a moment when nobody is in flight and nobody waits. `watcher` starts as `None` and belongs to the caller,
    /// who hands it to [`Self::unwatch`] at the end.
    pub(super) fn poll_idle(&self, watcher: &mut Option<u64>, cx: &Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        let Some(id) = *watcher else {
            let mut seen = self.word();
            loop {
                if seen.in_flight() == 0 && queue.waiting.is_empty() {
                    return Poll::Ready(());
                }
                // As with WAITING: the flag is set over a word that is not idle, and whoever makes it idle sees the flag.
                match self.swap(seen, seen.with_watched(true)) {
                    Ok(()) => break,
                    Err(now) => seen = now,
                }
            }
            let id = queue.number();
            queue.watchers.insert(id, cx.waker().clone());
            *watcher = Some(id);
            return Poll::Pending;
        };
        let Some(waker) = queue.watchers.get_mut(&id) else { return Poll::Ready(()) };
        let old = std::mem::replace(waker, cx.waker().clone());
        drop(queue);
        drop(old);
        Poll::Pending
    }

    pub(super) fn unwatch(&self, watcher: u64) {
        let _waker = self.locked(|queue| {
            let waker = queue.watchers.remove(&watcher);
            if queue.watchers.is_empty() {
                self.change(|word| word.with_watched(false));
            }
            waker
        });
    }

    pub(super) fn counts(&self) -> Counts {
        let queue = self.queue.lock();
        let word = self.word();
        Counts {
            limit: word.limit() as usize,
            depth: queue.depth,
            timeout: queue.timeout,
            in_flight: word.in_flight() as usize,
            waiting: queue.waiting.len(),
        }
    }

    /// Changes the queue, restores the invariant, and wakes whom that concerns after the lock was released.
    fn locked<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.queue.lock();
        let result = change(&mut queue);
        let wakes = self.settle(&mut queue);
        drop(queue);
        wakes.wake();
        result
    }

    fn settle(&self, queue: &mut Queue) -> Wakes {
        let mut wakes = Wakes::default();
        while self.word().has_room() {
            let Some((ticket, waker)) = queue.waiting.pop_first() else { break };
            self.change(Word::entered);
            queue.granted.insert(ticket);
            wakes.push(waker);
        }
        if queue.waiting.is_empty() && self.word().waiting() {
            self.change(|word| word.with_waiting(false));
        }
        // A newcomer may enter between the look and the change; the gate was idle all the same.
        let word = self.word();
        if word.watched() && word.in_flight() == 0 && queue.waiting.is_empty() {
            self.change(|word| word.with_watched(false));
            std::mem::take(&mut queue.watchers).into_values().for_each(|waker| wakes.push(Some(waker)));
        }
        wakes
    }

    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    fn swap(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.word.compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire).map(drop).map_err(Word)
    }

    fn change(&self, change: impl Fn(Word) -> Word) {
        let mut seen = self.word();
        while let Err(now) = self.swap(seen, change(seen)) {
            seen = now;
        }
    }
}

// === impl Queue ===

impl Queue {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Whom to wake, in order. One is the common case and costs no allocation.
#[derive(Default)]
struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

// === impl Wakes ===

impl Wakes {
    fn push(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.first.is_none() => self.first = Some(waker),
            Some(waker) => self.more.push(waker),
            None => {}
        }
    }

    fn wake(self) {
        self.first.into_iter().chain(self.more).for_each(Waker::wake);
    }
}
