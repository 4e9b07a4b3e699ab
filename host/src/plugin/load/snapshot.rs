//! Configures a plugin in an instance whose memory can be read, and makes a component that starts
//! with that memory.

use super::candidate::{Answer, Candidate};
use crate::plugin::sandbox::{Host, add_empty_wasi, masking, transform as wit};
use std::panic::AssertUnwindSafe;
use wasmtime::component::{Component, ComponentNamedList, Instance, Lift, Linker, Lower, WasmList};
use wasmtime::{Result, Store, bail, format_err};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// Configures the plugin once, and keeps its memory in a component.
///
/// # Errors
///
/// The memory cannot be kept. The error is only the label of the failure, because its text could
/// quote the configuration. The plugin may still work: the caller then configures it in a plain
/// instance.
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
    let mut state = InstanceState {
        store: &mut *store,
        instance: &instance,
        error: None,
    };
    let kept = wizer.snapshot_component(&context, &mut state);
    let kept = futures::executor::block_on(kept)?;
    if let Some(error) = state.error {
        return Err(error);
    }
    store.set_hostcall_fuel(fuel);
    let (mask_sets,): (Result<Vec<masking::MaskSet>, String>,) = match candidate.world.masking() {
        Some(masking) => call(store, &instance, masking, "mask-sets", ())?,
        None => (Ok(Vec::new()),),
    };
    Ok(((setup, mask_sets), kept))
}

/// Reads the memory and globals of an instance through functions that the snapshot library adds. The
/// library has an implementation, too, which would compile wasmtime's cache, fibers and parser of
/// values into the program.
struct InstanceState<'a> {
    store: &'a mut Store<Host>,
    instance: &'a Instance,
    /// The first failure. The snapshot is not usable then: the library's functions return no errors.
    error: Option<wasmtime::Error>,
}

impl InstanceState<'_> {
    fn read<R: Lift + 'static>(&mut self, interface: &str, function: &str) -> Option<R> {
        match call(self.store, self.instance, interface, function, ()) {
            Ok((value,)) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }
}

impl ComponentInstanceState for InstanceState<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        if let Some(list) = self.read::<WasmList<u8>>(instance, func) {
            contents(list.as_le_slice(&self.store));
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func).unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read::<f32>(instance, func).map_or(0, f32::to_bits)
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read::<f64>(instance, func).map_or(0, f64::to_bits)
    }
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
