//! Configures a plugin once, and makes a component that contains the configured memory. Every event
//! starts from that component.

use super::declared_sets::{DeclaredSets, MAX_SHOWN_NAME_BYTES, SetSummary};
use super::error::LoadError;
use super::module;
use super::refusals::Refusals;
use super::spec::PluginSpec;
use super::world::World;
use crate::plugin::policy::Wasi;
use crate::plugin::sandbox::{
    CallFailure, GuestMasker, GuestPlugin, Host, Limits, OutputMask, PluginEngine, PluginPre,
    RuleSets, add_empty_wasi, masking, transform as wit,
};
use serde::{Deserialize, Serialize};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::warn;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

/// A configured plugin.
pub(crate) struct ConfiguredPlugin {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rule_sets: Arc<RuleSets>,
    /// Descriptions of its rule sets and mask sets.
    pub(crate) declared: Vec<SetSummary>,
    pub(crate) instance_pre: PluginPre<Host>,
    /// JSON text with which each instance must be configured. `None` if the memory after
    /// `configure` was kept.
    pub(crate) configure_per_call: Option<String>,
}

/// The module's settings, in the form in which they are sent to the compiler process: over a pipe,
/// so that they appear neither in its arguments nor in its environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CompileRequest {
    name: String,
    /// JSON text.
    config: String,
    limits: Limits,
    wasi: Wasi,
    snapshot: bool,
}

impl CompileRequest {
    pub(crate) fn new(spec: &PluginSpec) -> Self {
        Self {
            name: spec.name.clone(),
            config: spec.settings.config.to_string(),
            limits: spec.settings.limits.clone(),
            wasi: spec.settings.wasi,
            snapshot: spec.snapshot,
        }
    }
}

/// The answer of `configure`, and whether the configured memory was kept. It is sent together with
/// the machine code.
#[derive(Serialize, Deserialize)]
pub(crate) struct CompileOutput {
    name: String,
    version: String,
    sets: DeclaredSets,
    snapshotted: bool,
}

/// Compiles a module, configures the plugin, and compiles the module again with a snapshot of the
/// configured memory. This step takes most of the time and memory of a load. The resulting machine
/// code works in every engine of this program.
pub(crate) fn compile_and_configure(
    engine: &PluginEngine,
    request: &CompileRequest,
    module: &[u8],
) -> Result<(CompileOutput, Vec<u8>), LoadError> {
    let CompileRequest {
        name,
        config,
        limits,
        wasi,
        snapshot,
    } = request;
    let component = module::component(module, *wasi)?;
    let label: Arc<str> = name.as_str().into();
    let compiled = engine
        .compile(&component)
        .map_err(|error| compile_error(&error))?;
    let plain = pre_instantiate(engine, &compiled)?;
    let limits = configure_limits(limits);
    let config_mask = Arc::new(OutputMask::for_config(config));
    let selects_masks = World::parse(&component)?.selects_masks();
    let configure = |config: &str| {
        let mut store = PluginEngine::store(
            &engine.run,
            &limits,
            label.clone(),
            config_mask.clone(),
            None,
            None,
        );
        let answer = call_configure(&plain, &mut store, config, selects_masks);
        answer.map_err(|error| CallFailure::classify(&error, store.data().limits.refused, &limits))
    };
    let (setup, mask_sets) = match configure(config) {
        Ok(Ok(answer)) => answer,
        Ok(Err(reason)) => {
            let again = |config: &str| configure(config).ok()?.err();
            // The reason may quote the configuration, which may contain secrets.
            let masked = |reason: &str| config_mask.mask_line(reason, MAX_REASON_BYTES);
            let refusals = Refusals::find(config, reason, again, masked);
            return Err(LoadError::Configure(refusals));
        }
        Err(failure) => {
            return Err(LoadError::ConfigureTrapped(match failure {
                CallFailure::Time(ms) => {
                    format!("it ran for more than {ms} ms (limits.configureMs)")
                }
                failure => config_mask.mask_line(&failure.to_string(), 512),
            }));
        }
    };
    let wit::Setup {
        name,
        version,
        rule_sets,
    } = setup;
    let mask_sets = mask_sets
        .map_err(|reason| LoadError::MaskSets(config_mask.mask_line(&reason, MAX_REASON_BYTES)))?;
    let sets = DeclaredSets::check(rule_sets, mask_sets)?;
    let snapshotted = snapshot
        .then(|| take_snapshot(engine, &label, &component, config, &limits))
        .flatten();
    let output = CompileOutput {
        name,
        version,
        sets,
        snapshotted: snapshotted.is_some(),
    };
    let code = snapshotted.as_ref().unwrap_or(&compiled).serialize();
    Ok((output, code.map_err(|error| compile_error(&error))?))
}

