//! All suites in one program: everything that links wasmtime is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod answers;
mod aside;
mod bundled;
mod catalog;
mod cluster;
mod command_line;
mod default_sink;
mod derived;
mod dropin;
mod durable;
mod event;
mod expected;
mod explain;
mod faults;
mod front;
mod hostile;
mod http;
mod http_modes;
mod image;
mod kafka;
mod languages;
mod laws;
mod misbehaving;
mod nats;
mod receivers;
mod refused;
mod replay;
mod secrets;
mod shell;
mod stopping;
mod support;
mod swap;
mod tidy;
mod tools;
mod total;
mod unreadable;
mod versions;
mod wasi;
