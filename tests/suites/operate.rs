//! The view of an operator: liveness, readiness, status.
use serde_json::Value;
use std::collections::BTreeMap;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::{guest, path};

/// Starts an observer of an empty cluster, and returns the address of its admin server.
async fn watching(args: &[&str]) -> (ApiServer, HttpSink, Observer, String) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut observer = Observer::start(&server, &sink, &[&ADMIN_ARGS, args].concat());
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    (server, sink, observer, address)
}

/// Returns a folder with a plugin that cannot be loaded: at the start it counts as failing on every
/// event.
fn broken_plugin() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.wasm"), "no module").unwrap();
    folder
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_once_everything_is_listed() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.deny("pods", true);
    let mut observer = Observer::start(&server, &sink, &ADMIN_ARGS);
    let address = admin_address(&mut observer).await;
    assert_eq!(get(&address, "/healthz").await.0, 200);
    server.wait_for_request("list pods").await;
    let unlisted = |status: u16, body: &str| status == 503 && !body.contains("plugins");
    let (_, told) = get_until(&address, "/readyz", unlisted).await;
    assert_eq!(told, "not ready: the first lists are not complete\n");
    let failing = |_: u16, body: &str| body.contains("failingSeconds");
    let (_, status) = get_until(&address, "/status", failing).await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let watches = status["watches"].as_array().unwrap();
    let pods = watches.iter().find(|watch| watch["resource"] == "pods");
    assert!(pods.unwrap()["failures"].as_u64() > Some(0), "{status:#}");
    assert!(pods.unwrap()["failingSeconds"].is_u64(), "{status:#}");

    server.deny("pods", false);
    get_until(&address, "/readyz", |status, _| status == 200).await;
    let (_, status) = get(&address, "/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["ready"], true, "{status:#}");
    let watches = status["watches"].as_array().unwrap();
    assert!(
        watches
            .iter()
            .all(|watch| watch["failingSeconds"].is_null())
    );
    observer.stop().await;
}

#[tokio::test]
async fn a_plugin_that_stands_in_keeps_it_from_being_ready() {
    let folder = broken_plugin();
    let plugins = folder.path().to_str().unwrap();
    let (_server, _sink, observer, address) = watching(&["--plugin-dir", plugins]).await;
    let told = |_: u16, body: &str| body.contains("plugin `broken` could not be loaded");
    let (status, _) = get_until(&address, "/readyz", told).await;
    assert_eq!(status, 503);
    observer.stop().await;
}

#[tokio::test]
async fn transitions_and_deliveries_are_counted() {
    let (server, _sink, observer, address) = watching(&[]).await;
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    let all = |_: u16, body: &str| body.contains("sink_delivered_total{sink=\"http-1\"} 6");
    let (_, metrics) = get_until(&address, "/metrics", all).await;
    for (series, value) in [
        ("transitions_total{phase=\"started\"}", 2),
        ("transitions_total{phase=\"succeeded\"}", 1),
        ("transitions_total{phase=\"failed\"}", 1),
        ("transitions_total{phase=\"skipped\"}", 2),
        ("events_total{outcome=\"accepted\"}", 6),
        ("events_total{outcome=\"failed\"}", 0),
        ("log_reads_total{outcome=\"unavailable\"}", 2),
        ("runs_tracked", 1),
        ("relists_total{resource=\"pods\"}", 0),
        ("watch_failures_total{resource=\"taskruns\"}", 0),
        ("config_last_reload_successful", 1),
    ] {
        let line = format!("step_observer_{series} {value}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let memory = metrics
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    assert!(memory.unwrap().parse::<u64>().unwrap() > 1 << 20);
    observer.stop().await;
}

/// Returns the value of a series, which has the prefix `step_observer_`.
fn value(metrics: &str, series: &str) -> f64 {
    let start = format!("step_observer_{series} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
    let value = value.unwrap_or_else(|| panic!("{series} in {metrics}"));
    value.parse().unwrap()
}

/// Returns the cumulative counts of the buckets of a histogram, by their bounds.
fn buckets(metrics: &str, name: &str, label: &str) -> Vec<(f64, f64)> {
    let start = format!("step_observer_{name}_bucket{{");
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(&start))
        .filter(|line| line.contains(label));
    let bounds = lines.map(|line| {
        let (_, bound) = line.split_once("le=\"").unwrap();
        let (bound, _) = bound.split_once('"').unwrap();
        let (_, count) = line.rsplit_once(' ').unwrap();
        (bound.parse().unwrap(), count.parse().unwrap())
    });
    bounds.collect()
}

#[tokio::test]
async fn histograms_count_every_call_attempt_and_delivery() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(guest("passthrough"), folder.path().join("pass.wasm")).unwrap();
    let plugins = folder.path().to_str().unwrap();
    let (server, sink) = (
        ApiServer::start().await,
        HttpSink::start(vec![(503, vec![])]).await,
    );
    let begin = std::time::Instant::now();
    let args = [&ADMIN_ARGS, &["--plugin-dir", plugins][..]].concat();
    let mut observer = Observer::start(&server, &sink, &args);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    let all = |_: u16, body: &str| body.contains("sink_delivered_total{sink=\"http-1\"} 6");
    let (_, metrics) = get_until(&address, "/metrics", all).await;
    let longest = begin.elapsed().as_secs_f64();
    observer.stop().await;

    let failed = value(&metrics, "sink_failed_attempts_total{sink=\"http-1\"}");
    assert!(failed >= 1.0, "{metrics}");
    for (name, label, count) in [
        ("plugin_duration_seconds", "plugin=\"pass\"", 6.0),
        (
            "sink_delivery_duration_seconds",
            "sink=\"http-1\"",
            6.0 + failed,
        ),
        ("event_delay_seconds", "sink=\"http-1\"", 6.0),
    ] {
        let counted = value(&metrics, &format!("{name}_count{{{label}}}"));
        assert!((counted - count).abs() < 0.5, "{name}: {counted}");
        let sum = value(&metrics, &format!("{name}_sum{{{label}}}"));
        assert!(sum > 0.0 && sum < longest * count, "{name}: {sum}");
        let buckets = buckets(&metrics, name, label);
        assert!(buckets.len() > 10 && buckets.is_sorted(), "{buckets:?}");
        let (bounds, counts): (Vec<f64>, Vec<f64>) = buckets.into_iter().unzip();
        assert!(counts.is_sorted(), "{counts:?}");
        assert!(bounds.windows(2).all(|pair| pair[1] > 1.99 * pair[0]));
        assert_eq!(
            (bounds.last(), counts.last()),
            (Some(&f64::INFINITY), Some(&count))
        );
        // Every observation is at most its bound.
        let upper = |(bound, count): (&f64, f64)| bound * count;
        let own = counts.windows(2).map(|pair| pair[1] - pair[0]);
        let own = counts.first().copied().into_iter().chain(own);
        assert!(
            sum <= bounds
                .iter()
                .zip(own)
                .filter(|(_, count)| *count > 0.0)
                .map(upper)
                .sum()
        );
    }
    // The delay of an event includes the wait after its failed attempt. The durations of the
    // attempts do not include it.
    let delay = value(&metrics, "event_delay_seconds_sum{sink=\"http-1\"}");
    let attempts = value(
        &metrics,
        "sink_delivery_duration_seconds_sum{sink=\"http-1\"}",
    );
    assert!(delay > attempts, "{delay} {attempts}");
    let seconds = value(&metrics, "plugin_seconds_total{plugin=\"pass\"}");
    let sum = value(&metrics, "plugin_duration_seconds_sum{plugin=\"pass\"}");
    assert!((seconds - sum).abs() < 1e-9);
}

/// Returns name, type, help and labels of every metric.
fn described(metrics: &str) -> BTreeMap<String, (String, String, String)> {
    let mut found: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    for line in metrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                found.entry((*name).to_owned()).or_default().1 = (*help).to_owned();
            }
            ["#", "TYPE", name, kind] => {
                let before = std::mem::replace(
                    &mut found.entry((*name).to_owned()).or_default().0,
                    (*kind).to_owned(),
                );
                assert!(before.is_empty(), "{name} occurs twice");
            }
            ["#", ..] => {}
            _ => {
                let Some((series, rest)) = line.split_once('{') else {
                    continue;
                };
                // Skips the other series of a histogram: they have the same labels as `_count`, and
                // buckets also have `le`.
                if series.ends_with("_seconds_bucket") || series.ends_with("_seconds_sum") {
                    continue;
                }
                let name = series
                    .strip_suffix("_total")
                    .or_else(|| {
                        series
                            .strip_suffix("_seconds_count")
                            .map(|_| &series[..series.len() - "_count".len()])
                    })
                    .unwrap_or(series);
                let labels = rest.split_once('}').unwrap().0.split("\",");
                let labels = labels.map(|label| label.split('=').next().unwrap());
                let labels = labels.collect::<Vec<_>>().join(", ");
                found.get_mut(name).unwrap().2 = labels;
            }
        }
    }
    found
}

