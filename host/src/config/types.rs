//! The types of the configuration file. Their doc comments are the reference for users: they become
//! the descriptions in the JSON Schema.

use super::duration::ConfigDuration;
use crate::admin::AdminConfig;
use crate::deliver::RetryConfig;
use crate::event::{EventConfig, EventMatch};
use crate::journal::JournalConfig;
use crate::known_secrets::KnownSecretsConfig;
use crate::logs::LogConfig;
use crate::observe::ClusterConfig;
use crate::oci::RegistryConfig;
use crate::plugin::dropin::DropInConfig;
use crate::plugin::{PluginConfig, PluginMemoryConfig, TrustConfig};
use crate::sink::SinkKind;
use crate::standby::StandbyConfig;
use crate::step_metrics::StepMetricsConfig;
use crate::trace::TracesConfig;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of step-observer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("$id" = "urn:step-observer:config:v1"))]
pub struct Config {
    /// Scope of the watches.
    pub cluster: ClusterConfig,
    /// Longest time, such as `10m`, between the end of a TaskRun and the start of the observer. A
    /// TaskRun that ended earlier gives no events.
    pub look_back: ConfigDuration,
    /// Logs of steps.
    pub log: LogConfig,
    /// Attributes and size of events.
    pub event: EventConfig,
    /// Known secrets: values that are masked wherever they stand.
    pub known_secrets: KnownSecretsConfig,
    /// Plugins that every event passes, in this order.
    pub plugins: Vec<PluginConfig>,
    /// Plugins that are added and removed while the observer runs. Events pass them after `plugins`.
    pub drop_in: DropInConfig,
    /// Registries of plugins, with their credentials. A registry that needs none of these settings needs no entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistryConfig>,
    /// Memory that all plugins share.
    pub plugin_memory: PluginMemoryConfig,
    /// Trust in plugins: signatures and digests that they must have.
    pub trust: TrustConfig,
    /// Sinks: the receivers of events.
    pub sinks: Vec<SinkConfig>,
    /// The journal, which stores accepted events until every sink has received them.
    pub journal: JournalConfig,
    /// The server that answers requests for status, metrics and history.
    pub admin: AdminConfig,
    /// Metrics of the steps themselves. By default there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_metrics: Option<StepMetricsConfig>,
    /// Export of traces. By default there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesConfig>,
    /// Several observers of the same runs, of which one is active and the others wait. By default there is
    /// no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyConfig>,
    /// Longest time for which a stopping observer delivers the events that it has, such as `25s`.
    pub shutdown_grace: ConfigDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster: ClusterConfig::default(),
            look_back: ConfigDuration(SignedDuration::from_mins(10)),
            log: LogConfig::default(),
            event: EventConfig::default(),
            known_secrets: KnownSecretsConfig::default(),
            plugins: Vec::new(),
            drop_in: DropInConfig::default(),
            registries: Vec::new(),
            plugin_memory: PluginMemoryConfig::default(),
            trust: TrustConfig::default(),
            journal: JournalConfig::default(),
            admin: AdminConfig::default(),
            step_metrics: None,
            traces: None,
            standby: None,
            sinks: Vec::new(),
            shutdown_grace: ConfigDuration(SignedDuration::from_secs(25)),
        }
    }
}

/// A sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SinkConfig {
    /// Name of the sink in logs and metrics.
    #[serde(deserialize_with = "crate::bounded::name")]
    pub name: String,
    /// Receiver of the events.
    pub to: SinkKind,
    /// Condition for the events that the sink gets. The default is all events.
    #[serde(default, rename = "match")]
    pub select: EventMatch,
    /// Plugins that events for this sink pass after the common plugins.
    #[serde(default)]
    pub plugins: Vec<PluginConfig>,
    /// Repetition of failed deliveries.
    #[serde(default)]
    pub retry: RetryConfig,
    /// Sink for the dead letters of this one. It receives the same event with the extensions `knativeerrordest`,
    /// `knativeerrorcode` (as Knative's brokers add them) and `deadletterreason`. By default dead
    /// letters stay in the journal (`step-observer dead-letters`). The name of the dead-letter sink
    /// is that of this sink with `.dead-letters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink: Option<Box<DeadLetterConfig>>,
}

/// A dead-letter sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// Receiver of the dead letters.
    pub to: SinkKind,
    /// Repetition of failed deliveries. If this sink does not accept an event either, the event
    /// stays in the journal.
    #[serde(default)]
    pub retry: RetryConfig,
}

impl SinkConfig {
    /// Makes a sink with everything at its default.
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

    /// Returns the name of its dead-letter sink.
    #[must_use]
    pub fn dead_letter_name(&self) -> String {
        format!("{}{DEAD_LETTERS}", self.name)
    }
}

/// Suffix of the names of dead-letter sinks.
pub(super) const DEAD_LETTERS: &str = ".dead-letters";

/// Bound of the number of sinks, dead-letter sinks included. The journal keeps a bit for each of
/// them, and for each removed sink.
pub(super) const MAX_SINKS: usize = 32;
