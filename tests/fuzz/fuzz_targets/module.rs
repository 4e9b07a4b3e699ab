//! Loads generated modules, which pass the first checks more often than random bytes do. Input that
//! begins with `\0asm` is a module and is mutated as such; other input describes a module to build.
#![no_main]

use arbitrary::{Arbitrary as _, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::LazyLock;
use step_observer_fuzz::plan::{Plan, SHAPE};
use step_observer_fuzz::{guard, init, whole_way};
use wasm_mutate::WasmMutate;

const MAGIC: &[u8] = b"\0asm";

/// Imports and exports of a plugin.
static SHAPE_BINARY: LazyLock<Vec<u8>> =
    LazyLock::new(|| wat::parse_str(SHAPE).expect("the shape of a plugin"));

fuzz_target!(init: init(), |data: &[u8]| -> Corpus {
    let mut keep = Corpus::Reject;
    guard(|| {
        if let Some(module) = module(data) {
            whole_way(&module);
            keep = Corpus::Keep;
        }
    });
    keep
});

fn module(data: &[u8]) -> Option<Vec<u8>> {
    match data {
        _ if data.starts_with(MAGIC) => Some(data.to_vec()),
        // Random functions with the names and types of the contract.
        [0, rest @ ..] => smith(rest),
        // A plugin that calls the host's functions with any arguments.
        [_, rest @ ..] => {
            let plan = Plan::arbitrary_take_rest(Unstructured::new(rest)).ok()?;
            Some(plan.module().into_bytes())
        }
        [] => None,
    }
}

fn smith(bytes: &[u8]) -> Option<Vec<u8>> {
    let config = wasm_smith::Config {
        module_shape: Some(SHAPE_BINARY.clone()),
        allow_start_export: true,
        // Features that plugins are compiled without.
        threads_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        compact_imports_enabled: false,
        wide_arithmetic_enabled: false,
        max_memory32_bytes: 8 * 1024 * 1024,
        max_table_elements: 10_000,
        ..wasm_smith::Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?;
    Some(module.to_bytes())
}

// Randomly changed bytes are rarely a valid module, so most mutations work on the module's
// structure.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let module = data.get(..size).filter(|module| module.starts_with(MAGIC));
    if seed % 8 > 0
        && let Some(mutated) = module.and_then(|module| mutate(module, seed))
        && let Some(place) = data.get_mut(..mutated.len())
        && mutated.len() <= max_size
    {
        place.copy_from_slice(&mutated);
        return mutated.len();
    }
    fuzzer_mutate(data, size, max_size)
});

fn mutate(module: &[u8], seed: u32) -> Option<Vec<u8>> {
    // The mutator panics on invalid modules as well.
    let mutated = std::panic::catch_unwind(|| {
        let mut mutate = WasmMutate::default();
        mutate
            .seed(seed.into())
            .fuel(1000)
            .preserve_semantics(false);
        let mut all = mutate.run(module).ok()?;
        all.next()?.ok()
    });
    mutated.ok()?
}
