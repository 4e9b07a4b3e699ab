//! Handles of metrics: cheap to clone, counted with one atomic operation, read by a scrape and by
//! `/status` alike.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric, counter, gauge};
use std::fmt::{Debug, Error};

/// A metric that can be registered.
pub trait Metric: EncodeMetric + Clone + Debug + Send + Sync + 'static {
    /// Type of the metric. It is a constant, because a family without members has a type, too.
    const TYPE: MetricType;
}

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(counter::Counter);

/// A number that rises and falls.
#[derive(Clone, Debug, Default)]
pub struct Gauge(gauge::Gauge);

// === impl Counter ===

impl Counter {
    /// Adds 1.
    pub fn increment(&self) {
        self.0.inc();
    }

    /// Adds a number.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// Returns the current count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Metric for Counter {
    const TYPE: MetricType = counter::Counter::<u64>::TYPE;
}

impl EncodeMetric for Counter {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

// === impl Gauge ===

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// Adds a number.
    pub fn add(&self, count: u64) {
        self.0.inc_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Subtracts a number.
    pub fn subtract(&self, count: u64) {
        self.0.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        u64::try_from(self.0.get()).unwrap_or_default()
    }
}

impl Metric for Gauge {
    const TYPE: MetricType = gauge::Gauge::<i64>::TYPE;
}

impl EncodeMetric for Gauge {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
