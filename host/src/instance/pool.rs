//! Warm instances of one component: taken for a call, given back after it, retired when they have served enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use penstock_router::{Cause, Error};

use super::{
    crash::Crashes,
    shared::{Place, Shared},
    template::{Entry, Instance, Template},
};

/// How a pool keeps its instances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolOptions {
    /// Idle instances to keep; 0: none, a fresh instance for every call.
    pub(crate) keep: usize,
    /// Calls that one instance serves at once, at most; above 1 only for 0.3, whose instances can.
    pub(crate) max_concurrency: usize,
    /// When an instance has served enough.
    pub(crate) retire: Retire,
}

/// When an instance has served enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retire {
    /// Calls.
    pub(crate) invocations: u32,
    pub(crate) age: Option<Duration>,
    /// Bytes of memory that it has after a call.
    pub(crate) memory: usize,
}

/// Where the calls of one component get their instances.
pub(crate) struct Pool {
    pub(crate) template: Arc<Template>,
    max_concurrency: usize,
    retire: Retire,
    /// Instances that serve several calls at once.
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Last in, first out: the instance that was used last has the warmest caches.
    #[allow(clippy::vec_box, reason = "instances are large and change hands often")]
    idle: Mutex<Vec<Box<Instance>>>,
    keep: AtomicUsize,
    alive: Arc<AtomicUsize>,
    crashes: Arc<Crashes>,
    /// Whether a task is starting instances ahead.
    filling: AtomicBool,
    started: AtomicU64,
    cold: AtomicU64,
    reused: AtomicU64,
}

/// Counters of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolStats {
    /// Warm instances without a call.
    pub(crate) idle: usize,
    /// Instances, idle or not.
    pub(crate) alive: usize,
    /// Instances made so far.
    pub(crate) started: u64,
    /// Of these those that a call waited for.
    pub(crate) cold: u64,
    /// Calls that found a warm instance.
    pub(crate) reused: u64,
    /// Calls, and instances with several calls, that ended in a trap.
    pub(crate) trapped: u64,
    /// Calls at once that each of its instances serves now, all together; those that serve one call at a time do not count.
    pub(crate) concurrency: usize,
}

