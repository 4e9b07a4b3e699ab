//! Plugins as OCI artifacts, as the specifications describe them: references, manifests and layers (OCI image and distribution 1.1, and
//! the "Wasm OCI Artifact layout" of the CNCF's TAG Runtime), credentials (Docker's `config.json`, as Kubernetes reads it) and challenges
//! of registries (RFC 9110, and Docker's token authentication). Decides only: it contacts no registry and reads no file.

mod artifact;
mod challenge;
mod credentials;
mod digest;
mod layer;
mod manifest;
mod reference;
mod scope;

pub use artifact::{About, Artifact, ComponentTypes};
pub use challenge::{Access, Challenge, ChallengeError, TokenRequest, token};
pub use credentials::{Credential, CredentialsError, find_credential};
pub use digest::{Digest, DigestError};
pub use layer::LayerError;
pub use manifest::{
    Descriptor, LayerKind, MANIFEST_TYPES, MAX_MANIFEST_BYTES, Manifest, ManifestError,
    SIGNATURE_ANNOTATION,
};
pub use reference::{Reference, ReferenceError};
pub use scope::{RegistryScope, ScopeError};
