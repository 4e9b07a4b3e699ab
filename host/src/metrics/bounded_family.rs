//! Metrics with labels whose values come from the cluster. Their number is bounded, and no namespace
//! can use up the bound.

use super::handle::Metric;
use crate::locked::Locked;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use std::collections::HashMap;
use std::fmt::Error;
use std::sync::Arc;

/// Value of every label of the metric that counts what finds no room.
pub const OTHER: &str = "other";

/// Part of the free label sets that one namespace leaves to the others: a namespace may have up to
/// this many times as many label sets as are free.
const SHARE: usize = 3;

/// Metrics of one name, by label values. Cheap to clone.
///
/// Beyond the bound, observations count in a metric whose labels are all [`OTHER`]. A namespace gets
/// another label set only as long as it has at most three times as many as are free: alone it can
/// have three quarters of all, and a namespace that comes later still finds room.
#[derive(Clone, Debug)]
pub struct BoundedFamily<M> {
    labels: Arc<[&'static str]>,
    table: Arc<Locked<Table<M>>>,
}

#[derive(Debug)]
struct Table<M> {
    new: fn() -> M,
    /// Maximum number of label sets beside that of `other`.
    max: usize,
    sets: HashMap<LabelValues, M>,
    /// Number of label sets, by namespace.
    namespaces: HashMap<Arc<str>, usize>,
    /// What counts beyond the bound; `None` before the first observation.
    other: Option<M>,
}

type LabelValues = Box<[Arc<str>]>;

impl<M: Clone> BoundedFamily<M> {
    /// Creates a family without metrics that has at most `max` label sets, that of [`OTHER`] included.
    /// `new` makes a metric.
    #[must_use]
    pub fn new(labels: &[&'static str], max: usize, new: fn() -> M) -> Self {
        let table = Table {
            new,
            max: max.saturating_sub(1),
            sets: HashMap::new(),
            namespaces: HashMap::new(),
            other: None,
        };
        Self {
            labels: labels.into(),
            table: Arc::new(Locked::new(table)),
        }
    }

    /// Returns the metric of these values, one for each label. If it does not exist yet and there is no
    /// room for it, returns the metric for all others.
    #[must_use]
    pub fn get(&self, namespace: &Arc<str>, values: &[Arc<str>]) -> M {
        let mut table = self.table.lock();
        if let Some(metric) = table.sets.get(values) {
            return metric.clone();
        }
        let new = table.new;
        let used = table.namespaces.get(namespace).copied().unwrap_or(0);
        let free = table.max.saturating_sub(table.sets.len());
        if free == 0 || used >= free.saturating_mul(SHARE) {
            return table.other.get_or_insert_with(new).clone();
        }
        let metric = new();
        table.sets.insert(values.into(), metric.clone());
        table.namespaces.insert(namespace.clone(), used + 1);
        metric
    }

    /// Returns the number of label sets.
    #[must_use]
    fn len(&self) -> usize {
        let table = self.table.lock();
        table.sets.len() + usize::from(table.other.is_some())
    }

    /// Returns a function that returns the number of label sets.
    #[must_use]
    pub fn into_size(self) -> Box<dyn Fn() -> u64 + Send + Sync>
    where
        M: Send + 'static,
    {
        Box::new(move || self.len() as u64)
    }

    /// Copies the metrics, so that no observation waits until a scrape is encoded.
    fn all(&self) -> Vec<(LabelValues, M)> {
        let table = self.table.lock();
        let sets = table.sets.iter();
        let mut all: Vec<_> = sets
            .map(|(values, metric)| (values.clone(), metric.clone()))
            .collect();
        if let Some(other) = &table.other {
            let values = self.labels.iter().map(|_| OTHER.into()).collect();
            all.push((values, other.clone()));
        }
        all
    }
}

impl<M: Metric> Metric for BoundedFamily<M> {
    const TYPE: MetricType = M::TYPE;
}

impl<M: Metric> EncodeMetric for BoundedFamily<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        for (values, metric) in self.all() {
            let pairs = self.labels.iter().zip(&values);
            let pairs: Vec<(&str, &str)> = pairs.map(|(label, value)| (*label, &**value)).collect();
            metric.encode(encoder.encode_family(&pairs)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;
    use proptest::prelude::*;

    fn family(max: usize) -> BoundedFamily<Counter> {
        BoundedFamily::new(&["namespace", "step"], max, Counter::default)
    }

    fn count(family: &BoundedFamily<Counter>, namespace: &str, step: &str) {
        let namespace: Arc<str> = namespace.into();
        let values = [namespace.clone(), step.into()];
        family.get(&namespace, &values).increment();
    }

    fn value(family: &BoundedFamily<Counter>, values: [&str; 2]) -> u64 {
        let all = family.all();
        let mut found = all
            .iter()
            .filter(|(known, _)| known.iter().map(|value| &**value).eq(values));
        found.next().map_or(0, |(_, metric)| metric.get())
    }

    #[test]
    fn a_namespace_with_very_many_steps_leaves_room_for_others() {
        let family = family(1000);
        for step in 0..5000 {
            count(&family, "flood", &step.to_string());
        }
        assert_eq!(family.len(), 751, "three quarters of 999, and the others");
        for step in 0..100 {
            count(&family, "late", &step.to_string());
            assert_eq!(value(&family, ["late", &step.to_string()]), 1);
        }
        assert_eq!(value(&family, [OTHER, OTHER]), 4250);
        count(&family, "flood", "0");
        assert_eq!(value(&family, ["flood", "0"]), 2, "it stays its own");
    }

    proptest! {
        #[test]
        fn every_observation_counts_once_and_the_bound_holds(
            observations in prop::collection::vec((0_u8..6, 0_u8..40), 0..400),
            max in 1_usize..60,
        ) {
            let family = family(max);
            for (namespace, step) in &observations {
                count(&family, &namespace.to_string(), &step.to_string());
            }
            prop_assert!(family.len() <= max);
            let sum: u64 = family.all().iter().map(|(_, metric)| metric.get()).sum();
            prop_assert_eq!(sum, observations.len() as u64);
        }
    }
}
