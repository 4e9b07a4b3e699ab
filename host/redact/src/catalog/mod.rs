//! The catalogue: kinds of credentials with the form that their issuers document.

mod ai_models;
mod ai_tools;
mod ci;
mod commerce;
mod example;
mod hosting;
mod messaging;
mod payments;
mod registries;

pub use crate::kind::{Checksum, Kind};
pub use example::example;

/// Tables of kinds, by topic.
const TABLES: &[&[Kind]] = &[
    ai_models::KINDS,
    ai_tools::KINDS,
    ci::KINDS,
    commerce::KINDS,
    hosting::KINDS,
    messaging::KINDS,
    payments::KINDS,
    registries::KINDS,
];

/// Returns all kinds.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
