//! A histogram of durations in which each bucket has an exemplar: the trace of its last observation.

use super::handle::Metric;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use std::fmt::Error;
use std::time::Duration;

/// Label of an exemplar, as OpenMetrics and Grafana name it.
const TRACE_ID: &str = "trace_id";

/// Durations of steps in seconds, in buckets with fixed upper bounds, each with an exemplar. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct ExemplarHistogram(HistogramWithExemplars<[(&'static str, String); 1]>);

impl ExemplarHistogram {
    /// Creates a histogram with these upper bounds in seconds, in ascending order.
    #[must_use]
    pub fn new(bounds: &[f64]) -> Self {
        Self(HistogramWithExemplars::new(bounds.iter().copied()))
    }

    /// Counts a duration. The trace becomes the exemplar of its bucket.
    pub fn observe(&self, duration: Duration, trace_id: Option<String>) {
        let exemplar = trace_id.map(|id| [(TRACE_ID, id)]);
        self.0.observe(duration.as_secs_f64(), exemplar, None);
    }
}

impl Metric for ExemplarHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for ExemplarHistogram {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
