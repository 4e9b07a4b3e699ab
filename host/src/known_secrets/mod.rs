//! Known secrets: values that are masked wherever they stand.
//!
//! Only the operator's configuration names their sources, never the settings of a plugin: the
//! author of such settings could find out values by trial. Values are never part of a message, of
//! the status or of debug output.

mod config;
mod core_dumps;
mod metrics;
mod pod_reader;
mod pod_secret_version;
mod pod_secrets;
mod secret_object;
mod secret_value;
mod source_files;
mod sources;
mod value_engine;

pub use config::{KnownSecretsConfig, PodSecretsConfig};
pub(crate) use pod_reader::ReadMoment;
pub use pod_reader::{SecretReadError, SecretReader};
pub use pod_secrets::{MAX_SECRETS, PodSecrets, SecretRef, SecretRefs};
pub use secret_object::{SecretId, SecretObject};
pub(crate) use value_engine::value_engine;

use crate::metrics::Registry;
use crate::redact::{Engine, KnownValues};
use metrics::KnownSecretsMetrics;
use pod_reader::PodSecretsReader;
use sources::ConfiguredSources;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    /// Reads the Secrets of Pods; `None` if the configuration names no namespace.
    pods: Option<PodSecretsReader>,
    /// Whether texts are withheld if a Secret of the Pod is not known.
    requires_secrets: bool,
    metrics: KnownSecretsMetrics,
}

impl KnownSecrets {
    /// Reads the sources of a configuration. Values that `before` knows stay known for a limited
    /// time. `reader` reads the Secrets of Pods; it is `None` for a recording.
    ///
    /// # Errors
    ///
    /// Fails if a source cannot be read. The error names the field of the first such source.
    pub(crate) fn open(
        config: &KnownSecretsConfig,
        before: Option<&Self>,
        reader: Option<Arc<dyn SecretReader>>,
    ) -> Result<Self, KnownSecretsError> {
        let metrics = before.map(|before| before.0.metrics.clone());
        let metrics = metrics.unwrap_or_default();
        let before = before.and_then(|before| before.0.sources.as_ref());
        if config.is_used() {
            core_dumps::forbid();
        }
        let sources = ConfiguredSources::open(config, before, &metrics)?;
        let reads_pods = !config.pods.namespaces.is_empty();
        Ok(Self(Arc::new(Shared {
            sources,
            pods: reads_pods.then(|| PodSecretsReader::new(&config.pods, reader)),
            requires_secrets: config.require_secrets,
            metrics,
        })))
    }

    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
        let shared = self.0.clone();
        registry.register_samples(move |samples| {
            let pods = shared.pods.as_ref();
            let bytes = pods.map_or(0, |pods| pods.total_bytes().load(Ordering::Relaxed));
            samples.gauge(
                "known_secret_pod_bytes",
                "Bytes of values of Secrets that Pods refer to, in memory",
                u64::try_from(bytes).unwrap_or(u64::MAX),
            )
        });
    }

    /// Returns whether Secrets of Pods are read in any namespace.
    pub(crate) fn reads_pods(&self) -> bool {
        self.0.pods.is_some()
    }

    /// Returns whether the Secrets of Pods of this namespace are read.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        let pods = self.0.pods.as_ref();
        pods.is_some_and(|pods| pods.covers(namespace))
    }

    /// Creates the Secrets of a Pod. Returns `None` if the configuration does not name the Pod's
    /// namespace, or if the Pod refers to no Secret. `refs` returns the references of the Pod, with
    /// or without `imagePullSecrets`.
    pub(crate) fn of_pod(
        &self,
        namespace: &str,
        refs: impl FnOnce(bool) -> Option<SecretRefs>,
    ) -> Option<PodSecrets> {
        let pods = self.0.pods.as_ref();
        let pods = pods.filter(|pods| pods.covers(namespace))?;
        let secrets = PodSecrets::new(refs(pods.with_pull_secrets())?);
        pods.register(&secrets);
        Some(secrets)
    }

    /// Reads the Secrets of a Pod. Returns after one attempt for each of them.
    pub(crate) async fn read(&self, pod: &PodSecrets, moment: ReadMoment) {
        if let Some(pods) = &self.0.pods {
            pods.read(pod, moment, &self.0.metrics).await;
        }
    }

    /// Returns whether the texts of an event must be withheld, because a Secret of its Pod is not
    /// known. `pod` is `None` if the Pod refers to no Secret; `is_seen` is false if it was never seen.
    pub(crate) fn withholds(
        &self,
        namespace: &str,
        is_seen: bool,
        pod: Option<&PodSecrets>,
    ) -> bool {
        let unread = pod.is_some_and(|pod| pod.unread() > 0);
        self.0.requires_secrets && self.covers(namespace) && (!is_seen || unread)
    }

    /// Returns the sets of all values that no event of a Pod may contain: the values of the
    /// configuration, and the values of the Pod's Secrets that were read.
    pub(crate) fn values(&self, pod: Option<&PodSecrets>) -> Vec<Arc<KnownValues>> {
        let sources = self.0.sources.as_ref();
        let configured = sources.map(|sources| sources.values(&self.0.metrics));
        let mut sets: Vec<_> = configured.into_iter().collect();
        sets.extend(pod.into_iter().flat_map(PodSecrets::values));
        sets
    }

    /// Returns the engine that masks these values. `None` if nothing is known.
    pub(crate) fn engine(&self, pod: Option<&PodSecrets>) -> Option<Arc<Engine>> {
        value_engine(&self.values(pod))
    }

    /// Returns the engine that masks the log of a Pod. First reads the Secrets of the Pod, if they
    /// were not read yet.
    pub(crate) async fn engine_of_log(&self, pod_uid: &str) -> Option<Arc<Engine>> {
        let pods = self.0.pods.as_ref();
        let pod = pods.and_then(|pods| pods.find(pod_uid));
        if let Some(pod) = &pod {
            self.read(pod, ReadMoment::First).await;
        }
        self.engine(pod.as_ref())
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
