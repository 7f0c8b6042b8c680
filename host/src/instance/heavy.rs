//! Where guests that compute for long go: threads of low priority, away from the connections, shared fairly.
//!
//! Every call starts on the thread that read its request, which costs no hand-over. A call that has used up a whole
//! slice without pausing is moved here, between two slices. So a guest that spins delays its neighbours by at most one
//! slice, however many of them there are, and the kernel lets I/O threads go first. A component whose calls tend to compute
//! begins them here.
//!
//! Each slice is a turn in a [`FairQueue`] of workloads: a burst of calls to one workload waits in that workload's own line.
//! A runtime of tokio's cannot be asked for that: its workers look at what comes from elsewhere only now and then, after
//! several slices.

use std::{future::Future, io, sync::Arc, thread};

use async_task::{FallibleTask, Runnable};
use parking_lot::{Condvar, Mutex};
use penstock_router::background;
use tokio::runtime::Handle;

use super::{fair::FairQueue, meter::cpu, tendency::Tendency};
use crate::engine::TICK;

/// What a slice is taken to cost until it is over, in nanoseconds: a guest is paused at its second tick.
const SLICE: u64 = 2 * TICK.as_nanos() as u64;

/// The low-priority threads of one host. They end with it.
pub(crate) struct HeavyRuntime {
    work: Arc<Pending>,
}

/// What the threads have to do.
struct Pending {
    state: Mutex<State>,
    /// Something is there, or all is over.
    ready: Condvar,
}

struct State {
    queue: FairQueue<Runnable>,
    over: bool,
}

/// A workload among others.
struct Flow {
    work: Arc<Pending>,
    id: u64,
}

/// How the calls of one component get there.
pub(crate) struct Lane {
    flow: Arc<Flow>,
    pub(super) tendency: Tendency,
}

// === impl HeavyRuntime ===

impl HeavyRuntime {
    /// As many threads as the machine has cores. Timers and sockets of their guests are those of the tokio runtime that this is
    /// called in.
    pub(crate) fn start() -> io::Result<Self> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        let state = State { queue: FairQueue::new(SLICE), over: false };
        let this = Self { work: Arc::new(Pending { state: Mutex::new(state), ready: Condvar::new() }) };
        for _ in 0..thread::available_parallelism()?.get() {
            let (work, handle) = (this.work.clone(), handle.clone());
            thread::Builder::new().name("heavy".to_owned()).spawn(move || work.run(&handle))?;
        }
        Ok(this)
    }

    /// A lane for a component of that workload.
    pub(crate) fn lane(&self, workload: &str) -> Arc<Lane> {
        let id = self.work.state.lock().queue.join(workload);
        Arc::new(Lane { flow: Arc::new(Flow { work: self.work.clone(), id }), tendency: Tendency::default() })
    }
}

impl Drop for HeavyRuntime {
    fn drop(&mut self) {
        let mut state = self.work.state.lock();
        state.over = true;
        let left: Vec<_> = std::iter::from_fn(|| state.queue.pop()).collect();
        drop(state);
        self.work.ready.notify_all();
        // Outside the lock: to drop what is left ends guests and gives back their flows.
        drop(left);
    }
}

// === impl Pending ===

impl Pending {
    /// One thread: slice after slice.
    fn run(&self, handle: &Handle) {
        if let Err(error) = background::lower_priority() {
            tracing::warn!(%error, "heavy guests run at normal priority");
        }
        let _context = handle.enter();
        let mut state = self.state.lock();
        while !state.over {
            let Some((flow, slice)) = state.queue.pop() else {
                self.ready.wait(&mut state);
                continue;
            };
            drop(state);
            let before = cpu();
            slice.run();
            let spent = cpu().saturating_sub(before);
            state = self.state.lock();
            state.queue.charge(flow, spent);
        }
    }
}

// === impl Flow ===

impl Flow {
    fn schedule(&self, slice: Runnable) {
        let mut state = self.work.state.lock();
        if state.over {
            drop(state);
            drop(slice);
            return;
        }
        state.queue.push(self.id, slice);
        drop(state);
        self.work.ready.notify_one();
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // Empty, as whatever waits holds the flow.
        let _none = self.work.state.lock().queue.leave(self.id);
    }
}

// === impl Lane ===

impl Lane {
    /// Runs work there. Dropping the task ends the work; it must not panic.
    pub(super) fn spawn<F>(&self, work: F) -> FallibleTask<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let flow = self.flow.clone();
        let (slice, task) = async_task::spawn(work, move |slice| flow.schedule(slice));
        slice.schedule();
        task.fallible()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::Poll,
        time::{Duration, Instant},
    };

    use super::*;

    /// Computes for a span, a slice at a time.
    async fn compute(span: Duration) {
        let mut left = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        poll_fn(|cx| {
            let slice = SLICE.min(left);
            let before = cpu();
            while cpu() - before < slice {
                std::hint::spin_loop();
            }
            left -= slice;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn a_crowd_of_one_workload_does_not_keep_another_waiting() {
        let heavy = HeavyRuntime::start().unwrap();
        let (busy, quiet) = (heavy.lane("busy"), heavy.lane("quiet"));
        let left = Arc::new(AtomicUsize::new(0));
        let crowd: Vec<_> = (0..500)
            .map(|_| {
                left.fetch_add(1, SeqCst);
                let left = left.clone();
                busy.spawn(async move {
                    compute(Duration::from_millis(6)).await;
                    left.fetch_sub(1, SeqCst);
                })
            })
            .collect();
        for _ in 0..5 {
            quiet.spawn(compute(Duration::from_millis(6))).await.unwrap();
        }
        // In line behind the crowd, it would have had to wait for all of it.
        assert!(left.load(SeqCst) > 250, "{left:?} of 500 are left");
        drop(crowd);
    }

    #[tokio::test]
    async fn timers_work_there_and_who_waits_takes_no_turn() {
        let heavy = HeavyRuntime::start().unwrap();
        let lane = heavy.lane("a");
        let began = Instant::now();
        let sleeper = || lane.spawn(async { tokio::time::sleep(Duration::from_millis(50)).await });
        let sleepers: Vec<_> = (0..100).map(|_| sleeper()).collect();
        for it in sleepers {
            it.await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(2), "all at once, not one after another");
    }

    #[tokio::test]
    async fn work_that_is_dropped_ends_and_the_end_of_all_is_told() {
        struct Guard(Arc<AtomicUsize>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let ended = Arc::new(AtomicUsize::new(0));
        let heavy = HeavyRuntime::start().unwrap();
        let lane = heavy.lane("a");
        let begun = Arc::new(Barrier::new(2));
        let (guard, at) = (Guard(ended.clone()), begun.clone());
        let task = lane.spawn(async move {
            let _guard = guard;
            at.wait();
            std::future::pending::<()>().await;
        });
        begun.wait();
        drop(task);
        while ended.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let guard = Guard(ended.clone());
        let waits = lane.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        drop(heavy);
        let late = lane.spawn(async {});
        assert!(late.await.is_none(), "nobody is left to do it");
        drop(waits);
        // A thread may be in the middle of it. The threads have ended then, and nothing else is kept.
        let gone = async {
            while ended.load(SeqCst) < 2 || Arc::strong_count(&lane.flow.work) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    }
}
