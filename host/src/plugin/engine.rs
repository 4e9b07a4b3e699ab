//! wasmtime, narrowed to what plugins need: one engine, limits that always hold, a clock that ticks
//! for deadlines.

use super::aside::Compiler;
use super::bindings;
use super::budget::{MemoryBudget, Share};
use super::draft::Draft;
use super::host::{Host, Limiter, MAX_TABLE};
use super::scrub::Scrubber;
use super::wasi;
use crate::bounded::Bounded;
use crate::locked::Locked;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

/// Resolution of deadlines.
const TICK: Duration = Duration::from_millis(10);
/// Stack of a plugin in bytes.
const MAX_STACK: usize = 512 * 1024;
/// Instances that can exist at a time: one for each thread that runs plugins, and a few.
const INSTANCES: u32 = 32;
/// Core instances, memories and tables of one component.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 8;
/// Largest memory that a limit may allow.
const MAX_MEMORY: usize = 1024 * 1024 * 1024;
/// What plugins have together unless somebody says otherwise: tools that run one plugin, and tests.
const UNSHARED: u64 = 4 * MAX_MEMORY as u64;
/// Log lines of one call.
const MAX_LINES: u32 = 32;

/// What one call of a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Time in milliseconds, functions of the host included. Checked every 10 ms.
    pub time_ms: Bounded<10, 60_000>,
    /// Memory in bytes.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// All that it changes, in bytes.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Time to be configured, once per load, in milliseconds.
    pub configure_ms: Bounded<10, 60_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_ms: Bounded::new(500),
            memory_bytes: Bounded::new(64 * 1024 * 1024),
            output_bytes: Bounded::new(4 * 1024 * 1024),
            configure_ms: Bounded::new(10_000),
        }
    }
}

/// The most that the settings of a plugin that is dropped in may ask for: one that asks for more is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitCeiling {
    /// Most for `limits.timeMs`: an event waits at most so long for one plugin.
    pub time_ms: Bounded<10, 60_000>,
    /// Most for `limits.memoryBytes`.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// Most for `limits.outputBytes`.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Most for `limits.configureMs`: so long one plugin keeps the others from being loaded.
    pub configure_ms: Bounded<10, 60_000>,
}

impl Default for LimitCeiling {
    fn default() -> Self {
        Self {
            time_ms: Bounded::new(2000),
            memory_bytes: Bounded::new(64 * 1024 * 1024),
            output_bytes: Bounded::new(4 * 1024 * 1024),
            configure_ms: Bounded::new(60_000),
        }
    }
}

impl LimitCeiling {
    /// Whether all limits are below it.
    ///
    /// # Errors
    ///
    /// The first that is not: its name, what it is, and the most that it may be.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), (&'static str, u64, u64)> {
        for (name, asked, most) in [
            ("timeMs", limits.time_ms.get(), self.time_ms.get()),
            (
                "memoryBytes",
                limits.memory_bytes.get(),
                self.memory_bytes.get(),
            ),
            (
                "outputBytes",
                limits.output_bytes.get(),
                self.output_bytes.get(),
            ),
            (
                "configureMs",
                limits.configure_ms.get(),
                self.configure_ms.get(),
            ),
        ] {
            if asked > most {
                return Err((name, asked, most));
            }
        }
        Ok(())
    }
}

impl Limits {
    /// All that a call may have: its memory, and what it hands over.
    pub(super) fn all_bytes(&self) -> usize {
        let all = self
            .memory_bytes
            .get()
            .saturating_add(self.output_bytes.get());
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Ticks until the deadline; the first may come at once, so one more.
    pub(super) fn ticks(&self) -> u64 {
        self.time_ms
            .get()
            .div_ceil(TICK.as_millis() as u64)
            .saturating_add(1)
    }
}

/// Compiles and instantiates plugins. Cheap to clone.
#[derive(Clone)]
pub struct PluginEngine {
    /// Runs plugins: instances from a pool, a fresh one for every event.
    pub(super) run: Engine,
    /// Configures them: wizer's instrumented modules do not fit the pool.
    pub(super) setup: Engine,
    linker: Arc<Linker<Host>>,
    /// Held while a plugin is compiled: one at a time, for its memory's sake.
    pub(super) compiling: Arc<Locked<()>>,
    pub(super) compiler: Compiler,
    pub(super) budget: MemoryBudget,
    /// Resident bytes that a child which compiles may have.
    pub(super) child_memory: Option<u64>,
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
        let setup = Engine::new(&config(None))?;
        let mut linker = Linker::new(&run);
        bindings::Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
        for engine in [&run, &setup] {
            tick(engine)?;
        }
        Ok(Self {
            run,
            setup,
            linker: Arc::new(linker),
            compiling: Arc::default(),
            compiler: Compiler::Here,
            budget: MemoryBudget::new(UNSHARED),
            child_memory: None,
        })
    }

    /// The same, where a child process that compiles may have so much memory.
    #[must_use]
    pub fn compiling_within(mut self, bytes: Option<u64>) -> Self {
        self.child_memory = bytes;
        self
    }

    /// The same, with so much memory for all plugins together.
    #[must_use]
    pub fn sharing(mut self, budget: MemoryBudget) -> Self {
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
    pub fn compiling_in(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// A store with all limits set. Without a deadline a call would trap at once.
    pub(super) fn store(
        engine: &Engine,
        limits: &Limits,
        plugin: Arc<str>,
        scrubber: Arc<Scrubber>,
        draft: Option<Draft>,
        share: Option<Share>,
    ) -> Store<Host> {
        let memory = usize::try_from(limits.memory_bytes.get())
            .unwrap_or(MAX_MEMORY)
            .min(MAX_MEMORY);
        let host = Host {
            draft,
            limits: Limiter::new(memory, share),
            plugin,
            scrubber,
            lines_left: MAX_LINES,
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
    pub(super) fn linker(&self, component: &Component) -> wasmtime::Result<Linker<Host>> {
        let mut linker = (*self.linker).clone();
        wasi::deny(&mut linker, component)?;
        Ok(linker)
    }

    pub(super) fn compile(&self, component: &[u8]) -> wasmtime::Result<Component> {
        Component::new(&self.run, component)
    }

    /// A component of the machine code that [`super::setup::prepare`] made of it.
    #[expect(unsafe_code, reason = "machine code cannot be checked, only trusted")]
    pub(super) fn restore(&self, code: &[u8]) -> wasmtime::Result<Component> {
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
    config.max_wasm_stack(MAX_STACK);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component that the encoder makes of one module has two or three core instances and one
    // memory; JavaScript brings three memories, Python 38 instances.
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * MAX_CORE_INSTANCES)
        .total_memories(INSTANCES * MAX_MEMORIES)
        .total_tables(INSTANCES * MAX_TABLES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .table_elements(MAX_TABLE)
        .max_memory_size(MAX_MEMORY)
        // Measured (`cargo xtask bench`): a third less per event than mapping these pages anew, which
        // also waits for whoever maps memory meanwhile. They are cleared for each event; with 2 MiB
        // clearing takes longer than all else. Everything beyond goes back to the system with the instance; this stays,
        // beside the budget: 2 MiB for 16 threads with one memory each.
        .linear_memory_keep_resident(128 * 1024)
        .table_keep_resident(4096);
    pool
}

/// A thread of the operating system: timers of a busy runtime come late.
fn tick(engine: &Engine) -> wasmtime::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("plugin-deadline".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })?;
    Ok(())
}
