//! wasmtime, reduced to what plugins need: one engine to configure them and one to run them, and
//! limits that always apply.

use super::deadline_clock::DeadlineClock;
use super::draft::Draft;
use super::host::{self, Host, Limiter, MAX_TABLE_ELEMENTS};
use super::limits::Limits;
use super::mask_output::OutputMask;
use super::memory_budget::{CallMemory, MemoryBudget};
use super::shared_loads::SharedLoads;
use super::wasi;
use crate::locked::Locked;
use crate::plugin::compiler::Compiler;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Store,
};

/// Stack of a plugin in bytes.
const MAX_STACK_BYTES: usize = 512 * 1024;
/// Bound of instances at a time: one for each thread that runs plugins, of two pipelines while one
/// replaces the other, and some for loads.
const MAX_INSTANCES: u32 = 40;
/// Bound of the memories that stay mapped for the next instance of the same plugin: enough for eight plugins on
/// two threads. Beyond it, an instance first unmaps the memory of another plugin.
const MAX_WARM_INSTANCES: u32 = 16;
/// Bounds of the core instances, memories and tables of one component.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 8;
/// Largest value of `limits.memoryBytes`.
const MAX_MEMORY_BYTES: usize = 1024 * 1024 * 1024;
/// Default memory budget of all plugins together, for tools that run one plugin and for tests.
const DEFAULT_BUDGET_BYTES: u64 = 4 * MAX_MEMORY_BYTES as u64;
/// Bound of the log lines of one call.
const MAX_LOG_LINES: u32 = 32;

/// Compiles and instantiates plugins. A clone shares the same engine.
#[derive(Clone)]
pub struct PluginEngine {
    /// Runs plugins. Each event gets a fresh instance from a pool.
    pub(crate) run: Engine,
    /// Configures plugins. It uses no pool, because a pool cannot hold modules that wizer has
    /// instrumented.
    pub(crate) configure: Engine,
    linker: Arc<Linker<Host>>,
    /// Ticks while a store exists.
    clock: Arc<DeadlineClock>,
    /// What has been loaded. Locked while a plugin is compiled: only one plugin is compiled at a time,
    /// because a compiler needs much memory.
    pub(crate) loads: Arc<Locked<SharedLoads>>,
    pub(crate) compiler: Compiler,
    pub(crate) budget: MemoryBudget,
    /// Bound of the resident memory of a compiler process in bytes, `None` without a bound.
    pub(crate) compiler_memory: Option<u64>,
    /// Whether a compiler works at a low priority.
    events_first: Arc<AtomicBool>,
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").finish_non_exhaustive()
    }
}

impl PluginEngine {
    /// Starts an engine, and its clock of deadlines.
    ///
    /// # Errors
    ///
    /// This machine cannot run WebAssembly, or has no address space for the pool.
    pub fn new() -> wasmtime::Result<Self> {
        Self::with_functions(host::add_to_linker)
    }

