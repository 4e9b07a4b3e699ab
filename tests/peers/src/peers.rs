//! The other plugin systems, as their documentation uses them: JSON as input and output, an empty
//! output to drop the event.

use extism::{CompiledPlugin, Plugin, PluginBuilder};
use wapc::WapcHost;
use wasmtime_provider::wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};
use wasmtime_provider::{WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre};

/// Name of the function that all guests export.
const FUNCTION: &str = "process";

/// A loaded plugin of a peer.
pub(crate) enum Peer {
    /// One instance processes all events: the default of both peers.
    ExtismReused(Box<Plugin>),
    /// An instance per event, from a module that was compiled once.
    ExtismFresh(Box<CompiledPlugin>),
    WapcReused(Box<WapcHost>),
    WapcFresh(Box<WasmtimeEngineProviderPre>),
}

impl Peer {
    pub(crate) fn extism_reused(module: &[u8]) -> Self {
        let plugin = Plugin::new_from_compiled(&compile(module, false)).unwrap();
        Self::ExtismReused(Box::new(plugin))
    }

    pub(crate) fn extism_fresh(module: &[u8], pooled: bool) -> Self {
        Self::ExtismFresh(Box::new(compile(module, pooled)))
    }

    pub(crate) fn wapc_reused(module: &[u8]) -> Self {
        let provider = WasmtimeEngineProviderBuilder::new()
            .module_bytes(module)
            .build()
            .unwrap();
        let host = WapcHost::new(Box::new(provider), None).unwrap();
        Self::WapcReused(Box::new(host))
    }

    pub(crate) fn wapc_fresh(module: &[u8], pooled: bool) -> Self {
        let mut builder = WasmtimeEngineProviderBuilder::new().module_bytes(module);
        if pooled {
            builder = builder.engine(Engine::new(&pooling()).unwrap());
        }
        Self::WapcFresh(Box::new(builder.build_pre().unwrap()))
    }

    /// Returns the output of the guest for an event; empty if the guest drops it.
    pub(crate) fn call(&mut self, event: &[u8]) -> Vec<u8> {
        match self {
            Self::ExtismReused(plugin) => plugin.call(FUNCTION, event).unwrap(),
            Self::ExtismFresh(compiled) => {
                let mut plugin = Plugin::new_from_compiled(compiled).unwrap();
                plugin.call(FUNCTION, event).unwrap()
            }
            Self::WapcReused(host) => host.call(FUNCTION, event).unwrap(),
            Self::WapcFresh(pre) => {
                let provider = pre.rehydrate(None).unwrap();
                let host = WapcHost::new(Box::new(provider), None).unwrap();
                host.call(FUNCTION, event).unwrap()
            }
        }
    }
}

fn compile(module: &[u8], pooled: bool) -> CompiledPlugin {
    // The cache saves only compilation, which is not measured.
    let mut builder = PluginBuilder::new(module).with_cache_disabled();
    if pooled {
        builder = builder.with_wasmtime_config(pooling());
    }
    builder.compile().unwrap()
}

/// Takes instances from a pool, as step-observer does. The peers do not do this by default.
fn pooling() -> Config {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        PoolingAllocationConfig::new(),
    ));
    config
}
