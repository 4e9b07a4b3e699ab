//! Values that are read at each scrape instead of being counted, such as the size of a queue.

use super::histogram::Histogram;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Error;

/// Takes the values of one scrape.
#[derive(Debug)]
pub struct Samples<'a>(DescriptorEncoder<'a>);

/// A value of a sample.
pub trait Value {
    /// Writes the value.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    fn encode(self, kind: MetricType, encoder: MetricEncoder<'_>) -> Result<(), Error>;
}

impl<'a> Samples<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// Adds a counter.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Value,
    ) -> Result<(), Error> {
        self.single(MetricType::Counter, name, help, value)
    }

    /// Adds a gauge.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Value,
    ) -> Result<(), Error> {
        self.single(MetricType::Gauge, name, help, value)
    }

    /// Adds one counter for each set of label values.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn counters<'v, const N: usize, V: Value>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        values: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> Result<(), Error> {
        self.family(MetricType::Counter, name, help, labels, values)
    }

    /// Adds one gauge for each set of label values.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn gauges<'v, const N: usize, V: Value>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        values: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> Result<(), Error> {
        self.family(MetricType::Gauge, name, help, labels, values)
    }

    /// Adds one histogram for each set of label values.
    ///
    /// # Errors
    ///
    /// The text cannot be written.
    pub fn histograms<'v, const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        values: impl IntoIterator<Item = ([&'v str; N], &'v Histogram)>,
    ) -> Result<(), Error> {
        self.family(MetricType::Histogram, name, help, labels, values)
    }

    fn single(
        &mut self,
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        value: impl Value,
    ) -> Result<(), Error> {
        value.encode(kind, self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn family<'v, const N: usize, V: Value>(
        &mut self,
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        values: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (label_values, value) in values {
            let mut pairs = labels.map(|label| (label, ""));
            for (pair, label_value) in pairs.iter_mut().zip(label_values) {
                pair.1 = label_value;
            }
            value.encode(kind, family.encode_family(&pairs)?)?;
        }
        Ok(())
    }
}

impl Value for u64 {
    fn encode(self, kind: MetricType, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        match kind {
            MetricType::Counter => ConstCounter::new(self).encode(encoder),
            _ => ConstGauge::new(i64::try_from(self).unwrap_or(i64::MAX)).encode(encoder),
        }
    }
}

impl Value for f64 {
    fn encode(self, kind: MetricType, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        match kind {
            MetricType::Counter => ConstCounter::new(self).encode(encoder),
            _ => ConstGauge::new(self).encode(encoder),
        }
    }
}

impl Value for bool {
    fn encode(self, kind: MetricType, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        u64::from(self).encode(kind, encoder)
    }
}

impl Value for &Histogram {
    fn encode(self, _: MetricType, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        EncodeMetric::encode(self, encoder)
    }
}
