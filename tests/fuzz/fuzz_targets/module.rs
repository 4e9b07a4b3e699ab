//! Modules that get further than any bytes would. What begins with `\0asm` is one, and mutated as
//! one; all else describes one that is built.
#![no_main]

use arbitrary::{Arbitrary as _, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::LazyLock;
use step_observer_fuzz::plan::{Plan, SHAPE};
use step_observer_fuzz::{guard, init, whole_way};
use wasm_mutate::WasmMutate;

const MAGIC: &[u8] = b"\0asm";

/// What a plugin imports and exports.
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
        // The host's functions, called with any arguments.
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
        // What plugins are compiled without.
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

// Bytes changed at random are hardly ever a valid module: change it as a module, mostly.
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
    // The mutator, too, panics on modules that are not valid.
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
