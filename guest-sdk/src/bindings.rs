//! Generated from `wit/v0.1`.
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

wit_bindgen::generate!({
    path: "wit/v0.1",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_transform",
    default_bindings_module: "step_observer_guest::bindings",
});
