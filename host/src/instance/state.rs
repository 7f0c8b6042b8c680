//! What one store holds beside the guest's own memory.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    meter::Meter,
    template::Template,
    usage::{Limit, Usage},
};
use crate::{capability::http::Hooks, workload::Sibling};

/// The data of one store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) hooks: Hooks,
    pub(crate) config: Arc<WasiConfigVariables>,
    pub(crate) limits: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
    /// What this instance was made from; its links to siblings among it.
    pub(crate) template: Arc<Template>,
    /// Instances of the siblings that this one has called, in the order of the template's links.
    pub(crate) siblings: Vec<Option<Box<Sibling>>>,
}

/// Handles that a warm instance may keep from call to call. One that keeps more leaks them: it retires before it meets
/// wasmtime's limit for a store and fails a call.
const KEPT_HANDLES: usize = 256;
/// Handles that a call in progress may hold without being suspected.
const CALL_HANDLES: usize = 64;

impl State {
    /// A call begins that has the instance for itself.
    pub(crate) fn begin_call(&mut self) {
        self.limits.begin_call();
        self.hooks.begin_call();
        self.meter.begin_call();
    }

    /// Whether the guest does not give its handles back. `calls` of it are in progress.
    pub(crate) fn leaks(&mut self, calls: usize) -> bool {
        let most = KEPT_HANDLES + calls * CALL_HANDLES;
        self.table.iter_mut().take(most + 1).count() > most
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Refuses growth beyond a component's limits, and remembers that it did, so that the trap which usually follows is reported for what
/// it is. Counts what the memory costs.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    /// Bytes over all memories of the instance.
    limit: usize,
    used: usize,
    /// What was allowed last: taken back if the growth fails after all.
    allowed: usize,
    /// Elements of each table.
    table_limit: usize,
    refused: Option<Limit>,
    usage: Arc<Usage>,
}

impl MemoryLimit {
    pub(crate) fn new(limit: usize, table_limit: usize, usage: Arc<Usage>) -> Self {
        Self { limit, used: 0, allowed: 0, table_limit, refused: None, usage }
    }

    /// What was refused last.
    pub(crate) fn refused(&self) -> Option<Limit> {
        self.refused
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// A call begins: what an earlier one was refused says nothing of it.
    pub(crate) fn begin_call(&mut self) {
        self.refused = None;
    }

    fn refuse(&mut self, limit: Limit) {
        self.refused = Some(limit);
        self.usage.stop(limit);
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.usage.shrink(self.used);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.used.saturating_add(more);
        if total > self.limit {
            self.refuse(Limit::Memory);
            return Ok(false);
        }
        self.used = total;
        self.allowed = more;
        self.usage.grow(more);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        let less = std::mem::take(&mut self.allowed);
        self.used = self.used.saturating_sub(less);
        self.usage.shrink(less);
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_limit;
        if !fits {
            self.refuse(Limit::Tables);
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_over_all_memories_and_a_refusal_is_remembered() {
        let usage = Arc::new(Usage::default());
        let mut limit = MemoryLimit::new(300, 10, usage.clone());
        assert!(limit.memory_growing(0, 100, None).unwrap());
        assert!(limit.memory_growing(0, 100, None).unwrap());
        assert!(limit.memory_growing(100, 200, None).unwrap());
        assert_eq!(limit.refused(), None);
        assert!(!limit.memory_growing(200, 201, None).unwrap());
        assert_eq!(limit.refused(), Some(Limit::Memory));
        assert_eq!((limit.used(), usage.read().memory), (300, 300));
        limit.begin_call();
        assert_eq!(limit.refused(), None);
        limit.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert_eq!((limit.used(), usage.read().memory), (200, 200), "the last growth did not come to be");
        assert!(limit.table_growing(0, 10, None).unwrap() && !limit.table_growing(10, 11, None).unwrap());
        assert_eq!(limit.refused(), Some(Limit::Tables));
        drop(limit);
        assert_eq!(usage.read().memory, 0);
    }
}
