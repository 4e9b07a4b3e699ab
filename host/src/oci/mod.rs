//! Plugins in registries (OCI distribution 1.1). The crate `step-observer-oci` reads references, manifests, credentials and challenges; this
//! room speaks with the registry.

mod cache;
mod config;
mod error;
mod registry;
mod request;
mod store;

pub use crate::http::LocalAddresses;
pub use config::{Registries, RegistryConfig};
pub use error::OciError;
pub use registry::{CredentialSource, Pulled, Registry, RegistryAccess};
pub use step_observer_oci::{
    About, ComponentTypes, Credential, Digest, Reference, ReferenceError, RegistryScope,
    SIGNATURE_ANNOTATION, find_credential,
};
pub use store::PluginStore;