/// The text before the table of metrics.
const METRICS_INTRODUCTION: &str = "\
# Metrics

`GET /metrics` answers in the OpenMetrics text format. Labels are bounded: names of plugins and sinks, and words of the
program; never names of runs or pods. Only the metrics of steps have names of the cluster as labels; they exist if
`stepMetrics` is configured, with the labels that it chooses.

A counter begins at 0 when the observer starts and when a changed configuration is applied. The counters of the journal
(`step_observer_journal_`), of the history, of known secrets, of gaps and of configuration changes continue when a
configuration is applied.

A histogram has the series `_bucket` with the label `le`, `_sum` and `_count`. The upper bounds of its buckets double,
except those of the metrics of steps.

- `step_observer_plugin_duration_seconds` has bounds from 10 µs to 10.5 s. The series of a plugin end when the plugin is
  removed.
- `step_observer_sink_delivery_duration_seconds` has bounds from 0.5 ms to 65.5 s. It counts each attempt that the sink
  acknowledged or that failed. A request that carries several events counts once for each event.
- `step_observer_event_delay_seconds` has bounds from 1 ms to 16,777 s (4.7 h). It counts each event that a sink
  acknowledged: from the `recordedtime` of the event, when the observer saw the transition, to the acknowledgement, by the
  clock of the observer. It includes reading the log, plugins, the journal, retries, pauses, and a time as dead letter. It
  does not include the time from the transition (`time`) to its observation. An event without a valid `recordedtime`
  counts from its acceptance by the journal.
