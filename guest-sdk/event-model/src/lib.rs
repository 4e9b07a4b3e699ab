//! The contract of a step event, shared by the host and the SDK's test host.
//!
//! It defines the version of the plugin contract ([`contract`]), the phases ([`Phase`]), the fields
//! of the data and their treatment ([`field::FIELDS`]), the attributes that a plugin may set
//! ([`attribute`]), and how recorded changes are checked, limited and applied ([`Edits`]).
//! Everything is pure: no I/O, no clock.

pub mod attribute;
pub mod contract;
mod edit;
pub mod field;
mod glob;
mod phase;
pub mod pointer;
mod step;

pub use edit::{EditError, Edits, size_in_memory};
pub use glob::{glob, matches_any};
pub use phase::{Phase, UnknownPhase};
pub use step::Step;
