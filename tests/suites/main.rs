//! All suites in one program: everything that links wasmtime is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod expected;
mod laws;
mod misbehaving;
mod support;
