//! The metrics of one run of the pipeline.

use super::handle::Metric;
use super::process;
use super::samples::Samples;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry;
use std::fmt::{Debug, Error, Formatter};

/// Media type of [`Registry::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Prefix of the name of every metric but those of the process.
const PREFIX: &str = "step_observer";

/// The metrics of the pipeline with one configuration. Owners register their handles here. A
/// changed configuration starts the pipeline with another registry. Its counters begin at 0, except
/// those of owners that continue, such as the journal.
#[derive(Debug)]
pub struct Registry {
    process: registry::Registry,
    own: registry::Registry,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// Creates a registry with the metrics of the process and of the build.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self {
            process: registry::Registry::default(),
            own: registry::Registry::with_prefix(PREFIX),
        };
        let collector = Collected(process::samples);
        registry.process.register_collector(Box::new(collector));
        registry.register_samples(process::build_samples);
        registry
    }

    /// Registers a metric without labels.
    pub fn register<M: Metric>(&mut self, name: &'static str, help: &'static str, metric: &M) {
        self.add(name, help, metric.clone());
    }

    /// Registers metrics of one name that differ in the value of one label.
    pub fn register_family<'m, M: Metric, V: Into<String>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        metrics: impl IntoIterator<Item = (V, &'m M)>,
    ) {
        let metrics = metrics.into_iter();
        let members = metrics.map(|(value, metric)| (value.into(), metric.clone()));
        let members = members.collect();
        self.add(name, help, Family { label, members });
    }

    /// Registers values that are read at each scrape.
    pub fn register_samples(
        &mut self,
        read: impl Fn(&mut Samples<'_>) -> Result<(), Error> + Send + Sync + 'static,
    ) {
        self.own.register_collector(Box::new(Collected(read)));
    }

    /// Returns the text of a scrape.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn encode(&self) -> Result<String, Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.process)?;
        encode_registry(&mut text, &self.own)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Adds a metric as a collector, because `prometheus-client` adds a full stop to the help of
    /// every metric that is registered in another way.
    fn add<M: Metric>(&mut self, name: &'static str, help: &'static str, metric: M) {
        let described = Described { name, help, metric };
        self.own.register_collector(Box::new(described));
    }
}

#[derive(Debug)]
struct Described<M> {
    name: &'static str,
    help: &'static str,
    metric: M,
}

impl<M: Metric> Collector for Described<M> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let metric = encoder.encode_descriptor(self.name, self.help, None, M::TYPE)?;
        self.metric.encode(metric)
    }
}

/// Metrics that differ in the value of one label.
#[derive(Clone, Debug)]
struct Family<M> {
    label: &'static str,
    members: Vec<(String, M)>,
}

impl<M: Metric> Metric for Family<M> {
    const TYPE: MetricType = M::TYPE;
}

impl<M: Metric> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        for (value, metric) in &self.members {
            metric.encode(encoder.encode_family(&[(self.label, value.as_str())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A function that reads values at each scrape.
struct Collected<F>(F);

impl<F> Debug for Collected<F> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result<(), Error> {
        formatter.write_str("Collected")
    }
}

impl<F> Collector for Collected<F>
where
    F: Fn(&mut Samples<'_>) -> Result<(), Error> + Send + Sync + 'static,
{
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        (self.0)(&mut Samples::new(encoder))
    }
}
