//! Several observers of the same runs, of which one is active: the holder of a Lease of Kubernetes.
//! `elector` decides, `keeper` asks the API server.
//!
//! A waiting observer delivers nothing and accepts nothing in its journal. When it becomes active, it
//! reads the whole cluster, and emits again what the other one may not have delivered, with the same ids.

mod config;
mod elector;
mod keeper;
mod progress;

pub use config::StandbyConfig;
pub use elector::{LeaseRecord, LostLease};
pub use keeper::{LeaseError, LeaseStore, LeaseWrite, Standby, StandbyState};
pub use progress::{Progress, delivered_until};
