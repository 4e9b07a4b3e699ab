//! Plugins in registries (OCI distribution 1.1). The crate `step-observer-oci` reads references, manifests, credentials and challenges; this
//! room speaks with the registry.

mod error;
mod registry;
mod request;

pub use error::OciError;
pub use registry::{Pulled, Registry, RegistryAccess};
pub use step_observer_oci::{About, ComponentTypes, Digest, Reference, ReferenceError};
