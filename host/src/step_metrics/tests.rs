use super::*;
use step_observer_core::{Outcome, PodOrder, Start, StartSource, Transition};

/// Returns the end of a step that failed two seconds after its start, and waited for one second.
fn failed() -> StepRecord {
    let second = |second| Timestamp::from_second(second).unwrap();
    let outcome = Outcome {
        exit_code: Some(1),
        reason: "Error".into(),
    };
    StepRecord {
        seen_at: second(104),
        ..StepRecord::of(Transition {
            run_uid: "run".into(),
            pod_uid: Some("pod".into()),
            pod_name: "run-pod".into(),
            pod_order: PodOrder::default(),
            container: "step-test".into(),
            index: 0,
            attempt: 0,
            kind: Kind::Failed(outcome),
            at: second(103),
            start: Some(Start {
                at: second(101),
                source: StartSource::Entrypoint,
            }),
            waits_from: Some(second(100)),
        })
    }
}

fn series<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let name = format!("step_observer_{name}{{");
    text.lines()
        .filter(|line| line.starts_with(&name))
        .collect()
}

#[test]
fn ten_thousand_runs_of_two_hundred_pipelines_stay_below_the_bound() {
    let mut registry = Registry::new();
    let metrics = StepMetrics::register(&StepMetricsConfig::default(), &mut registry);
    let mut record = failed();
    for pipeline in 0..200 {
        record.namespace = format!("team-{}", pipeline % 20).into();
        for task in 0..10 {
            let labels = [
                ("tekton.dev/pipeline", format!("pipeline-{pipeline}")),
                ("tekton.dev/task", format!("task-{task}")),
            ];
            record.labels = labels
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter()
                .collect();
            for step in 0..5 {
                record.transition.container = format!("step-{step}").into();
                metrics.count(&record, &EventConfig::default());
            }
        }
    }
    let text = registry.encode().unwrap();
    for name in [
        "step_duration_seconds_count",
        "step_wait_seconds_count",
        "step_results_total",
    ] {
        let series = series(&text, name);
        assert!(
            (900..=1000).contains(&series.len()),
            "{name}: {}",
            series.len()
        );
        let counts = series.iter().map(|line| line.rsplit(' ').next().unwrap());
        let sum: u64 = counts.map(|count| count.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 10_000, "{name}: what finds no room counts as other");
        let other = series
            .iter()
            .find(|line| line.contains("namespace=\"other\""))
            .unwrap();
        assert!(
            other.contains("pipeline=\"other\",task=\"other\",step=\"other\""),
            "{other}"
        );
    }
}

#[test]
fn a_reason_that_a_step_invents_is_no_label() {
    let mut registry = Registry::new();
    let metrics = StepMetrics::register(&StepMetricsConfig::default(), &mut registry);
    let mut record = failed();
    for reason in [
        "Error",
        "evil\"} 1\n",
        "a b",
        &"x".repeat(41),
        "TaskRunImagePullFailed",
    ] {
        if let Kind::Failed(outcome) = &mut record.transition.kind {
            outcome.reason = reason.into();
        }
        metrics.count(&record, &EventConfig::default());
    }
    let text = registry.encode().unwrap();
    let reasons: BTreeSet<String> = series(&text, "step_results_total")
        .into_iter()
        .map(|line| {
            let (_, reason) = line.split_once("reason=").unwrap();
            reason.to_owned()
        })
        .collect();
    let expected = [
        "\"Error\"} 1",
        "\"TaskRunImagePullFailed\"} 1",
        "\"other\"} 3",
    ];
    assert_eq!(reasons, expected.map(str::to_owned).into());
}

#[test]
fn a_start_before_the_predecessors_end_waits_for_no_time() {
    let second = |second| Timestamp::from_second(second).unwrap();
    assert_eq!(between(second(2), second(1)), Duration::ZERO);
    assert_eq!(between(second(1), second(3)), Duration::from_secs(2));
}
