//! Metrics of steps, as Prometheus scrapes them.

use step_observer_tests::admin::{admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::{expected_ids, watch_events};
use step_observer_tests::sink::HttpSink;

/// UID of the recorded TaskRun, which is its trace.
const TRACE: &str = "328d1169166840beb68b4b94530e6c67";

/// Returns the samples of the metrics of steps after the steps of a recording, without their common
/// prefix.
async fn samples(config: &str, recording: &str) -> Vec<String> {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}{config}");
    let arguments = ["--to", &sink.url, "--admin", "127.0.0.1:0"];
    let mut observer = Observer::with_config(&server, &config, &arguments);
    let admin = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    for event in watch_events(recording) {
        server.play(&event);
    }
    let events = expected_ids(recording).len();
    sink.wait_for(events).await;
    let accepted = format!("outcome=\"accepted\"}} {events}\n");
    let (_, text) = get_until(&admin, "/metrics", |_, text| text.contains(&accepted)).await;
    let samples = text.lines().filter_map(|line| {
        let sample = line.strip_prefix("step_observer_step_")?;
        Some(sample.to_owned())
    });
    let samples = samples.collect();
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    samples
}

#[tokio::test]
async fn steps_are_counted_by_their_names() {
    let samples = samples("stepMetrics: {}\n", "b-fail").await;
    let without_buckets = samples.iter().filter(|sample| !sample.contains("_bucket{"));
    let mut found: Vec<&str> = without_buckets.map(String::as_str).collect();
    found.sort_unstable();
    let run = "namespace=\"b-fail\",pipeline=\"\",task=\"anonymous\"";
    let ended = |step: &str, result: &str, reason: &str| {
        format!("results_total{{{run},step=\"{step}\",result=\"{result}\",reason=\"{reason}\"}} 1")
    };
    let mut expected = vec![
        "label_sets{metric=\"step_duration_seconds\"} 2".to_owned(),
        "label_sets{metric=\"step_results\"} 4".to_owned(),
        "label_sets{metric=\"step_wait_seconds\"} 2".to_owned(),
        ended("build", "succeeded", "Completed"),
        ended("test", "failed", "Error"),
        ended("notify", "skipped", "Skipped"),
        ended("deploy", "skipped", "Skipped"),
    ];
    // The first step waits from the creation of its Pod, the second one from the end of the first.
    for (step, duration, wait) in [("build", "1.158", "3.842"), ("test", "1.958", "1.042")] {
        for (metric, sum) in [("duration", duration), ("wait", wait)] {
            let labels = format!("{{{run},step=\"{step}\"}}");
            expected.push(format!("{metric}_seconds_sum{labels} {sum}"));
            expected.push(format!("{metric}_seconds_count{labels} 1"));
        }
    }
    expected.sort_unstable();
    assert_eq!(found, expected);
    let bucket = |le: &str| format!("duration_seconds_bucket{{le=\"{le}\",{run},step=\"build\"}}");
    assert!(samples.contains(&format!("{} 0", bucket("1.0"))));
    let exemplar = samples
        .iter()
        .find(|sample| sample.starts_with(&bucket("2.5")));
    let expected = format!("{} 1 # {{trace_id=\"{TRACE}\"}} 1.158", bucket("2.5"));
    assert_eq!(exemplar, Some(&expected));
}

#[tokio::test]
async fn only_the_chosen_labels_are_there() {
    let samples = samples("stepMetrics: {labels: [step]}\n", "b-fail").await;
    let expected = "results_total{step=\"test\",result=\"failed\",reason=\"Error\"} 1";
    assert!(
        samples.iter().any(|sample| sample == expected),
        "{samples:#?}"
    );
    assert!(!samples.iter().any(|sample| sample.contains("namespace")));
}

#[tokio::test]
async fn without_labels_all_steps_are_one() {
    let samples = samples("stepMetrics: {labels: []}\n", "b-fail").await;
    for expected in ["duration_seconds_count{} 2", "wait_seconds_count{} 2"] {
        assert!(
            samples.iter().any(|sample| sample == expected),
            "{samples:#?}"
        );
    }
}

#[tokio::test]
async fn without_the_setting_no_name_is_a_label() {
    assert_eq!(samples("", "b-fail").await, Vec::<String>::new());
}
