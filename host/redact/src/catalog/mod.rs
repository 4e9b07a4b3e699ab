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
mod infrastructure;
mod messaging;
mod observability;
mod payments;
mod platforms;
mod registries;
mod secret_stores;
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
    infrastructure::KINDS,
    messaging::KINDS,
    observability::KINDS,
    payments::KINDS,
    platforms::KINDS,
    registries::KINDS,
    secret_stores::KINDS,
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
mod ordinary;
#[cfg(test)]
mod tests;
