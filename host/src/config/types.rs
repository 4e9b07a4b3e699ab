//! What can be configured. The doc comments are the reference: they become the JSON Schema.

use crate::admin::AdminConfig;
use crate::bounded::Bounded;
use crate::deliver::RetryConfig;
use crate::event::{EventConfig, EventMatch};
use crate::journal::JournalConfig;
use crate::logs::LogConfig;
use crate::observe::ClusterConfig;
use crate::plugin::{FileDigest, LimitCeiling, Limits, OnError, TrustConfig, Wasi};
use crate::sink::SinkKind;
use crate::trace::TracesConfig;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// Configuration of step-observer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("$id" = "urn:step-observer:config:v1"))]
pub struct Config {
    /// What to watch.
    pub cluster: ClusterConfig,
    /// Runs that ended longer ago than this when the observer starts are history and give no
    /// events, such as `10m`.
    pub look_back: ConfigDuration,
    /// Logs of steps.
    pub log: LogConfig,
    /// How events are named.
    pub event: EventConfig,
    /// Plugins that every event passes, in this order.
    pub plugins: Vec<PluginConfig>,
    /// Plugins that come and go while the observer runs; events pass them after `plugins`.
    pub drop_in: DropInConfig,
    /// Memory that all plugins have together.
    pub plugin_memory: PluginMemoryConfig,
    /// Whose plugins are loaded.
    pub trust: TrustConfig,
    /// Where events go.
    pub sinks: Vec<SinkConfig>,
    /// Where accepted events are kept until every sink has them.
    pub journal: JournalConfig,
    /// What the observer tells about itself.
    pub admin: AdminConfig,
    /// Where traces go. The default is nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesConfig>,
    /// How long a stopping observer may take to deliver what it has, such as `25s`.
    pub shutdown_grace: ConfigDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster: ClusterConfig::default(),
            look_back: ConfigDuration(SignedDuration::from_mins(10)),
            log: LogConfig::default(),
            event: EventConfig::default(),
            plugins: Vec::new(),
            drop_in: DropInConfig::default(),
            plugin_memory: PluginMemoryConfig::default(),
            trust: TrustConfig::default(),
            journal: JournalConfig::default(),
            admin: AdminConfig::default(),
            traces: None,
            sinks: Vec::new(),
            shutdown_grace: ConfigDuration(SignedDuration::from_secs(25)),
        }
    }
}

/// A length of time as text: `90s`, `10m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ConfigDuration(pub SignedDuration);

/// Longest length of time: longer ones overflow a clock.
const MAX_CONFIG_DURATION: SignedDuration = SignedDuration::from_hours(24 * 365 * 1000);

impl TryFrom<String> for ConfigDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed: Result<SignedDuration, _> = text.parse();
        match parsed {
            Ok(span) if span.is_negative() => Err(format!("`{text}` is negative")),
            Ok(span) if span > MAX_CONFIG_DURATION => {
                Err(format!("`{text}` is more than 1000 years"))
            }
            Ok(span) => Ok(Self(span)),
            Err(_) => Err(format!(
                "`{text}` is not a length of time; write it like 90s, 10m or 1h"
            )),
        }
    }
}

impl From<ConfigDuration> for String {
    fn from(span: ConfigDuration) -> Self {
        format!("{:#}", span.0)
    }
}

/// Plugins that are dropped in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DropInConfig {
    /// ConfigMaps with the label `step-observer.dev/plugin: "true"` are plugins.
    pub config_maps: bool,
    /// Namespace of these ConfigMaps. The default is the observer's own where it runs in a cluster;
    /// elsewhere there is none, and no ConfigMap is looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Folders of plugins, such as mounted ConfigMaps: `NAME.wasm` with `NAME.yaml`, or a folder
    /// NAME with `plugin.wasm` and `plugin.yaml`. Looked at every second.
    pub folders: Vec<PathBuf>,
    /// The most that `limits` in a `plugin.yaml` may ask for. A plugin that asks for more is refused.
    pub limits: LimitCeiling,
}

