//! The catalogue: kinds of credentials with the form that their issuers document.

mod ai_models;
mod ai_tools;
mod aws;
mod azure;
mod ci;
mod clouds;
mod commerce;
mod data;
mod example;
mod flags;
mod google;
mod hosting;
mod messaging;
mod observability;
mod payments;
mod registries;
mod services;
mod tokens;
mod webhooks;
mod work;

pub use crate::kind::{Checksum, Kind};
pub use example::example;

/// Tables of kinds, by topic.
const TABLES: &[&[Kind]] = &[
    ai_models::KINDS,
    ai_tools::KINDS,
    aws::KINDS,
    azure::KINDS,
    ci::KINDS,
    clouds::KINDS,
    commerce::KINDS,
    data::KINDS,
    flags::KINDS,
    google::KINDS,
    hosting::KINDS,
    messaging::KINDS,
    observability::KINDS,
    payments::KINDS,
    registries::KINDS,
    services::KINDS,
    tokens::KINDS,
    webhooks::KINDS,
    work::KINDS,
];

/// Returns all kinds.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    TABLES.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
