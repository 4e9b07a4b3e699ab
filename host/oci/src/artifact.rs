//! What is pushed: a manifest and a configuration in the "Wasm OCI Artifact layout" of the CNCF's TAG Runtime.

use crate::manifest::{OCI_MANIFEST, WASM_LAYER};
use crate::{Descriptor, Digest};
use serde::Serialize;
use std::collections::BTreeMap;

/// Media type of the configuration.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Annotation with the name of the file, which other tools write the layer to.
const TITLE: &str = "org.opencontainers.image.title";

/// What is said of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Name of the file.
    pub file_name: String,
    /// Time of the artifact (RFC 3339). The same module with the same time has the same digest.
    pub created: String,
    /// Imports and exports, if it is a component.
    pub component: Option<ComponentTypes>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// Imports and exports of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComponentTypes {
    /// What it exports.
    pub exports: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// The world that it targets.
    pub target: Option<String>,
}

/// The contents to push, beside the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The manifest, in JSON.
    pub manifest: Vec<u8>,
    /// The configuration, in JSON.
    pub config: Vec<u8>,
    /// Digest of the module.
    pub module: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a ComponentTypes>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Artifact {
    /// Media type of the manifest.
    pub const MANIFEST_TYPE: &'static str = OCI_MANIFEST;

    /// Describes a module.
    ///
    /// # Errors
    ///
    /// JSON cannot be written, which does not happen for these types.
    pub fn new(module: &[u8], about: &About) -> Result<Self, serde_json::Error> {
        let digest = Digest::of(module);
        let config = serde_json::to_vec(&Config {
            created: &about.created,
            architecture: "wasm",
            // The layout has no value for a module without WASI; tools expect one of the two.
            os: match about.component {
                Some(_) => "wasip2",
                None => "wasip1",
            },
            layer_digests: [digest],
            component: about.component.as_ref(),
        })?;
        let descriptor = |media_type: &str, bytes: &[u8]| Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len().try_into().unwrap_or(u64::MAX),
            annotations: BTreeMap::new(),
        };
        let title = (TITLE.to_owned(), about.file_name.clone());
        let manifest = serde_json::to_vec(&ImageManifest {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: descriptor(WASM_CONFIG, &config),
            layers: [Descriptor {
                annotations: BTreeMap::from([title]),
                ..descriptor(WASM_LAYER, module)
            }],
            annotations: &about.annotations,
        })?;
        Ok(Self {
            manifest,
            config,
            module: digest,
        })
    }

    /// Returns the digest of the manifest, which names the artifact.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LayerKind, Manifest};
    use serde_json::{Value, json};

    #[test]
    fn the_artifact_has_the_layout_of_the_cncf_and_is_read_back() {
        let about = About {
            file_name: "redact.wasm".to_owned(),
            created: "1970-01-01T00:00:00Z".to_owned(),
            component: Some(ComponentTypes {
                exports: vec!["step-observer:plugin/transform@0.1.1".to_owned()],
                ..ComponentTypes::default()
            }),
            annotations: BTreeMap::new(),
        };
        let artifact = Artifact::new(b"\0asm", &about).unwrap();
        assert_eq!(Artifact::new(b"\0asm", &about).unwrap(), artifact);
        let config: Value = serde_json::from_slice(&artifact.config).unwrap();
        assert_eq!(
            config,
            json!({"created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
                "layerDigests": [Digest::of(b"\0asm")],
                "component": {"exports": ["step-observer:plugin/transform@0.1.1"], "imports": [], "target": null}})
        );
        let manifest: Value = serde_json::from_slice(&artifact.manifest).unwrap();
        assert_eq!(
            manifest,
            json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.wasm.config.v0+json",
                    "digest": Digest::of(&artifact.config), "size": artifact.config.len()},
                "layers": [{"mediaType": "application/wasm", "digest": Digest::of(b"\0asm"), "size": 4,
                    "annotations": {"org.opencontainers.image.title": "redact.wasm"}}]})
        );
        let read = Manifest::parse(&artifact.manifest, 100).unwrap();
        assert_eq!(
            (read.layer.digest, read.kind),
            (artifact.module, LayerKind::Module)
        );
        assert_ne!(
            Artifact::new(b"\0asn", &about).unwrap().digest(),
            artifact.digest()
        );
    }
}
