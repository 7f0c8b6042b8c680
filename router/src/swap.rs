//! The handle through which a listener's route table is replaced, whole, while requests run.

use std::{collections::BTreeSet, fmt, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{background, serve::Table};

/// Tables larger than this are built and freed in the [background]: the last request of a generation is not the one to pay,
/// nor are its neighbours.
pub const LARGE: usize = 256;

/// One immutable generation of a listener's routes.
///
/// A request holds the generation it started with until its response body has ended, so an old generation drains by its
/// reference count and no request ever sees two of them.
pub struct Generation {
    /// Counts from 1 and grows by one with every swap of its handle.
    pub number: u64,
    /// What requests of this generation are routed by.
    pub table: Table,
    alive: Arc<Alive>,
}

/// Swaps the generation of a listener. Clones share it.
#[derive(Clone)]
pub struct TableHandle(Arc<Shared>);

struct Shared {
    current: ArcSwap<Generation>,
    /// Orders swaps, so that a higher number always replaces a lower one. Readers never take it.
    last: Mutex<u64>,
    alive: Arc<Alive>,
}

/// The numbers of the generations that somebody still holds.
#[derive(Default)]
struct Alive {
    numbers: Mutex<BTreeSet<u64>>,
    freed: Notify,
}

// === impl TableHandle ===

impl TableHandle {
    /// A handle whose first generation (number 1) is `table`.
    #[must_use]
    pub fn new(table: Table) -> Self {
        let alive = Arc::new(Alive::default());
        let first = Generation::new(1, table, Arc::clone(&alive));
        Self(Arc::new(Shared { current: ArcSwap::new(first), last: Mutex::new(1), alive }))
    }

    /// The generation that a request starting now is routed by.
    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        self.0.current.load_full()
    }

    /// Publishes `table` (built beforehand, off the request path) as the next generation and returns its number.
    ///
    /// Every request that starts after this returned is routed by it; those under way keep the generation they have.
    pub fn swap(&self, table: Table) -> u64 {
        let mut last = self.0.last.lock();
        let number = *last + 1;
        let old = self.0.current.swap(Generation::new(number, table, Arc::clone(&self.0.alive)));
        *last = number;
        drop(last);
        drop(old);
        number
    }

    /// The number of the oldest generation that a request still holds, or of the current one if none is older.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.0.alive.oldest()
    }

    /// Resolves when no generation older than `number` is held by anyone any more.
    pub async fn idle_below(&self, number: u64) {
        loop {
            let freed = self.0.alive.freed.notified();
            tokio::pin!(freed);
            // Registered before the look, so that a generation freed between the two is not missed.
            freed.as_mut().enable();
            if self.oldest() >= number {
                return;
            }
            freed.await;
        }
    }
}

impl fmt::Debug for TableHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.0.current.load();
        f.debug_struct("TableHandle").field("generation", &current.number).field("oldest", &self.oldest()).finish()
    }
}

// === impl Generation ===

impl Generation {
    fn new(number: u64, table: Table, alive: Arc<Alive>) -> Arc<Self> {
        alive.numbers.lock().insert(number);
        Arc::new(Self { number, table, alive })
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let table = std::mem::take(&mut self.table);
        if table.len() > LARGE
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn(background::run(move || drop(table))));
        } else {
            drop(table);
        }
        self.alive.numbers.lock().remove(&self.number);
        self.alive.freed.notify_waiters();
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("number", &self.number).field("matches", &self.table.len()).finish()
    }
}

// === impl Alive ===

impl Alive {
    fn oldest(&self) -> u64 {
        self.numbers.lock().first().copied().unwrap_or(0)
    }
}
