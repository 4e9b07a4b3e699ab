//! A histogram of durations without locks.

use super::handle::Metric;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations in buckets whose upper bounds double. Cheap to clone.
///
/// The histogram of `prometheus-client` takes a mutex for each observation. This one takes two atomic
/// operations, so that plugin threads and deliveries never wait for a scrape.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bound of the first bucket, in nanoseconds.
    first: u64,
    /// Observations per bucket, not cumulative. The last bucket has no upper bound.
    counts: Box<[AtomicU64]>,
    /// Sum of all observations in seconds, as the bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// Creates a histogram with `bounds` upper bounds. The first one is `first`; each further one
    /// is twice the previous one.
    #[must_use]
    pub fn new(first: Duration, bounds: usize) -> Self {
        Self(Arc::new(Buckets {
            first: nanoseconds(first).max(1),
            counts: (0..=bounds).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let buckets = &*self.0;
        let last = buckets.counts.len().saturating_sub(1);
        let bucket = bucket_of(nanoseconds(duration), buckets.first).min(last);
        if let Some(count) = buckets.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let seconds = duration.as_secs_f64();
        let add = |sum| Some((f64::from_bits(sum) + seconds).to_bits());
        let added = (buckets.sum).fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        // Cannot fail: `add` always returns a sum.
        added.ok();
    }

    /// Returns the sum of all durations in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.0.sum.load(Ordering::Relaxed))
    }

    /// Returns the upper bound of each bucket in seconds, and the observations in that bucket alone.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let buckets = &*self.0;
        let last = buckets.counts.len().saturating_sub(1);
        let mut bound = Duration::from_nanos(buckets.first);
        let counts = buckets.counts.iter().enumerate().map(|(index, count)| {
            let upper = match index == last {
                true => f64::INFINITY,
                false => bound.as_secs_f64(),
            };
            bound = bound.saturating_mul(2);
            (upper, count.load(Ordering::Relaxed))
        });
        counts.collect()
    }
}

/// Returns the smallest `n` for which a duration is at most `first * 2^n`.
fn bucket_of(nanoseconds: u64, first: u64) -> usize {
    let multiple = nanoseconds.div_ceil(first);
    let exponent = match multiple {
        0 | 1 => 0,
        _ => u64::BITS - (multiple - 1).leading_zeros(),
    };
    exponent as usize
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Metric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let buckets = self.buckets();
        // The count is the sum of the buckets, so that it equals the last cumulative bucket even
        // during observations.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_has_room_for_it() {
        let milliseconds = Duration::from_millis;
        let histogram = Histogram::new(milliseconds(1), 3);
        for (duration, bucket) in [
            (Duration::ZERO, 0),
            (milliseconds(1), 0),
            (milliseconds(1) + Duration::from_nanos(1), 1),
            (milliseconds(2), 1),
            (milliseconds(3), 2),
            (milliseconds(4), 2),
            (milliseconds(4) + Duration::from_nanos(1), 3),
            (Duration::MAX, 3),
        ] {
            let before = histogram.buckets();
            histogram.observe(duration);
            let after = histogram.buckets();
            let grown: Vec<usize> = (0..before.len())
                .filter(|index| before[*index].1 != after[*index].1)
                .collect();
            assert_eq!(grown, [bucket], "{duration:?}");
        }
        let bounds: Vec<f64> = histogram
            .buckets()
            .iter()
            .map(|(bound, _)| *bound)
            .collect();
        assert_eq!(bounds, [0.001, 0.002, 0.004, f64::INFINITY]);
    }

    #[test]
    fn no_observation_is_lost_between_threads() {
        let histogram = Histogram::new(Duration::from_millis(1), 3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        histogram.observe(Duration::from_millis(500));
                    }
                });
            }
        });
        let counts: u64 = histogram.buckets().iter().map(|(_, count)| count).sum();
        assert_eq!(counts, 40_000);
        assert!((histogram.sum() - 20_000.0).abs() < 1e-6);
    }
}
