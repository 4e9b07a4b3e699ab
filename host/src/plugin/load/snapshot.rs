//! Configures a plugin in an instance whose memory can be read, and makes a component that starts
//! with that memory.

use super::candidate::{Answer, Candidate};
use crate::plugin::sandbox::{Host, add_empty_wasi, masking, transform as wit};
use std::panic::AssertUnwindSafe;
use wasmtime::component::{Component, ComponentNamedList, Instance, Lift, Linker, Lower};
use wasmtime::{Result, Store, bail, format_err};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

/// Configures the plugin once, and keeps its memory in a component.
///
/// # Errors
///
/// Why the memory cannot be kept, as the label of a failure: the text of an error could quote the
/// configuration. The plugin may still work; a plain instance decides that.
pub(super) fn configure(candidate: &Candidate<'_>) -> Result<(Answer, Component), &'static str> {
    let mut store = candidate.store(&candidate.engine.configure);
    // Catches panics, because the snapshot library has panicked on unexpected input before.
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| make(candidate, &mut store)))
        .unwrap_or_else(|_| Err(format_err!("the snapshot panicked")));
    let made = made.and_then(|(answer, bytes)| Ok((answer, candidate.engine.compile(&bytes)?)));
    made.map_err(|error| candidate.failure(&error, &store).label())
}

fn make(candidate: &Candidate<'_>, store: &mut Store<Host>) -> Result<(Answer, Vec<u8>)> {
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    let (context, instrumented) = wizer.instrument_component(candidate.component)?;
    let compiled = Component::new(&candidate.engine.configure, &instrumented)?;
    // The plugin's time starts after compilation.
    store.set_epoch_deadline(candidate.limits.ticks());
    // `configure` must not call the host, because the effects of such calls would be missing in the
    // instances that start from this memory.
    let mut linker = Linker::new(compiled.engine());
    add_empty_wasi(&mut linker, &compiled)?;
    linker.define_unknown_imports_as_traps(&compiled)?;
    let instance = linker.instantiate(&mut *store, &compiled)?;
    let transform = candidate.world.transform().unwrap_or_default();
    let (answer,): (Result<wit::Setup, String>,) = call(
        store,
        &instance,
        transform,
        "configure",
        (candidate.config,),
    )?;
    let Ok(setup) = answer else {
        bail!("the plugin refuses its configuration")
    };
    // Open handles are invalid in the instances that start from this memory.
    if store.data().wasi_handles > 0 {
        bail!("the plugin opens WASI handles")
    }
    let fuel = store.hostcall_fuel();
    // The fuel would also count the memory of the snapshot, which `memory_bytes` already bounds.
    store.set_hostcall_fuel(usize::MAX);
    let mut state = WasmtimeWizerComponent {
        store: &mut *store,
        instance,
    };
    let kept = wizer.snapshot_component(&context, &mut state);
    let kept = futures::executor::block_on(kept)?;
    store.set_hostcall_fuel(fuel);
    let (mask_sets,): (Result<Vec<masking::MaskSet>, String>,) = match candidate.world.masking() {
        Some(masking) => call(store, &instance, masking, "mask-sets", ())?,
        None => (Ok(Vec::new()),),
    };
    Ok(((setup, mask_sets), kept))
}

/// Calls a function of an interface that the instance exports.
fn call<P, R>(
    store: &mut Store<Host>,
    instance: &Instance,
    interface: &str,
    function: &str,
    parameters: P,
) -> Result<R>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift + 'static,
{
    let interface = instance.get_export_index(&mut *store, None, interface);
    let function = interface
        .and_then(|interface| instance.get_export_index(&mut *store, Some(&interface), function))
        .ok_or_else(|| format_err!("the plugin does not export {function}"))?;
    let function = instance.get_typed_func::<P, R>(&mut *store, &function)?;
    function.call(store, parameters)
}
