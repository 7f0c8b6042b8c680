//! Warm instances of one component: taken for a call, given back after it, retired when they have served enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use penstock_router::Error;

use super::{
    shared::{Place, Shared},
    template::{Entry, Instance, Template},
};

/// Where the calls of one component get their instances.
pub(crate) struct Pool {
    pub(crate) template: Arc<Template>,
    /// Calls that one instance serves at once; above 1 only for 0.3, whose instances can.
    max_concurrency: usize,
    /// Instances that serve several calls at once.
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Last in, first out: the instance that was used last has the warmest caches.
    #[allow(clippy::vec_box, reason = "instances are large and change hands often")]
    idle: Mutex<Vec<Box<Instance>>>,
    /// How many idle instances to keep; 0: none, a fresh instance for every call.
    keep: AtomicUsize,
    /// Calls after which an instance retires.
    max_invocations: u32,
    started: AtomicU64,
    reused: AtomicU64,
    trapped: AtomicU64,
    cpu_nanos: AtomicU64,
}

/// Counters of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolStats {
    /// Warm instances without a call.
    pub(crate) idle: usize,
    /// Instances made so far.
    pub(crate) started: u64,
    /// Calls that found a warm instance.
    pub(crate) reused: u64,
    /// Calls that ended in a trap.
    pub(crate) trapped: u64,
    /// CPU time of all calls.
    pub(crate) cpu: Duration,
}

impl Pool {
    pub(crate) fn new(
        template: Arc<Template>,
        keep: usize,
        max_invocations: Option<u32>,
        max_concurrency: Option<u32>,
    ) -> Arc<Self> {
        let concurrent = matches!(template.entry, Entry::P3(_));
        Arc::new(Self {
            max_concurrency: if concurrent { max_concurrency.unwrap_or(1).max(1) as usize } else { 1 },
            shared: Mutex::default(),
            template,
            idle: Mutex::default(),
            keep: AtomicUsize::new(keep),
            max_invocations: max_invocations.unwrap_or(u32::MAX),
            started: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            trapped: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
        })
    }

    /// Starts instances until the pool is full, so that no call pays for it.
    pub(crate) async fn warm(&self) -> Result<(), Error> {
        if self.shares_instances() {
            while self.shared.lock().len() < self.keep.load(Relaxed) {
                let instance = self.start().await?;
                self.share(instance);
            }
            return Ok(());
        }
        while self.idle.lock().len() < self.keep.load(Relaxed) {
            let instance = self.start().await?;
            self.idle.lock().push(instance);
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

    /// Whether calls are handed to instances that serve several at once.
    pub(crate) fn shares_instances(&self) -> bool {
        self.max_concurrency > 1 && self.keep.load(Relaxed) > 0
    }

    fn share(&self, instance: Box<Instance>) -> Arc<Shared> {
        let shared = Shared::start(instance, self.max_concurrency, self.max_invocations);
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
        let shared = self.share(self.start().await?);
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
        self.start().await
    }

    async fn start(&self) -> Result<Box<Instance>, Error> {
        let instance = self.template.instantiate().await?;
        self.started.fetch_add(1, Relaxed);
        Ok(instance)
    }

    /// Takes an instance back after a call that ended well; it ends here if it has served enough or the pool is full.
    pub(crate) fn give_back(&self, mut instance: Box<Instance>) {
        self.count_cpu(&instance);
        let keep = self.keep.load(Relaxed);
        if keep == 0 || instance.calls >= self.max_invocations {
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

    /// Ends an instance after a call that failed.
    #[allow(clippy::needless_pass_by_value, reason = "taking it is what ends it")]
    pub(crate) fn discard(&self, instance: Box<Instance>) {
        self.count_cpu(&instance);
        self.trapped.fetch_add(1, Relaxed);
    }

    fn count_cpu(&self, instance: &Instance) {
        let used = instance.store.data().meter.used();
        self.cpu_nanos.fetch_add(used.as_nanos() as u64, Relaxed);
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            idle: self.idle.lock().len() + self.shared.lock().iter().filter(|shared| shared.load() == 0).count(),
            started: self.started.load(Relaxed),
            reused: self.reused.load(Relaxed),
            trapped: self.trapped.load(Relaxed),
            cpu: Duration::from_nanos(self.cpu_nanos.load(Relaxed)),
        }
    }
}