/// Makes a callable plugin. It is made from the output of the compiler.
pub(crate) fn instantiable(
    engine: &PluginEngine,
    request: &CompileRequest,
    output: CompileOutput,
    code: &[u8],
) -> Result<ConfiguredPlugin, LoadError> {
    let CompileOutput {
        name,
        version,
        sets,
        snapshotted,
    } = output;
    let declared = sets.summaries();
    let rule_sets = sets.compile()?;
    let component = engine
        .restore(code)
        .map_err(|error| compile_error(&error))?;
    let line = |text: &str| OutputMask::default().mask_line(text, MAX_SHOWN_NAME_BYTES);
    Ok(ConfiguredPlugin {
        name: line(&name),
        version: line(&version),
        rule_sets: Arc::new(rule_sets),
        declared,
        instance_pre: pre_instantiate(engine, &component)?,
        configure_per_call: (!snapshotted).then(|| request.config.clone()),
    })
}

/// Longest reason of a plugin that refuses its configuration, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// The answer of `configure`, and that of `mask-sets`.
type Configured = (wit::Setup, Result<Vec<masking::MaskSet>, String>);

/// Configures the plugin in a new instance, and asks that instance for its mask sets if it has that
/// interface.
fn call_configure(
    plain: &PluginPre<Host>,
    store: &mut Store<Host>,
    config: &str,
    selects_masks: bool,
) -> wasmtime::Result<Result<Configured, String>> {
    let instance = plain.instance_pre().instantiate(&mut *store)?;
    let guest = GuestPlugin::new(&mut *store, &instance)?;
    let transform = guest.step_observer_plugin_transform();
    let setup = match transform.call_configure(&mut *store, config)? {
        Ok(setup) => setup,
        Err(reason) => return Ok(Err(reason)),
    };
    let mask_sets = match selects_masks {
        true => GuestMasker::new(&mut *store, &instance)?
            .step_observer_plugin_masking()
            .call_mask_sets(&mut *store)?,
        false => Ok(Vec::new()),
    };
    Ok(Ok((setup, mask_sets)))
}

fn configure_limits(limits: &Limits) -> Limits {
    Limits {
        time_ms: limits.configure_ms,
        memory_bytes: limits.memory_bytes,
        ..Limits::default()
    }
}

fn pre_instantiate(
    engine: &PluginEngine,
    component: &Component,
) -> Result<PluginPre<Host>, LoadError> {
    engine
        .linker(component)
        .and_then(|linker| linker.instantiate_pre(component))
        .and_then(PluginPre::new)
        .map_err(|error| LoadError::Contract(format!("{error:#}")))
}

fn compile_error(error: &wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}

/// Keeps the memory after `configure` in a component. Returns `None` if that fails; the plugin then
/// still works, but slower.
fn take_snapshot(
    engine: &PluginEngine,
    label: &Arc<str>,
    component: &[u8],
    config: &str,
    limits: &Limits,
) -> Option<Component> {
    let config_mask = Arc::new(OutputMask::for_config(config));
    let mut store = PluginEngine::store(
        &engine.configure,
        limits,
        label.clone(),
        config_mask,
        None,
        None,
    );
    // Disables this bound: the fuel would also count the memory of the snapshot, which
    // `memory_bytes` already bounds.
    store.set_hostcall_fuel(usize::MAX);
    let mut wizer = wasmtime_wizer::Wizer::new();
    // The name has the form `package:name/interface.function@version`, with the version that the
    // guest exports.
    let world = World::parse(component).ok()?;
    let (interface, version) = world.transform()?.split_once('@')?;
    let config = wave_string(config);
    wizer.init_func(format!("{interface}.configure@{version}({config})"));
    wizer.keep_init_func(true);
    let ticks = limits.ticks();
    let snapshot = wizer.run_component(&mut store, component, async |store, component| {
        // The guest's time starts after compilation.
        store.set_epoch_deadline(ticks);
        // `configure` must not call the host, because the effects of such calls would be missing in
        // the instances that start from this memory.
        let mut linker = Linker::new(component.engine());
        add_empty_wasi(&mut linker, component)?;
        linker.define_unknown_imports_as_traps(component)?;
        linker.instantiate(store, component)
    });
    // Catches panics, because the snapshot library has panicked on unexpected input before. Without
    // a snapshot the plugin works, but slower.
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| futures::executor::block_on(snapshot)))
        .unwrap_or_else(|_| Err(wasmtime::format_err!("the snapshot panicked")));
    // Refuses a snapshot with open handles, which are invalid in the instances that start from it.
    let made = made.and_then(|(bytes, _)| match store.data().wasi_handles {
        0 => Ok(bytes),
        _ => Err(wasmtime::format_err!("it opens WASI handles")),
    });
    let compiled = made.and_then(|bytes| engine.compile(&bytes));
    match compiled {
        Ok(component) => Some(component),
        Err(error) => {
            // The error's text is not logged, because it quotes the call and so the configuration.
            let failure =
                CallFailure::classify(&error, store.data().limits.refused, limits).label();
            warn!(
                plugin = &**label,
                failure,
                "the configured memory cannot be kept, the plugin is configured again for every event"
            );
            None
        }
    }
}

/// Encodes a string in the WebAssembly value encoding (WAVE).
fn wave_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