/// One of a pool's instances, counted while it lives.
pub(crate) struct Member(Arc<AtomicUsize>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Retire {
    pub(super) fn is_old(&self, born: Instant) -> bool {
        self.age.is_some_and(|age| born.elapsed() >= age)
    }

    /// Whether an instance has served enough, after a call.
    pub(super) fn is_due(&self, instance: &Instance) -> bool {
        instance.calls >= self.invocations
            || instance.store.data().limits.used() > self.memory
            || self.is_old(instance.born)
    }
}

impl Pool {
    pub(crate) fn new(template: Arc<Template>, options: PoolOptions) -> Arc<Self> {
        let concurrent = matches!(template.entry, Entry::P3(_));
        Arc::new(Self {
            max_concurrency: if concurrent { options.max_concurrency.max(1) } else { 1 },
            retire: options.retire,
            shared: Mutex::default(),
            template,
            idle: Mutex::default(),
            keep: AtomicUsize::new(options.keep),
            alive: Arc::default(),
            crashes: Arc::default(),
            filling: AtomicBool::new(false),
            started: AtomicU64::new(0),
            cold: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        })
    }

    /// Starts instances until the pool is full, so that no call pays for it. Without a pool one is started and ended, to know that
    /// the component starts at all.
    pub(crate) async fn warm(&self) -> Result<(), Error> {
        if self.keep.load(Relaxed) == 0 {
            drop(self.start().await?);
            return Ok(());
        }
        while self.lacks() {
            self.add(self.start().await?);
        }
        Ok(())
    }

    /// Changes how many idle instances are kept; surplus ones end now.
    pub(crate) fn resize(&self, keep: usize) {
        self.keep.store(keep, Relaxed);
        let surplus = {
            let mut idle = self.idle.lock();
            let len = idle.len();
            idle.split_off(keep.min(len))
        };
        drop(surplus);
        // A shared instance ends when its last call has: nobody hands it another.
        self.shared.lock().truncate(keep);
    }

    /// Now and then: ends idle instances that are too old, and starts others in place of those that have ended, so that the next call
    /// finds one. Gives up for a while when they crash.
    pub(crate) fn tend(self: &Arc<Self>) {
        if self.retire.age.is_some() {
            let is_old = |instance: &mut Box<Instance>| self.retire.is_old(instance.born);
            let old: Vec<_> = self.idle.lock().extract_if(.., is_old).collect();
            drop(old);
            self.shared.lock().retain(|shared| !shared.is_retired());
        }
        if !self.lacks() || self.filling.swap(true, Relaxed) {
            return;
        }
        let pool = self.clone();
        tokio::spawn(async move {
            while pool.lacks() && pool.crashes.may_start_ahead() {
                let Ok(instance) = pool.start().await else { break };
                pool.add(instance);
            }
            pool.filling.store(false, Relaxed);
        });
    }

    /// Whether fewer instances live than are to be kept.
    fn lacks(&self) -> bool {
        self.alive.load(Relaxed) < self.keep.load(Relaxed)
    }

    /// Keeps an instance that was started ahead.
    fn add(&self, instance: Box<Instance>) {
        if self.shares_instances() {
            self.share(instance);
        } else {
            self.idle.lock().push(instance);
        }
    }

    /// Whether calls are handed to instances that serve several at once.
    pub(crate) fn shares_instances(&self) -> bool {
        self.max_concurrency > 1 && self.keep.load(Relaxed) > 0
    }

    fn share(&self, instance: Box<Instance>) -> Arc<Shared> {
        let shared = Shared::start(instance, self.max_concurrency, self.retire, self.crashes.clone());
        self.shared.lock().push(shared.clone());
        shared
    }

    /// A place on the instance with the fewest calls, on a new one if all are busy and there may be more; `None` if all
    /// are full.
    pub(crate) async fn place(&self) -> Result<Option<(Arc<Shared>, Place)>, Error> {
        let more = {
            let mut shared = self.shared.lock();
            shared.retain(|shared| !shared.is_retired());
            let least = shared.iter().min_by_key(|shared| shared.load());
            if let Some(least) = least
                && let Some(place) = least.reserve()
            {
                self.reused.fetch_add(1, Relaxed);
                return Ok(Some((least.clone(), place)));
            }
            shared.len() < self.keep.load(Relaxed)
        };
        if !more {
            return Ok(None);
        }
        let shared = self.share(self.start_cold().await?);
        Ok(shared.reserve().map(|place| (shared, place)))
    }

    /// An instance for one call.
    pub(crate) async fn take(&self) -> Result<Box<Instance>, Error> {
        if self.keep.load(Relaxed) > 0 {
            let warm = self.idle.lock().pop();
            if let Some(instance) = warm {
                self.reused.fetch_add(1, Relaxed);
                return Ok(instance);
            }
        }
        self.start_cold().await
    }

    /// Starts an instance that a call waits for.
    async fn start_cold(&self) -> Result<Box<Instance>, Error> {
        self.crashes.may_start().map_err(|(left, detail)| {
            let detail = format!("{detail}; that is so each time, and is tried again after a pause");
            Error::new(Cause::GuestStart, detail).retry_after(left)
        })?;
        let instance = self.start().await?;
        self.cold.fetch_add(1, Relaxed);
        Ok(instance)
    }

    async fn start(&self) -> Result<Box<Instance>, Error> {
        match self.template.instantiate().await {
            Ok(mut instance) => {
                self.crashes.started();
                self.started.fetch_add(1, Relaxed);
                self.alive.fetch_add(1, Relaxed);
                instance.member = Some(Member(self.alive.clone()));
                Ok(instance)
            }
            Err(error) => {
                // A host without room says nothing of the component.
                if error.cause != Cause::HostFull {
                    self.crashes.failed_to_start(&error);
                }
                Err(error)
            }
        }
    }

    /// Takes an instance back after a call that ended well; it ends here if it has served enough or the pool is full.
    pub(crate) fn give_back(&self, mut instance: Box<Instance>) {
        self.crashes.answered();
        let keep = self.keep.load(Relaxed);
        if keep == 0 || self.retire.is_due(&instance) {
            return;
        }
        if instance.store.data_mut().leaks(0) {
            tracing::debug!(component = %self.template.who(), "an instance that keeps its handles retires");
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < keep {
            idle.push(instance);
        }
    }

    /// A call has failed, and its instance with it.
    pub(crate) fn failed(&self, error: &Error) {
        self.crashes.failed(error);
    }

    /// What is wrong with its instances, while it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.crashes.message()
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let (shared_idle, concurrency) = {
            let shared = self.shared.lock();
            let serving = || shared.iter().filter(|shared| !shared.is_retired());
            let idle = serving().filter(|shared| shared.load() == 0).count();
            (idle, serving().map(|shared| shared.limit()).sum())
        };
        PoolStats {
            idle: self.idle.lock().len() + shared_idle,
            alive: self.alive.load(Relaxed),
            started: self.started.load(Relaxed),
            cold: self.cold.load(Relaxed),
            reused: self.reused.load(Relaxed),
            trapped: self.crashes.failures(),
            concurrency,
        }
    }
}
