//! ConfigMaps reduced to the members that the observer reads.

use super::lenient::null_is_default;
use super::metadata::Metadata;
use super::watch_event::Object;
use k8s_openapi::ByteString;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The members of a ConfigMap that the observer reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SlimConfigMap {
    #[serde(deserialize_with = "null_is_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "null_is_default")]
    data: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    binary_data: BTreeMap<String, ByteString>,
}

impl SlimConfigMap {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns the value of a key in `data`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).map(String::as_str)
    }

    /// Returns the files of the ConfigMap: `data` and `binaryData`.
    pub(super) fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        let texts = self.data.into_iter();
        let binaries = self.binary_data.into_iter();
        texts
            .map(|(name, text)| (name, text.into_bytes()))
            .chain(binaries.map(|(name, bytes)| (name, bytes.0)))
            .collect()
    }
}

impl Object for SlimConfigMap {
    const KIND: &'static str = "configmaps";

    fn path(namespace: Option<&str>) -> String {
        <k8s_openapi::api::core::v1::ConfigMap as kube::Resource>::url_path(&(), namespace)
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}
