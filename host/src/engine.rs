//! The wasmtime engine: its settings, its clock, and where compiled components come from.

pub mod artifact;
pub mod offered;
pub mod size;
mod ticker;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

pub use ticker::{TICK, Ticker};

/// How large the instance pool of one host is.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Component instances alive at once, warm ones included. Address space is reserved for all of them.
    pub max_instances: u32,
    /// The largest memory that any component may ask for, in MiB (wasm32 ends at 4096).
    pub max_memory_mib: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // 1,000 instances reserve 4 TiB of the 128 TiB of address space that a process has, and no memory.
        Self { max_instances: 1000, max_memory_mib: 4096 }
    }
}

/// Core modules that one component may consist of: composed and JavaScript components have up to a dozen.
const CORE_INSTANCES_PER_COMPONENT: u32 = 40;
/// Bytes of a freed memory that stay resident and are zeroed by hand, which is cheaper than giving the pages back and
/// faulting them in again. Small guests live within it.
const KEEP_RESIDENT: usize = 256 * 1024;

/// Elements that a table may have; no real program needs more.
pub const TABLE_ELEMENTS: usize = 100_000;

/// Makes the engine that all components of a host share.
///
/// # Errors
///
/// When the machine cannot reserve the pool's address space, or lacks what the settings need.
pub fn build(options: EngineOptions) -> wasmtime::Result<Engine> {
    let instances = options.max_instances;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size((options.max_memory_mib as usize) << 20)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 * 1024)
        .async_stack_keep_resident(0)
        .max_unused_warm_slots(instances);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .parallel_compilation(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(12));
    Engine::new(&config)
}
