//! wasmtime, narrowed to what plugins need: one engine, limits that always hold, a clock that ticks
//! for deadlines.

use super::bindings;
use super::draft::Draft;
use super::host::{Host, Limiter, MAX_TABLE_ELEMENTS};
use super::limits::{EPOCH_TICK, Limits};
use super::mask_output::OutputMask;
use super::memory_budget::{CallMemory, MemoryBudget};
use super::wasi;
use crate::locked::Locked;
use crate::plugin::compiler::Compiler;
use std::sync::Arc;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// Stack of a plugin in bytes.
const MAX_STACK_BYTES: usize = 512 * 1024;
/// Instances that can exist at a time: one for each thread that runs plugins, and a few.
const MAX_INSTANCES: u32 = 32;
/// Core instances, memories and tables of one component.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 8;
/// Largest memory that a limit may allow.
const MAX_MEMORY_BYTES: usize = 1024 * 1024 * 1024;
/// What plugins have together unless somebody says otherwise: tools that run one plugin, and tests.
const DEFAULT_BUDGET_BYTES: u64 = 4 * MAX_MEMORY_BYTES as u64;
/// Log lines of one call.
const MAX_LOG_LINES: u32 = 32;

/// Compiles and instantiates plugins. Cheap to clone.
#[derive(Clone)]
pub struct PluginEngine {
    /// Runs plugins: instances from a pool, a fresh one for every event.
    pub(crate) run: Engine,
    /// Configures them: wizer's instrumented modules do not fit the pool.
    pub(crate) configure: Engine,
    linker: Arc<Linker<Host>>,
    /// Held while a plugin is compiled: one at a time, for its memory's sake.
    pub(crate) compiling: Arc<Locked<()>>,
    pub(crate) compiler: Compiler,
    pub(crate) budget: MemoryBudget,
    /// Resident bytes that a child which compiles may have.
    pub(crate) compiler_memory: Option<u64>,
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").finish_non_exhaustive()
    }
}

impl PluginEngine {
    /// Starts an engine and the thread that ticks for it, which ends with it.
    ///
    /// # Errors
    ///
    /// This machine cannot run WebAssembly, or has no address space for the pool.
    pub fn new() -> wasmtime::Result<Self> {
        let run = Engine::new(&config(Some(pool())))?;
        let configure = Engine::new(&config(None))?;
        let mut linker = Linker::new(&run);
        bindings::Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
        for engine in [&run, &configure] {
            start_epoch_thread(engine)?;
        }
        Ok(Self {
            run,
            configure,
            linker: Arc::new(linker),
            compiling: Arc::default(),
            compiler: Compiler::Thread,
            budget: MemoryBudget::new(DEFAULT_BUDGET_BYTES),
            compiler_memory: None,
        })
    }

    /// The same, where a child process that compiles may have so much memory.
    #[must_use]
    pub fn with_compiler_memory(mut self, bytes: Option<u64>) -> Self {
        self.compiler_memory = bytes;
        self
    }

    /// The same, with so much memory for all plugins together.
    #[must_use]
    pub fn with_memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// What all its plugins have together.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// The same, with plugins compiled elsewhere.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// A store with all limits set. Without a deadline a call would trap at once.
    pub(in crate::plugin) fn store(
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
        };
        let mut store = Store::new(engine, host);
        store.limiter(|host| &mut host.limits);
        store.set_epoch_deadline(limits.ticks());
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes.get()).unwrap_or(usize::MAX));
        store
    }

    /// What a component can link to; an empty WASI where it imports one, which only plugins that
    /// may do so get here with.
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

    /// A component of the machine code that [`crate::plugin::load::compile_and_configure`] made of it.
    #[expect(unsafe_code, reason = "machine code cannot be checked, only trusted")]
    pub(crate) fn restore(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: it comes from `Component::serialize` in this program, in this process or over a
        // pipe from a child that runs the same file; it was never on a disk.
        unsafe { Component::deserialize(&self.run, code) }
    }
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    // Small modules gain nothing from more threads, which keep tens of MiB each afterwards.
    config.parallel_compilation(false);
    config.max_wasm_stack(MAX_STACK_BYTES);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component that the encoder makes of one module has two or three core instances and one
    // memory; JavaScript brings three memories, Python 38 instances.
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES * MAX_CORE_INSTANCES)
        .total_memories(MAX_INSTANCES * MAX_MEMORIES)
        .total_tables(MAX_INSTANCES * MAX_TABLES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY_BYTES)
        // Measured (`cargo xtask bench`): a third less per event than mapping these pages anew, which
        // also waits for whoever maps memory meanwhile. They are cleared for each event; with 2 MiB
        // clearing takes longer than all else. Everything beyond goes back to the system with the instance; this stays,
        // beside the budget: 2 MiB for 16 threads with one memory each.
        .linear_memory_keep_resident(128 * 1024)
        .table_keep_resident(4096);
    pool
}

/// A thread of the operating system: timers of a busy runtime come late.
fn start_epoch_thread(engine: &Engine) -> wasmtime::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("plugin-deadline".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(EPOCH_TICK);
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })?;
    Ok(())
}
