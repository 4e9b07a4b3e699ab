//! The host of step-observer: see ARCHITECTURE.md for the map.

pub mod event;
pub mod observe;
pub mod plugin;
pub mod redact;
pub mod step;
