//! How a metric is written: what it is, then its value, or one for each value of a label.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Error;

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
}

impl Metric {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = MetricType::Counter;
        Self { name, help, kind }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = MetricType::Gauge;
        Self { name, help, kind }
    }

    /// With one value.
    pub(super) fn encode_u64(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        value: u64,
    ) -> Result<(), Error> {
        let metric = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        self.write(metric, value)
    }

    /// With one value, and a part behind the point.
    pub(super) fn encode_f64(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        value: f64,
    ) -> Result<(), Error> {
        let metric = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        match self.kind {
            MetricType::Counter => ConstCounter::new(value).encode(metric),
            _ => ConstGauge::new(value).encode(metric),
        }
    }

    /// With a value for each value of a label.
    pub(super) fn encode_family<'v>(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> Result<(), Error> {
        let mut family = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        for (which, value) in values {
            self.write(family.encode_family(&[(label, which)])?, value)?;
        }
        Ok(())
    }

    fn write(self, metric: MetricEncoder<'_>, value: u64) -> Result<(), Error> {
        match self.kind {
            MetricType::Counter => ConstCounter::new(value).encode(metric),
            _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric),
        }
    }
}
