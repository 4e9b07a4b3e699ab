//! Known secrets: values that are masked wherever they stand.
//!
//! They come from sources that only the operator's configuration names, never from the settings of a
//! plugin: who writes those could find out values by trial. Values are never part of a message, of the
//! status or of debug output.

mod config;
mod core_dumps;
mod metrics;
mod secret_value;
mod source_files;
mod sources;
mod value_engine;

pub use config::{KnownSecretsConfig, PodSecretsConfig};
pub(crate) use value_engine::value_engine;

use crate::metrics::Registry;
use crate::redact::{Engine, KnownValues};
use metrics::KnownSecretsMetrics;
use sources::ConfiguredSources;
use std::sync::Arc;

/// A source of known secrets that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("knownSecrets.{field}: {problem}")]
pub struct KnownSecretsError {
    /// Path of its field below `knownSecrets`.
    pub field: String,
    /// The problem, with its remedy.
    pub problem: String,
}

/// Returns the sources of a configuration that cannot be read on this machine.
pub(crate) fn unreadable_sources(config: &KnownSecretsConfig) -> Vec<(String, String)> {
    sources::unreadable(config)
}

/// The known secrets of a pipeline. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownSecrets(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    sources: Option<ConfiguredSources>,
    metrics: KnownSecretsMetrics,
}

impl KnownSecrets {
    /// Reads the sources of a configuration. Values that `before` knows stay known for a while.
    ///
    /// # Errors
    ///
    /// The field of the first source that cannot be read.
    pub(crate) fn open(
        config: &KnownSecretsConfig,
        before: Option<&Self>,
    ) -> Result<Self, KnownSecretsError> {
        let metrics = before.map(|before| before.0.metrics.clone());
        let metrics = metrics.unwrap_or_default();
        let before = before.and_then(|before| before.0.sources.as_ref());
        if config.is_used() {
            core_dumps::forbid();
        }
        let sources = ConfiguredSources::open(config, before, &metrics)?;
        Ok(Self(Arc::new(Shared { sources, metrics })))
    }

    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Returns the sets of all values that an event must not contain.
    pub(crate) fn values(&self) -> Vec<Arc<KnownValues>> {
        let sources = self.0.sources.as_ref();
        let configured = sources.map(|sources| sources.values(&self.0.metrics));
        configured.into_iter().collect()
    }

    /// Returns the engine that masks all values that an event must not contain. `None` if nothing is
    /// known.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        value_engine(&self.values())
    }

    /// Counts an event whose texts are withheld.
    pub(crate) fn count_withheld(&self) {
        self.0.metrics.withheld.increment();
    }
}

/// Returns a set of some values.
#[cfg(test)]
pub(crate) fn known_values(values: &[&str]) -> Arc<KnownValues> {
    use crate::redact::{KnownValue, Policy};
    let named = |value: &&str| KnownValue {
        source: "test".into(),
        value: (*value).to_owned(),
    };
    let values: Vec<_> = values.iter().map(named).collect();
    Arc::new(KnownValues::new(&values, Policy::READ).0)
}
