//! Batches of events become requests within the bounds, and every recorded event has its span.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod examples;
mod kit;
mod properties;
mod recorded;