impl Default for DropInConfig {
    fn default() -> Self {
        Self {
            config_maps: true,
            namespace: None,
            folders: Vec::new(),
            limits: LimitCeiling::default(),
        }
    }
}

/// Memory of plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginMemoryConfig {
    /// What all instances of all plugins may have together, in bytes; their code may take as much again. The default is
    /// three eighths of the memory limit of the observer's cgroup, and 96 MiB where there is none. Each of 18 calls at a
    /// time has a 64th of it for itself; what is left is shared by calls that need more, which wait for it up to their
    /// `limits.timeMs`, and fail then. For each plugin that usually needs more, up to a quarter of that is kept, and half
    /// of it for all of them.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub total_bytes: Option<Bounded<16_777_216, 1_099_511_627_776>>,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginConfig {
    /// Its name in logs, metrics and events.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// Where it is.
    pub from: PluginFrom,
    /// Its own configuration.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Which events it gets; all others pass by it. The default is all.
    #[serde(default, rename = "match")]
    pub select: EventMatch,
    /// What happens to an event on which it fails. The default is `strip` for plugins that redact
    /// and `pass` for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// What it gets of WASI.
    #[serde(default)]
    pub wasi: Wasi,
    /// SHA-256 of its file, as `sha256sum` prints it: another file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<FileDigest>,
}

impl PluginConfig {
    /// A plugin with everything at its default.
    #[must_use]
    pub fn new(name: String, from: PluginFrom) -> Self {
        Self {
            name,
            from,
            config: Value::Null,
            select: EventMatch::default(),
            on_error: None,
            limits: Limits::default(),
            wasi: Wasi::default(),
            sha256: None,
        }
    }
}

/// Where a plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PluginFrom {
    /// A file: WebAssembly component, core module or WAT text, also compressed with gzip or zstd.
    File(PathBuf),
    /// A plugin that is part of step-observer: `passthrough`, `filter-events`, `redact-secrets` or
    /// `enrich-run`.
    Bundled(String),
}

/// A sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SinkConfig {
    /// Its name in logs and metrics.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// What it is.
    pub to: SinkKind,
    /// Which events it gets. The default is all.
    #[serde(default, rename = "match")]
    pub select: EventMatch,
    /// Plugins that its events pass after the common ones.
    #[serde(default)]
    pub plugins: Vec<PluginConfig>,
    /// How deliveries are tried again.
    #[serde(default)]
    pub retry: RetryConfig,
    /// Where what cannot be delivered goes: the same event with the extensions `knativeerrordest`,
    /// `knativeerrorcode` (as Knative's brokers add them) and `deadletterreason`. The default is to keep it in the journal
    /// (`step-observer dead-letters`). Its name is that of this sink with `.dead-letters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink: Option<Box<DeadLetterConfig>>,
}

/// A dead-letter sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// What it is.
    pub to: SinkKind,
    /// How deliveries to it are tried again. What it does not take either stays in the journal.
    #[serde(default)]
    pub retry: RetryConfig,
}

impl SinkConfig {
    /// A sink with everything at its default.
    #[must_use]
    pub fn new(name: String, to: SinkKind) -> Self {
        Self {
            name,
            to,
            select: EventMatch::default(),
            plugins: Vec::new(),
            retry: RetryConfig::default(),
            dead_letter_sink: None,
        }
    }

    /// Name of its dead-letter sink.
    #[must_use]
    pub fn dead_letter_name(&self) -> String {
        format!("{}{DEAD_LETTERS}", self.name)
    }
}

/// How names of dead-letter sinks end.
pub(super) const DEAD_LETTERS: &str = ".dead-letters";

/// Most sinks, dead-letter sinks included: the journal keeps a bit for each, and for each that was there before.
pub(super) const MAX_SINKS: usize = 32;

/// Reads the name of a plugin or sink.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 63 || !name.bytes().all(allowed) {
        return Err(serde::de::Error::custom(
            "a name is 1 to 63 letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(name)
}
