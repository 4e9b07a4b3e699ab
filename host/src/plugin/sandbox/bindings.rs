//! Generated from `guest-sdk/wit/v0.1`. Version 0.2 will be a second module beside this one, both in
//! one linker.
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

wasmtime::component::bindgen!({
    path: "../guest-sdk/wit/v0.1",
    world: "plugin",
    imports: { default: trappable },
    with: {
        "step-observer:plugin/events.event": super::event_handle::EventHandle,
    },
});
