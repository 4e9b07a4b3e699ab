//! Bindings generated from the contract that `step_observer_event_model::contract` names. Version
//! 0.2 will get a second module beside this one; one linker will contain both.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::all,
    clippy::restriction,
    clippy::pedantic,
    clippy::nursery,
    reason = "generated code"
)]

/// The interface by which a plugin selects masks.
pub mod optional {
    step_observer_event_model::bindings!(host_masking wasmtime::component::bindgen);
}

step_observer_event_model::bindings!(host wasmtime::component::bindgen {
    imports: { default: trappable },
    with: {
        "step-observer:plugin/events.event": super::event_handle::EventHandle,
    },
});
