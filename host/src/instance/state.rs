//! What one store holds beside the guest's own memory.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{meter::Meter, template::Template};
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

/// Tables hold function references; no real program needs more elements than this.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// Refuses growth beyond a component's memory limit, and remembers that it did, so that the trap which usually follows
/// is reported for what it is.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    /// Bytes over all memories of the instance.
    limit: usize,
    used: usize,
    refused: bool,
}

impl MemoryLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, refused: false }
    }

    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used.saturating_add(desired.saturating_sub(current));
        if total > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_over_all_memories_and_a_refusal_is_remembered() {
        let mut limit = MemoryLimit::new(300);
        assert!(limit.memory_growing(0, 100, None).unwrap());
        assert!(limit.memory_growing(0, 100, None).unwrap());
        assert!(limit.memory_growing(100, 200, None).unwrap());
        assert!(!limit.refused());
        assert!(!limit.memory_growing(200, 201, None).unwrap());
        assert!(limit.refused());
    }
}