- `step_observer_step_duration_seconds` and `step_observer_step_wait_seconds` have bounds from 0.1 s to 2 h, and the trace of
  the run as exemplar of each bucket. They count steps that ran, once they have ended; `step_observer_step_results_total`
  counts every end. Plugins change nothing about these metrics, and drop nothing from them.
- Each metric of steps has at most 1,000 label sets. What finds no room counts with the value `other` for every label; a
  namespace has at most three quarters of what is free when it comes. A reason that is not a word of up to 40 letters and digits
  counts as `other`, too.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// `UPDATE_METRICS=1` writes the table.
#[tokio::test]
async fn every_metric_is_documented() {
    let folder = broken_plugin();
    let plugins = folder.path().to_str().unwrap();
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let config = format!("{UNLIMITED_LOOK_BACK}stepMetrics: {{}}\n");
    let args = ["--plugin-dir", plugins, "--to", &sink.url];
    let mut observer = Observer::with_config(&server, &config, &[&ADMIN_ARGS[..], &args].concat());
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let counted = |_: u16, body: &str| {
        let has = |name: &str| body.contains(name);
        has("plugin_failures_total{") && has("step_wait_seconds_count{")
    };
    let (_, metrics) = get_until(&address, "/metrics", counted).await;
    observer.stop().await;
    let mut table = METRICS_INTRODUCTION.to_owned();
    for (name, (kind, help, labels)) in described(&metrics) {
        let total = if kind == "counter" { "_total" } else { "" };
        let labels = match labels.is_empty() {
            true => "–".to_owned(),
            false => format!("`{}`", labels.replace(", ", "`, `")),
        };
        table += &format!("| `{name}{total}` | {kind} | {labels} | {help} |\n");
    }
    let file = path("../deploy/METRICS.md");
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(&file, &table).unwrap();
    }
    let documented = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(documented, table, "write it with UPDATE_METRICS=1");
}
