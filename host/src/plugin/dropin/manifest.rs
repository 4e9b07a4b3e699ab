//! `plugin.yaml`: the settings that the author of a plugin delivers with the module.

use crate::event::EventMatch;
use crate::plugin::{FileDigest, Limits, OnError, PluginSettings, Wasi};
use crate::yaml::{self, Mistakes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use step_observer_oci::Reference;

/// Largest number of ConfigMaps that form one module. Together they can hold the largest allowed
/// file.
pub const MAX_PARTS: usize = 64;

/// Settings of a plugin that is dropped in, the file `plugin.yaml` beside its module. All are
/// optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("$id" = "urn:step-observer:plugin:v1"))]
pub struct PluginManifest {
    /// Position in the chain: plugins with a smaller number run first; plugins with equal numbers
    /// run in the order of their names. The plugins of the host's own configuration run before all
    /// others.
    pub order: i32,
    /// Consequence of a failed call for the event. The default is `strip` for plugins that redact
    /// and `pass` for all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Limits of one call.
    pub limits: Limits,
    /// Condition for the events that the plugin gets; other events pass without a call. The default
    /// is all events.
    #[serde(rename = "match")]
    pub select: EventMatch,
    /// Its own configuration.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Access to WASI.
    pub wasi: Wasi,
    /// Source of the module, if it is not beside this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DropInFrom>,
    /// SHA-256 of the module's file, as `sha256sum` prints it. A file with another digest is
    /// refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<FileDigest>,
    /// Name of the plugin, if its module is split over several ConfigMaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Number of this part, such as `1/3`, if the module is split over several ConfigMaps. All
    /// parts have the same `plugin`, and the `sha256` of the whole module; all other settings
    /// belong in part 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<PartNumber>,
}

/// The source of a module that is not beside its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DropInFrom {
    /// A registry of OCI artifacts that the operator lists in `dropIn.registries`:
    /// `registry.example/plugins/filter:1.0@sha256:…`. The digest, which `step-observer plugin push` prints, is needed.
    Oci(#[schemars(with = "String")] PinnedReference),
}

/// Name of an artifact with its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Reference", into = "Reference")]
pub struct PinnedReference(Reference);

impl TryFrom<Reference> for PinnedReference {
    type Error = &'static str;

    fn try_from(reference: Reference) -> Result<Self, &'static str> {
        // Else whoever can move the tag could change the plugin, unseen by those who may change this file.
        match reference.digest() {
            Some(_) => Ok(Self(reference)),
            None => Err(
                "the digest is missing: write registry.example/name@sha256:…, as `step-observer plugin push` prints it",
            ),
        }
    }
}

impl From<PinnedReference> for Reference {
    fn from(pinned: PinnedReference) -> Self {
        pinned.0
    }
}

/// The number of a part, such as `2/3`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PartNumber {
    /// The number, from 1.
    pub number: usize,
    /// The number of all parts.
    pub total: usize,
}

impl TryFrom<String> for PartNumber {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (number, total) = text.split_once('/')?;
            let (number, total) = (number.trim().parse().ok()?, total.trim().parse().ok()?);
            let most = MAX_PARTS;
            (1 <= number && number <= total && total <= most).then_some(Self { number, total })
        };
        parse().ok_or_else(|| format!("not a part: write it like 1/3, of at most {MAX_PARTS}"))
    }
}

impl From<PartNumber> for String {
    fn from(PartNumber { number, total }: PartNumber) -> Self {
        format!("{number}/{total}")
    }
}

impl PluginManifest {
    /// Parses the text of a settings file. An empty text gives the default settings.
    ///
    /// # Errors
    ///
    /// The line and the field of each mistake.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mistakes> {
        yaml::parse(name, "plugin.yaml", text)
    }

    /// Returns the JSON Schema of the file.
    #[must_use]
    pub fn json_schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Returns the artifact that holds the module; `None` if the module is beside these settings.
    #[must_use]
    pub fn artifact(&self) -> Option<&Reference> {
        let DropInFrom::Oci(PinnedReference(reference)) = self.from.as_ref()?;
        Some(reference)
    }

    /// Returns whether these settings contain only the fields that every part needs.
    pub(super) fn is_bare(&self) -> bool {
        let bare = Self {
            plugin: self.plugin.clone(),
            part: self.part,
            sha256: self.sha256.clone(),
            ..Self::default()
        };
        *self == bare
    }
}

impl From<PluginManifest> for PluginSettings {
    fn from(manifest: PluginManifest) -> Self {
        let PluginManifest {
            order: _,
            on_error,
            limits,
            select,
            config,
            wasi,
            from: _,
            sha256,
            plugin: _,
            part: _,
        } = manifest;
        Self {
            config,
            select,
            on_error,
            limits,
            wasi,
            sha256,
        }
    }
}
