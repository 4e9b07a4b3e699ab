//! Loads any bytes as a plugin: compressed files, text, modules, components.
#![no_main]

use libfuzzer_sys::fuzz_target;
use step_observer_fuzz::{guard, init, whole_way};

fuzz_target!(init: init(), |data: &[u8]| {
    guard(|| whole_way(data));
});
