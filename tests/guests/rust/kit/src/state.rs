//! What one instance remembers from call to call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static ID: OnceLock<u64> = OnceLock::new();
static CALLS: AtomicU64 = AtomicU64::new(0);
static NOW: AtomicU64 = AtomicU64::new(0);
static MAX: AtomicU64 = AtomicU64::new(0);

/// The instance as it is now.
pub struct State {
    /// Random, drawn when the instance was first asked: tells one instance from another.
    pub id: String,
    /// Calls to the counting paths so far, this one included.
    pub calls: u64,
    /// Calls in progress now, this one included.
    pub now: u64,
    /// The most calls that were in progress at once.
    pub max: u64,
}

/// A call in progress, until it is dropped.
pub struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        NOW.fetch_sub(1, Relaxed);
    }
}

/// Marks a call as in progress.
pub fn in_call() -> Call {
    let now = NOW.fetch_add(1, Relaxed) + 1;
    MAX.fetch_max(now, Relaxed);
    Call
}

/// Counts a call; `random` names the instance if it has no name yet.
pub fn called(random: impl FnOnce() -> u64) -> State {
    State {
        id: format!("{:016x}", ID.get_or_init(random)),
        calls: CALLS.fetch_add(1, Relaxed) + 1,
        now: NOW.load(Relaxed),
        max: MAX.load(Relaxed),
    }
}
