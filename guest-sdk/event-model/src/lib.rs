//! The contract of a step event, in one place for the host and for the SDK's test host.
//!
//! It names the version of the plugin contract ([`contract`]), says which phases there are ([`Phase`]), which fields the data has and what may happen to
//! each ([`field::FIELDS`]), which attributes a plugin may set ([`attribute`]), and how recorded
//! changes are checked, bounded and applied ([`Edits`]). All of it is pure: no I/O, no clock.

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