    /// Starts an engine whose plugins can call the functions that `link` adds.
    pub(super) fn with_functions(
        link: impl FnOnce(&mut Linker<Host>) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<Self> {
        let run = Engine::new(&config(Some(pool())))?;
        // The engine for `configure` runs each module only once. So a short compilation matters
        // more than fast code.
        let mut once = config(None);
        once.cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        let configure = Engine::new(&once)?;
        let mut linker = Linker::new(&run);
        link(&mut linker)?;
        let clock = DeadlineClock::start([&run, &configure])?;
        Ok(Self {
            run,
            configure,
            linker: Arc::new(linker),
            clock,
            loads: Arc::default(),
            compiler: Compiler::Thread,
            budget: MemoryBudget::new(DEFAULT_BUDGET_BYTES),
            compiler_memory: None,
            events_first: Arc::default(),
        })
    }

    /// From now on, plugins are compiled at a low priority, because the process handles events. Before that
    /// a low priority would only delay the start, on a busy machine by minutes. This holds for all clones.
    pub fn put_events_first(&self) {
        self.events_first.store(true, Ordering::Relaxed);
    }

    /// Returns whether a compiler works at a low priority.
    pub(crate) fn puts_events_first(&self) -> bool {
        self.events_first.load(Ordering::Relaxed)
    }

    /// Bounds the resident memory of a compiler process, in bytes.
    #[must_use]
    pub fn with_compiler_memory(mut self, bytes: Option<u64>) -> Self {
        self.compiler_memory = bytes;
        self
    }

    /// Replaces the memory budget of all plugins.
    #[must_use]
    pub fn with_memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Returns the memory budget of all plugins.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Replaces the place where plugins are compiled.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Makes a store with all limits set. The deadline must be set, because without it a call would
    /// trap at once. The clock ticks until the store is dropped.
    pub(in crate::plugin) fn store(
        &self,
        engine: &Engine,
        limits: &Limits,
        plugin: Arc<str>,
        output_mask: Arc<OutputMask>,
        draft: Option<Draft>,
        share: Option<CallMemory>,
    ) -> Store<Host> {
        let memory = usize::try_from(limits.memory_bytes.get())
            .unwrap_or(MAX_MEMORY_BYTES)
            .min(MAX_MEMORY_BYTES);
        let host = Host {
            draft,
            limits: Limiter::new(memory, share),
            plugin,
            output_mask,
            lines_left: MAX_LOG_LINES,
            wasi_handles: 0,
            _running: self.clock.begin(),
        };
        let mut store = Store::new(engine, host);
        store.limiter(|host| &mut host.limits);
        store.set_epoch_deadline(limits.ticks());
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes.get()).unwrap_or(usize::MAX));
        store
    }

    /// Returns the functions that a component can import. They include an empty WASI if the
    /// component imports WASI. The check of the module has already refused such a component unless
    /// its plugin has `wasi: denied`.
    pub(in crate::plugin) fn linker(
        &self,
        component: &Component,
    ) -> wasmtime::Result<Linker<Host>> {
        let mut linker = (*self.linker).clone();
        wasi::add_empty_wasi(&mut linker, component)?;
        Ok(linker)
    }

    pub(crate) fn compile(&self, component: &[u8]) -> wasmtime::Result<Component> {
        Component::new(&self.run, component)
    }

    /// Makes a component from machine code that `compile_and_configure` returned.
    #[expect(unsafe_code, reason = "machine code cannot be checked, only trusted")]
    pub(crate) fn restore(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the code comes from `Component::serialize` in this program: either in this
        // process, or in a child process that runs the same executable and sends it over a pipe. It
        // was never on a disk.
        unsafe { Component::deserialize(&self.run, code) }
    }
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    // Omits tables that only backtraces and native debuggers use. They would take a sixth of the
    // machine code.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.max_wasm_stack(MAX_STACK_BYTES);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component that the encoder makes of one module has two or three core instances and one
    // memory. JavaScript needs three memories, Python 38 instances.
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * MAX_CORE_INSTANCES)
        .total_memories(MAX_INSTANCES * MAX_MEMORIES)
        .total_tables(MAX_INSTANCES * MAX_TABLES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY_BYTES)
        // Keeps the first 192 KiB of each memory resident, and clears them for each event. A plugin
        // with the stack of `step_observer_toolchain::STACK_BYTES` uses no more: stack, data, and
        // the first page of its heap. Mapping pages again takes longer than the rest of a call, and
        // waits for other threads that map memory. Clearing 2 MiB would take longer than everything
        // else.
        //
        // Pages beyond the kept pages return to the system with the instance. The kept pages are
        // not part of the budget: those of unused memories take 3 MiB at most.
        //
        // `pagemap_scan` would clear only pages that were written. It is not used, because it
        // overlooks a page that is swapped out or being moved at that moment, and the next event
        // would see the bytes of that page.
        .linear_memory_keep_resident(192 * 1024)
        .max_unused_warm_slots(MAX_WARM_INSTANCES)
        .table_keep_resident(4096);
    pool
}
