//! The catalogue: kinds of credentials with the form that their issuers document.

mod example;
mod hosting;

pub use crate::kind::{Checksum, Kind};
pub use example::example;

/// Tables of kinds, by topic.
const TABLES: &[&[Kind]] = &[hosting::KINDS];

/// Returns all kinds.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
