//! Metrics of the steps themselves: how long they run, how long they wait, how they end. They are
//! made from records before any plugin, so plugins change nothing about them.

use crate::event::{self, EventConfig};
use crate::metrics::{BoundedFamily, Counter, ExemplarHistogram, Registry};
use crate::step::StepRecord;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use step_observer_core::Kind;

/// Maximum number of label sets of each metric, that of `other` included.
const MAX_LABEL_SETS: usize = 1000;
/// Upper bounds of the buckets in seconds: from a step that only prints something to two hours.
const BUCKETS: [f64; 15] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
];
/// Maximum length of a reason in bytes. Reasons of Kubernetes and Tekton are shorter; a step can
/// write any reason into its termination message.
const MAX_REASON_BYTES: usize = 40;
/// Task of a TaskRun that contains its Task, as in Tekton's own metrics.
const ANONYMOUS: &str = "anonymous";

/// Metrics of steps. They have names of Pipelines, Tasks and steps as labels; never names of runs or
/// Pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StepMetricsConfig {
    /// Labels of the metrics. Each metric has at most 1,000 label sets; what is beyond counts with
    /// the label value `other`.
    pub labels: BTreeSet<StepLabel>,
}

/// A label of the metrics of steps.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum StepLabel {
    /// Namespace of the TaskRun.
    Namespace,
    /// Name of the Pipeline, from the label `tekton.dev/pipeline`. Empty for a TaskRun of its own.
    Pipeline,
    /// Name of the Task, from the label `tekton.dev/task`, else name of the task in the Pipeline.
    Task,
    /// Name of the step.
    Step,
}

impl Default for StepMetricsConfig {
    fn default() -> Self {
        use StepLabel::{Namespace, Pipeline, Step, Task};
        let labels = [Namespace, Pipeline, Task, Step].into();
        Self { labels }
    }
}

impl StepLabel {
    const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Pipeline => "pipeline",
            Self::Task => "task",
            Self::Step => "step",
        }
    }

    fn value(self, record: &StepRecord) -> Arc<str> {
        static ANONYMOUS_TASK: LazyLock<Arc<str>> = LazyLock::new(|| ANONYMOUS.into());
        let label = |name: &str| record.labels.get(name).cloned();
        match self {
            Self::Namespace => record.namespace.clone(),
            Self::Pipeline => label("tekton.dev/pipeline").unwrap_or_default(),
            Self::Task => label("tekton.dev/task")
                .or_else(|| record.pipeline_task.clone())
                .unwrap_or_else(|| ANONYMOUS_TASK.clone()),
            Self::Step => record.transition.step().into(),
        }
    }
}

/// Counts the ends of steps.
#[derive(Debug)]
pub(crate) struct StepMetrics {
    labels: BTreeSet<StepLabel>,
    durations: BoundedFamily<ExemplarHistogram>,
    waits: BoundedFamily<ExemplarHistogram>,
    results: BoundedFamily<Counter>,
}

impl StepMetrics {
    pub(crate) fn register(config: &StepMetricsConfig, registry: &mut Registry) -> Self {
        let mut names: Vec<&'static str> = config.labels.iter().map(|label| label.name()).collect();
        let histogram = || ExemplarHistogram::new(&BUCKETS);
        let durations = BoundedFamily::new(&names, MAX_LABEL_SETS, histogram);
        let waits = BoundedFamily::new(&names, MAX_LABEL_SETS, histogram);
        names.extend(["result", "reason"]);
        let results = BoundedFamily::new(&names, MAX_LABEL_SETS, Counter::default);
        registry.register(
            "step_duration_seconds",
            "Time from the start of a step to its end",
            &durations,
        );
        registry.register(
            "step_wait_seconds",
            "Time from the end of the previous step, for the first step from the creation of the Pod, to the start of a step",
            &waits,
        );
        registry.register(
            "step_results",
            "Ends of steps, by result: succeeded, failed or skipped, and reason",
            &results,
        );
        let sizes = [
            ("step_duration_seconds", durations.clone().into_size()),
            ("step_wait_seconds", waits.clone().into_size()),
            ("step_results", results.clone().into_size()),
        ];
        registry.register_samples(move |samples| {
            let sizes = sizes.iter().map(|(metric, size)| ([*metric], size()));
            samples.gauges(
                "step_label_sets",
                "Label sets of a metric of steps; at 1000, further ones count as other",
                ["metric"],
                sizes,
            )
        });
        Self {
            labels: config.labels.clone(),
            durations,
            waits,
            results,
        }
    }

    /// Counts the transition of a record, if it is an end. Must be called once for each transition
    /// that is emitted.
    pub(crate) fn count(&self, record: &StepRecord, event: &EventConfig) {
        let transition = &record.transition;
        if transition.kind == Kind::Started {
            return;
        }
        let namespace = &record.namespace;
        let mut values: Vec<Arc<str>> =
            (self.labels.iter().map(|label| label.value(record))).collect();
        if let Some(start) = transition.start {
            let trace_id = event::trace_id(record, event);
            let family = self.durations.get(namespace, &values);
            family.observe(between(start.at, transition.at), trace_id.clone());
            if let Some(from) = transition.waits_from {
                let family = self.waits.get(namespace, &values);
                family.observe(between(from, start.at), trace_id);
            }
        }
        let outcome = transition.kind.outcome();
        let reason = outcome.map_or("", |outcome| &*outcome.reason);
        values.extend([transition.kind.as_str().into(), reason_label(reason)]);
        self.results.get(namespace, &values).increment();
    }
}

/// Returns the time between two times; zero if the second one is earlier, because two clocks differ.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Returns a reason as a label value: a word as Kubernetes and Tekton write them, else `other`.
fn reason_label(reason: &str) -> Arc<str> {
    let is_word =
        reason.len() <= MAX_REASON_BYTES && reason.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_word {
        true => reason.into(),
        false => crate::metrics::OTHER.into(),
    }
}

#[cfg(test)]
mod tests;
