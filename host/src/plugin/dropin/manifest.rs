//! `plugin.yaml`: the settings that the author of a plugin delivers with the module.

use crate::event::EventMatch;
use crate::plugin::{FileDigest, Limits, OnError, PluginSettings, Wasi};
use crate::yaml::{self, Mistakes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
