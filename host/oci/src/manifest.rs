//! Manifests of images and artifacts (OCI image 1.1, manifest.md).

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest manifest, in bytes. That of a plugin has less than one KiB.
pub const MAX_MANIFEST_BYTES: usize = 256 * 1024;

/// Media types of manifests that a registry may answer with.
pub const MANIFEST_TYPES: [&str; 4] = [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX];

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Media type of a WebAssembly module or component.
pub(crate) const WASM_LAYER: &str = "application/wasm";
/// The same, by tools from before the layout of the CNCF.
const OLD_WASM_LAYERS: [&str; 2] = [
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];
const TAR_LAYERS: [&str; 1] = ["application/vnd.oci.image.layer.v1.tar"];
const TAR_GZIP_LAYERS: [&str; 2] = [
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// What a manifest says of another content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// What people and tools say of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a layer holds the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The layer is the file of the plugin.
    Module,
    /// The layer is an archive with the file in it, as of an ordinary image.
    Tar,
    /// The same, compressed.
    TarGzip,
}

/// The one layer of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The layer.
    pub layer: Descriptor,
    /// How it holds the plugin.
    pub kind: LayerKind,
    /// The minisign signature of the plugin's file, which the annotation [`SIGNATURE_ANNOTATION`] holds.
    pub signature: Option<String>,
}

/// Annotation of a manifest with the minisign signature of the plugin's file: the text of `FILE.minisig`.
pub const SIGNATURE_ANNOTATION: &str = "dev.step-observer.minisig";

/// Why a manifest is not that of a plugin.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not a manifest.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is larger than manifests of plugins are.
    #[error("the manifest has more than {MAX_MANIFEST_BYTES} bytes")]
    Size,
    /// It lists manifests for several platforms.
    #[error(
        "it is an index of {0} manifests: name one of them by its digest, because a plugin is the same on all platforms"
    )]
    Index(usize),
    /// It is of another kind.
    #[error("`{0}` is no manifest of an image or artifact")]
    MediaType(String),
    /// A plugin has one layer.
    #[error(
        "it has {0} layers, and a plugin has one: push the module alone (step-observer plugin push)"
    )]
    Layers(usize),
    /// The layer holds something else.
    #[error(
        "its layer is `{0}`, which is neither a WebAssembly module nor a layer of an image as tar or tar+gzip"
    )]
    LayerType(String),
    /// The layer is larger than any plugin.
    #[error("its layer has {size} bytes, and a plugin has at most {most}")]
    LayerSize {
        /// Size of the layer in bytes.
        size: u64,
        /// Largest size of a plugin in bytes.
        most: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<serde::de::IgnoredAny>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads a manifest whose digest was compared. `max_bytes` is the size of the largest plugin.
    ///
    /// # Errors
    ///
    /// It is not the manifest of a plugin, that is of one layer that is a module or an archive.
    pub fn parse(bytes: &[u8], max_bytes: u64) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::Size);
        }
        let document: Document = serde_json::from_slice(bytes)?;
        if let Some(manifests) = document.manifests {
            return Err(ManifestError::Index(manifests.len()));
        }
        // The media type may be missing; what is not a manifest has no layers then.
        let media_type = document.media_type.unwrap_or_default();
        if !["", OCI_MANIFEST, DOCKER_MANIFEST].contains(&&*media_type) {
            return Err(ManifestError::MediaType(shortened(&media_type)));
        }
        let layers = document.layers.unwrap_or_default();
        let count = layers.len();
        let Ok([layer]) = <[Descriptor; 1]>::try_from(layers) else {
            return Err(ManifestError::Layers(count));
        };
        let kind = kind(&layer.media_type)
            .ok_or_else(|| ManifestError::LayerType(shortened(&layer.media_type)))?;
        if layer.size > max_bytes {
            return Err(ManifestError::LayerSize {
                size: layer.size,
                most: max_bytes,
            });
        }
        let annotations = document.annotations.unwrap_or_default();
        let signature = annotations.get(SIGNATURE_ANNOTATION).cloned();
        Ok(Self {
            layer,
            kind,
            signature,
        })
    }
}

fn kind(media_type: &str) -> Option<LayerKind> {
    if media_type == WASM_LAYER || OLD_WASM_LAYERS.contains(&media_type) {
        Some(LayerKind::Module)
    } else if TAR_LAYERS.contains(&media_type) {
        Some(LayerKind::Tar)
    } else if TAR_GZIP_LAYERS.contains(&media_type) {
        Some(LayerKind::TarGzip)
    } else {
        None
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn layer(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(b"x"), "size": 1})
    }

    fn parsed(manifest: &Value) -> Result<Manifest, ManifestError> {
        Manifest::parse(manifest.to_string().as_bytes(), 1000)
    }

    #[test]
    fn artifacts_of_all_tools_and_plain_images_have_one_layer() {
        for (media_type, kind) in [
            ("application/wasm", LayerKind::Module),
            (
                "application/vnd.wasm.content.layer.v1+wasm",
                LayerKind::Module,
            ),
            ("application/vnd.oci.image.layer.v1.tar", LayerKind::Tar),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                LayerKind::TarGzip,
            ),
        ] {
            let mut manifest = json!({"schemaVersion": 2, "layers": [layer(media_type)]});
            assert_eq!(parsed(&manifest).unwrap().kind, kind);
            manifest["mediaType"] = OCI_MANIFEST.into();
            let found = parsed(&manifest).unwrap();
            assert_eq!((found.kind, found.layer.digest), (kind, Digest::of(b"x")));
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let wasm = layer("application/wasm");
        let mut large = wasm.clone();
        large["size"] = 1001.into();
        for (manifest, expected) in [
            (json!({"layers": []}), "it has 0 layers"),
            (json!({}), "it has 0 layers"),
            (json!({"layers": [wasm, wasm]}), "it has 2 layers"),
            (
                json!({"layers": vec![wasm.clone(); 1500]}),
                "it has 1500 layers",
            ),
            (
                json!({"layers": [layer("text/plain")]}),
                "its layer is `text/plain`",
            ),
            (
                json!({"layers": [large]}),
                "its layer has 1001 bytes, and a plugin has at most 1000",
            ),
            (
                json!({"mediaType": OCI_INDEX, "manifests": [wasm]}),
                "it is an index of 1 manifests",
            ),
            // It would be an index to one reader and a manifest to another.
            (
                json!({"mediaType": OCI_MANIFEST, "layers": [wasm], "manifests": []}),
                "it is an index",
            ),
            (
                json!({"mediaType": "text/html", "layers": [wasm]}),
                "`text/html` is no manifest",
            ),
            (
                json!({"layers": [{"mediaType": "application/wasm", "digest": "md5:1", "size": 1}]}),
                "the manifest cannot be read: digests of `md5`",
            ),
            (
                json!({"layers": [{"mediaType": "application/wasm", "digest": Digest::of(b""), "size": -1}]}),
                "the manifest cannot be read",
            ),
            (json!("text"), "the manifest cannot be read"),
            (
                json!({"x": "x".repeat(MAX_MANIFEST_BYTES)}),
                "the manifest has more than 262144 bytes",
            ),
        ] {
            let error = parsed(&manifest).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error} for {expected}");
        }
    }
}
