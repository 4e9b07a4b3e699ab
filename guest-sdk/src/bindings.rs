//! Generated from the contract that `step_observer_event_model::contract` names.
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

step_observer_event_model::bindings!(plugin wit_bindgen::generate {
    pub_export_macro: true,
    export_macro_name: "export_redactor",
    default_bindings_module: "step_observer_guest::bindings",
});
